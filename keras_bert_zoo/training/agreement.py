"""What the workers of a cluster must have in common, and how a difference is told."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from keras_bert_zoo._version import __version__
from keras_bert_zoo.errors import ClusterError

_PACKAGES = ("tensorflow", "keras", "tensorflow-text", "numpy")
_ROOT = Path(__file__).parents[1]  # of this package
_SHOWN = 6  # differences that a message tells


def fingerprint() -> dict[str, Any]:
    """Return what decides which numbers come out beside data and settings: this package's code, and versions."""
    digest = hashlib.sha256()
    for path in sorted(_ROOT.rglob("*.py")):
        digest.update(f"{path.relative_to(_ROOT).as_posix()}\n".encode() + path.read_bytes())
    versions = {name: _version(name) for name in _PACKAGES}
    told = {"python": platform.python_version(), "keras-bert-zoo": __version__, **versions}
    return {"versions": told, "code": digest.hexdigest()[:16]}


def check_alike(told: Sequence[Mapping[str, Any]], name: Callable[[int], str]) -> None:
    """Check that all workers told the same; `name` is what a worker of that number is called.

    Raises: ClusterError naming what differs, and whose it is.
    """
    lines = [
        f"{where}: {name(index)} has {theirs!r:.80}, {name(0)} has {chiefs!r:.80}"
        for index, each in enumerate(told)
        for where, chiefs, theirs in differing(told[0], each, "nothing")
    ]
    if lines:
        more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        raise ClusterError(
            f"The workers are not alike. {'; '.join(lines[:_SHOWN])}{more}. Give all of them the same program, data"
            " and settings."
        )


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], missing: str, where: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name and both values of each entry in which two tables differ, those of tables inside them included.

    `missing` stands for what a table lacks.
    """
    for name in dict.fromkeys([*one, *other]):
        ours, theirs = (table.get(name, missing) for table in (one, other))
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            yield from differing(ours, theirs, missing, f"{where}{name}.")
        elif ours != theirs:
            yield f"{where}{name}", ours, theirs


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
