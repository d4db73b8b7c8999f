"""Keeps what is served in step with the folders: new versions in, deleted ones out, broken ones refused.

A version is in memory before another leaves, so that there is always one to ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import tensorflow as tf

from keras_bert_zoo.errors import ExportError, ZooError
from keras_bert_zoo.serving.server.folders import Look, find_models, version_folder, versions
from keras_bert_zoo.serving.server.loaded import Loaded
from keras_bert_zoo.serving.server.models import Models, Status
from keras_bert_zoo.serving.server.refusals import CODES, Refused
from keras_bert_zoo.serving.server.warming import replay

# What a folder that is no whole SavedModel may bring TensorFlow to raise.
_BROKEN = (
    *(tf.errors.OpError, ZooError, OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(AssertionError, MemoryError, EOFError),
)
_SETTLED = 2  # looks in a row in which a new folder, or a gap, must be the same: it may still be being copied


class Watcher:
    """Watches folders and changes `models`; `say` is told in a sentence what happens.

    The newest `keep` versions of each model are served, and those that `labels` names, by model and label.
    `timeout` is that of a run.
    """

    def __init__(
        self,
        folders: Iterable[str | Path],
        models: Models,
        *,
        keep: int,
        labels: Mapping[str, Mapping[str, int]],
        timeout: float,
        say: Callable[[str], None],
    ) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._models, self._keep, self._labels = models, keep, labels
        self._timeout, self._say = timeout, say
        self._served: dict[tuple[str, int], Look] = {}  # how a version looked that is in memory
        self._refused: dict[tuple[str, int], Look] = {}  # and one that could not be loaded
        self._seen: dict[tuple[str, int], tuple[Look, int]] = {}  # and how often in a row it has looked so
        self._missed: dict[tuple[str, int], int] = {}
        self._known: dict[str, Path] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Load what there is.  Raises: ExportError where there is no model, or none can be loaded."""
        self._known = find_models(self._folders)
        unknown = sorted(self._labels.keys() - self._known.keys())
        if unknown:
            raise ExportError(f"Labels are given to '{unknown[0]}', the models are: {', '.join(sorted(self._known))}")
        self.look(settled=1)
        for name in self._known:
            for label, version in self._labels.get(name, {}).items():
                if version not in self._models.loaded(name):
                    raise ExportError(f"The label '{label}' is version {version} of '{name}', which is not there.")
        if not any(self._models.loaded(name) for name in self._known):
            status = next(iter(self._models.statuses(next(iter(self._known))).values()))
            raise ExportError(f"No model could be loaded. {status.message}")

    def watch(self, every: float) -> None:
        """Look at the folders every so many seconds, in a thread of its own, until `close`."""

        def keep_looking() -> None:
            while not self._stop.wait(every):
                self.look()

        self._thread = threading.Thread(target=keep_looking, name="watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self, *, settled: int = _SETTLED) -> None:
        """Look once, and load and unload what follows from it."""
        for given in self._folders:
            with suppress(ExportError):  # it is gone, and what it held will be found missing
                for name, folder in find_models([given]).items():
                    self._known.setdefault(name, folder)
        for name, folder in list(self._known.items()):
            self._look_at(name, folder, settled)
            if not folder.exists() and not self._models.loaded(name):
                del self._known[name]
                self._models.forget(name)

    def _look_at(self, name: str, folder: Path, settled: int) -> None:
        there = versions(folder)
        for version, look in there.items():
            former, times = self._seen.get((name, version), (None, 0))
            self._seen[name, version] = (look, times + 1 if former == look else 1)
        self._models.set_labels(name, self._labels.get(name, {}))
        wanted = self._wanted(name, there)
        for version in sorted(wanted, reverse=True):
            key, look = (name, version), there[version]
            if look in (self._served.get(key), self._refused.get(key)) or self._seen[key][1] < settled:
                continue
            self._load(name, version, folder, look)
        self._unload(name, there, wanted)

    def _wanted(self, name: str, there: Mapping[int, Look]) -> set[int]:
        """Return the versions to serve: the newest that can be loaded, and those with a label."""
        sound = {
            version
            for version, look in there.items()
            if (name, version) in self._served or self._refused.get((name, version)) != look
        }
        return set(sorted(sound)[-self._keep :]) | (sound & set(self._labels.get(name, {}).values()))

    def _load(self, name: str, version: int, folder: Path, look: Look) -> None:
        key = (name, version)
        if key not in self._served:
            self._models.tell(name, version, Status("LOADING"))
        begun = time.monotonic()
        try:
            loaded = Loaded(name, version, version_folder(folder, version), self._timeout)
            try:
                replay(loaded)
            except BaseException:
                loaded.retire()
                raise
        except _BROKEN as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            self._refused[key] = look
            others = sorted(self._models.loaded(name))
            if key not in self._served:
                self._models.tell(name, version, Status("END", _code(error), f"{name} {version}: {reason}"))
            goes_on = f" Version {others[-1]} goes on." if others else ""
            self._say(f"{name}: version {version} cannot be loaded: {reason}{goes_on}")
            return
        again = "anew " if key in self._served else ""
        self._models.add(loaded)
        self._served[key] = look
        self._refused.pop(key, None)
        self._say(f"{name}: version {version} is served {again}({time.monotonic() - begun:.1f} s)")

    def _unload(self, name: str, there: Mapping[int, Look], wanted: set[int]) -> None:
        loaded = self._models.loaded(name)
        complete = wanted <= set(loaded)  # until then, what is to leave has its place
        for version in loaded:
            key = (name, version)
            gone = version not in there
            self._missed[key] = self._missed.get(key, 0) + 1 if gone else 0
            if version in wanted or not complete or (gone and self._missed[key] < _SETTLED):
                continue
            self._models.remove(name, version)
            self._served.pop(key, None)
            self._say(f"{name}: version {version} {'has been deleted and ' if gone else ''}is served no longer")
        for key in [key for key in self._seen if key[0] == name and key[1] not in there and key not in self._served]:
            del self._seen[key]
            self._refused.pop(key, None)
            self._missed.pop(key, None)


def _code(error: BaseException) -> str:
    if isinstance(error, Refused):
        return error.code
    if isinstance(error, tf.errors.OpError):
        return CODES[error.error_code]
    return "NOT_FOUND" if isinstance(error, FileNotFoundError) else "INVALID_ARGUMENT"
