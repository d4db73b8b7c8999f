"""What runs exported models in production: TensorFlow Serving's own files, and manifests for its image.

Source: tensorflow.org/tfx/serving/serving_config; tensorflow_serving/config/*.proto and
servables/tensorflow/session_bundle_config.proto.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.text_encoding import CEscape

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.files import new_file
from keras_bert_zoo.serving.figures import FILE, read_figures
from keras_bert_zoo.serving.kit_templates import BATCHING, COMPOSE, CONFIG_MAP, KUBERNETES, MONITORING, VOLUME
from keras_bert_zoo.serving.server.folders import find_models, version_folder, versions

IMAGE = "tensorflow/serving:2.19.1"
STABLE = "stable"  # the label of what everybody is to use
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of a model or a label: goes into URLs as it is
_MIB = 2**20
_LEAST_MIB = 512  # of memory, beside the weights


@dataclass(frozen=True)
class _Model:
    name: str
    folder: Path
    labels: Mapping[str, int]
    versions: Sequence[int]


def deploy_kit(
    folders: str | Path | Iterable[str | Path],
    *,
    labels: Mapping[str, Mapping[str, int]] | None = None,
    keep: int = 1,
    image: str = IMAGE,
    beside: str | Path = ".",
) -> dict[str, str]:
    """Return the files, text by name, with which TensorFlow Serving's image serves exported models.

    `folders` are models' folders or folders of models.  `labels` name versions: {model: {label: version}}; a model's
    newest version without another label is "stable" unless told.  Served are the versions with a label, and below the
    newest of them so many more that `keep` versions are there.  `compose.yaml` names folders as seen from `beside`.
    Raises: ExportError where a folder holds no model; ConfigError on a version that is not there, a label for no model,
    names that are no part of a URL, or an image that is none.
    """
    given = [folders] if isinstance(folders, (str, Path)) else list(folders)
    wanted = dict(labels or {})
    if keep < 1:
        raise ConfigError(f"keep is {keep}, at least 1 version of a model must be served.")
    if not re.fullmatch(r"[\w][\w./:@-]*", image, re.ASCII):
        raise ConfigError(f"The image is {image!r}, it must be like {IMAGE}.")
    models = [_model(name, path, wanted.pop(name, {}), keep) for name, path in find_models(given).items()]
    if wanted:
        known = ", ".join(model.name for model in models)
        raise ConfigError(f"{next(iter(wanted))}: there is no model of that name, there are {known}.")
    flags = [*_FLAGS, *(_BATCHING_FLAGS if not _unbatched(models) else [])]
    told = {
        "image": _quoted(image),
        "name": _resource([model.name for model in models]),
        "model": models[0].name,
        "memory": str(_LEAST_MIB + 2 * -(-sum(map(_bytes, models)) // _MIB)),
        "why": _why(models),
    }
    server_files = {
        "models.config": _models_config(models),
        "batching.config": BATCHING,
        "monitoring.config": MONITORING,
    }
    volumes = "".join(
        VOLUME.substitute(
            source=_quoted(_seen_from(Path(beside), model.folder).replace("$", "$$")),  # compose puts variables in
            target=_quoted(f"/models/{model.name}"),
        )
        for model in models
    )
    maps = "".join(CONFIG_MAP.substitute(file=name, text=_indented(text, 4)) for name, text in server_files.items())
    return {
        **server_files,
        "compose.yaml": COMPOSE.substitute(told, flags=_listed(flags, 6), volumes=volumes),
        "kubernetes.yaml": KUBERNETES.substitute(told, flags=_listed(flags, 12), maps=maps),
    }


def write_deploy_kit(folder: str | Path, files: Mapping[str, str]) -> list[Path]:
    """Write the files of a kit into a folder, each whole or not at all, over those of a former kit; return their paths.

    Raises: ConfigError where they cannot be written.
    """
    target = Path(folder).expanduser()
    try:
        for name, text in files.items():
            with new_file(target / name) as partial:
                partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error}. Choose another folder (--to).") from error
    return [target / name for name in files]


_FLAGS = [
    "--model_config_file=/config/models.config",
    "--model_config_file_poll_wait_seconds=30",  # versions and labels change without a restart
    "--allow_version_labels_for_unavailable_models=true",  # else a label in the first config is refused
    "--monitoring_config_file=/config/monitoring.config",
    "--rest_api_timeout_in_ms=30000",
]
_BATCHING_FLAGS = ["--enable_batching=true", "--batching_parameters_file=/config/batching.config"]


def _model(name: str, folder: Path, labels: Mapping[str, int], keep: int) -> _Model:
    """Return what of a model is served.  Raises: ConfigError, see `deploy_kit`."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{folder}: a model's name is letters, digits, '_', '.' and '-', for it is part of URLs.")
    there = sorted(versions(folder), reverse=True)
    for label, version in labels.items():
        if not _NAME.fullmatch(label):
            raise ConfigError(f"{name}: the label {label!r} must be letters, digits, '_', '.' and '-'.")
        if version not in there:
            raise ConfigError(
                f"{folder}: there is no version {version} for the label '{label}', there are {_all(there)}."
            )
    free = [version for version in there if version not in labels.values()]
    known = {STABLE: (free or there)[0], **labels}
    named = set(known.values())
    more = [version for version in there if version < max(named) and version not in named]
    return _Model(name, folder, known, sorted({*named, *more[: max(0, keep - len(named))]}))


