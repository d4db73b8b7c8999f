"""Models on disk: which folders are models, and what their versions look like.  Only the server itself asks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from keras_bert_zoo.errors import ExportError

SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
# Each file's path, inode, bytes and time of change: another look, another version.
Look = tuple[tuple[str, int, int, int], ...]


def find_models(folders: Iterable[str | Path]) -> dict[str, Path]:
    """Return the models' folders by name: each folder given is a model's own, or a folder of models.

    Raises: ExportError where a folder is missing or holds no model, and where two models have one name.
    """
    found: dict[str, Path] = {}
    for given in folders:
        folder = Path(given).expanduser().absolute()
        for model in [folder] if _is_model(folder) else _models_in(folder):
            if model.name in found and found[model.name] != model:
                raise ExportError(f"{model} and {found[model.name]} have the same name. Serve one of them elsewhere.")
            found[model.name] = model
    return found


def versions(model: Path) -> dict[int, Look]:
    """Return how each version of a model looks now; none where the folder has gone."""
    found = {}
    for path in _folders_in(model):
        if path.name.isdecimal() and path.name.isascii():
            look = _look(path)
            if any(file[0] in SAVED_MODEL for file in look):
                found[int(path.name)] = look
    return found


def version_folder(model: Path, version: int) -> Path:
    """Return a version's folder, whose name may begin with noughts."""
    for path in _folders_in(model):
        if path.name.isdecimal() and int(path.name) == version:
            return path
    return model / str(version)


def _models_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ExportError(f"{folder}: there is no such folder. Export a model first: kbz export RUN --to {folder}/NAME")
    if any((folder / name).is_file() for name in SAVED_MODEL):
        raise ExportError(f"{folder} is one version of a model. Serve the model: {folder.parent}")
    found = [path for path in _folders_in(folder) if _is_model(path)]
    if not found:
        raise ExportError(
            f"{folder} holds no exported model: none of its folders has a version, such as NAME/1/saved_model.pb."
            f" Export one: kbz export RUN --to {folder}/NAME"
        )
    return found


def _is_model(folder: Path) -> bool:
    return any(path.name.isdecimal() and _is_saved_model(path) for path in _folders_in(folder))


def _is_saved_model(path: Path) -> bool:
    return any((path / name).is_file() for name in SAVED_MODEL)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    except OSError:  # gone meanwhile, or not ours to read
        return []


def _look(folder: Path) -> Look:
    found = []
    for root, _, files in os.walk(folder):
        for file in files:
            path = os.path.join(root, file)
            try:
                status = os.stat(path)
            except OSError:
                continue
            found.append((os.path.relpath(path, folder), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))
