"""What a served model shows of itself: where it is, its signatures, its versions, its scores.  Plain values alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from keras_bert_zoo.errors import ConfigError

SCHEMES = {"http": 80, "https": 443, "grpc": 8500, "grpcs": 443}  # and the ports they have unless told
# TensorFlow Serving's ways to ask beside Predict, and the names of their methods in a SavedModel.
METHODS = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}
_PLACE = re.compile(
    r"(?P<prefix>.*?)/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
)
_FIRST = ("text", "question", "sentences")  # columns that a list of texts stands for where there are several


class Tensor(NamedTuple):
    """A tensor of a signature: a dtype by numpy's name, "string" for texts, and its shape, None for what is free."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Signature:
    """What one signature of a model takes and gives, by name; `method` is "predict", "classify" or "regress"."""

    name: str
    method: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the inputs, the first text first."""
        return tuple(sorted(self.inputs, key=lambda name: (name not in _FIRST, name)))

    @property
    def ranks(self) -> dict[str, int]:
        """The rank of each column, 1 at least: texts [B], or lists of them [B,C]."""
        return {name: max(1, len(self.inputs[name].shape)) for name in self.columns}

    def named(self, texts: Sequence[Any], more: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Return columns by name: `texts` is the first that `more` lacks, or "texts", which nobody reads."""
        return {next((name for name in self.columns if name not in more), "texts"): texts, **more}


class VersionStatus(NamedTuple):
    """The state of a version on a server: "AVAILABLE", or how far it is; `error` where it failed."""

    version: int
    state: str
    error: str = ""


class Score(NamedTuple):
    """One class of `classify` and its score."""

    label: str
    score: float


class Metadata(NamedTuple):
    """The version that a server means, and its signatures by name."""

    version: int
    signatures: Mapping[str, Signature]


@dataclass(frozen=True)
class Place:
    """A model on a server.  `version` or `label` say which version, without either the server chooses."""

    scheme: str
    host: str  # with its port
    prefix: str = ""  # of the path, where a gateway has one
    model: str = ""
    version: int | None = None
    label: str | None = None

    @property
    def server(self) -> str:
        """The server's URL."""
        return f"{self.scheme}://{self.host}{self.prefix}"

    @property
    def path(self) -> str:
        """The path of TensorFlow Serving's REST API to the model."""
        which = ""
        if self.version is not None:
            which = f"/versions/{self.version}"
        elif self.label is not None:
            which = f"/labels/{quote(self.label, safe='')}"
        return f"/v1/models/{quote(self.model, safe='')}{which}"

    def __str__(self) -> str:
        return self.server + self.path


def place(url: str, model: str | None = None, version: int | None = None, label: str | None = None) -> Place:
    """Return the model that a server's URL and a name mean, or a URL that names the model, as for curl.

    Raises: ConfigError on another scheme, a password in the URL, no model, or a version and a label.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ConfigError(
            f"The server's URL is {url!r}, it must be like http://127.0.0.1:8501 or grpc://127.0.0.1:8500."
        )
    if "@" in parts.netloc:
        raise ConfigError(
            "The server's URL holds a name or password. Pass them as a header: --header 'Authorization: ...'."
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"The server's URL is {url!r}; leave out what stands behind ? or #.")
    path = parts.path.partition(":")[0].rstrip("/")  # :predict, as for curl
    prefix, told = path, None
    if found := _PLACE.fullmatch(path):
        prefix, told = found["prefix"], unquote(found["model"])
        version = int(found["version"]) if found["version"] and version is None and label is None else version
        label = unquote(found["label"]) if found["label"] and version is None and label is None else label
    if model is not None and told is not None and model != told:
        raise ConfigError(f"The URL names the model '{told}', and beside it '{model}' is asked for. Name one.")
    if not (model or told):
        raise ConfigError(
            f"{url}: which model? Name it (--model NAME), or give the URL of one: {url.rstrip('/')}/v1/models/NAME."
        )
    if version is not None and label is not None:
        raise ConfigError(f"Version {version} or label '{label}': ask for one of them.")
    if version is not None and version < 0:
        raise ConfigError(f"version is {version}, it must be a number of at least 0.")
    try:
        port = parts.port
    except ValueError:
        raise ConfigError(f"The server's URL is {url!r}: its port is no number from 0 to 65535.") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port or parts.scheme.startswith("grpc"):
        host = f"{host}:{port or SCHEMES[parts.scheme]}"
    return Place(parts.scheme, host, prefix, model or told or "", version, label)


def is_loopback(where: Place) -> bool:
    """Tell whether the server is on this machine, where no proxy has anything to do."""
    name = where.host.rsplit(":", 1)[0] if not where.host.endswith("]") else where.host
    return name in ("localhost", "[::1]") or name.startswith("127.")