def _models_config(models: Sequence[_Model]) -> str:
    """Return a ModelServerConfig in protobuf's text format."""
    lines = [
        "# tensorflow.serving.ModelServerConfig: change versions and labels here, the server looks every 30 s.",
        "",
    ]
    lines.append("model_config_list {")
    for model in models:
        lines += [
            "  config {",
            f"    name: {_text(model.name)}",
            f"    base_path: {_text(f'/models/{model.name}')}",
            '    model_platform: "tensorflow"',
            "    model_version_policy {",
            "      specific {",
            *(f"        versions: {version}" for version in model.versions),
            "      }",
            "    }",
        ]
        for label, version in sorted(model.labels.items(), key=lambda item: (item[0] != STABLE, item[0])):
            lines += ["    version_labels {", f"      key: {_text(label)}", f"      value: {version}", "    }"]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _unbatched(models: Sequence[_Model]) -> list[str]:
    """Return the models whose requests TensorFlow Serving cannot put together.

    It joins inputs along their first axis alone: lists of choices of other lengths are an error, or with
    `pad_variable_length_inputs` are filled up with their first choice.  Source: tensorflow_serving/batching/
    batching_util.h, AddPadding.
    """
    found = []
    for model in models:
        for version in model.versions:
            folder = version_folder(model.folder, version)
            if (folder / FILE).is_file() and read_figures(folder).head == "multiple_choice" and model.name not in found:
                found.append(model.name)
    return found


def _why(models: Sequence[_Model]) -> str:
    """Return the comment that says why requests are, or are not, put together."""
    if found := _unbatched(models):
        return (
            f"Requests are not batched: TensorFlow Serving cannot put together the lists that {', '.join(found)} reads."
        )
    return "Requests of several clients are batched: batching.config."


def _bytes(model: _Model) -> int:
    folders = (version_folder(model.folder, version) for version in model.versions)
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def _seen_from(folder: Path, path: Path) -> str:
    """Return a relative path, which compose wants to begin with a dot."""
    found = Path(os.path.relpath(path, folder.expanduser().absolute())).as_posix()
    return found if found.startswith("..") else f"./{found}"


def _resource(names: Sequence[str]) -> str:
    """Return a name that Kubernetes takes: RFC 1123, at most 63 characters with what is put behind it."""
    if len(names) > 1:
        return "models-serving"
    clean = re.sub(r"[^a-z0-9]+", "-", names[0].lower()).strip("-")[:40].strip("-")
    return f"{clean or 'model'}-serving"


def _listed(flags: Sequence[str], spaces: int) -> str:
    return "\n".join(" " * spaces + f"- {_quoted(flag)}" for flag in flags)


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line if line else "" for line in text.rstrip("\n").split("\n"))


def _quoted(text: str) -> str:
    return json.dumps(text)  # which YAML reads, too


def _text(text: str) -> str:
    return f'"{CEscape(text, as_utf8=False)}"'


def _all(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
