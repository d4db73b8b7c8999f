"""What is served: the models' versions, their states and labels, and who is asked by a name."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from keras_bert_zoo.serving.server.loaded import Loaded
from keras_bert_zoo.serving.server.refusals import Refused

State = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
_REMEMBERED = 20  # versions of a model that have ended


@dataclasses.dataclass(frozen=True)
class Status:
    """A version's state; `code` and `message` tell why it could not be loaded.  Source: get_model_status.proto."""

    state: State
    code: str = "OK"
    message: str = ""


class _Model:
    def __init__(self) -> None:
        self.loaded: dict[int, Loaded] = {}
        self.statuses: dict[int, Status] = {}
        self.labels: dict[str, int] = {}


class Models:
    """The models that are served, by name.  One thread changes them, any may ask."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._lock = threading.Lock()

    @contextmanager
    def using(self, name: str, version: int | None = None, label: str | None = None) -> Iterator[Loaded]:
        """Hold the version that is asked for, the newest unless told, while the block runs.

        Raises: Refused where there is none, with TensorFlow Serving's own words.
        """
        loaded = self._find(name, version, label)
        try:
            yield loaded
        finally:
            loaded.release()

    def _find(self, name: str, version: int | None, label: str | None) -> Loaded:
        with self._lock:
            model = self._models.get(name)
            if label is not None:
                if model is None or label not in model.labels:
                    raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
                version = model.labels[label]
            there = {} if model is None else model.loaded
            wanted = max(there, default=None) if version is None else version
            if wanted not in there:
                asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise Refused("NOT_FOUND", f"Servable not found for request: {asked}")
            loaded = there[wanted]
            loaded.hold()  # it is among those that are served, so nobody has retired it yet
            return loaded

    def statuses(self, name: str, version: int | None = None, label: str | None = None) -> dict[int, Status]:
        """Return a model's versions' states, the newest first, or of one.  Raises: Refused where there is none."""
        with self._lock:
            model = self._models.get(name)
            found = {} if model is None else dict(model.statuses)
            labels = {} if model is None else dict(model.labels)
        if label is not None:
            if label not in labels:
                raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            version = labels[label]
        if version is not None:
            if version not in found:
                raise Refused("NOT_FOUND", f"Could not find version {version} of model {name}")
            return {version: found[version]}
        if not found:
            raise Refused("NOT_FOUND", f"Could not find any versions of model {name}")
        return {number: found[number] for number in sorted(found, reverse=True)}

    def describe(self) -> list[dict[str, Any]]:
        """Return each model's name, versions with state, labels, and the newest version's signatures."""
        with self._lock:
            models = {
                name: (max(model.loaded.items(), default=(0, None))[1], dict(model.statuses), dict(model.labels))
                for name, model in sorted(self._models.items())
            }
        return [
            {
                "name": name,
                "versions": [
                    {"version": number, "state": status.state, "message": status.message}
                    for number, status in sorted(statuses.items(), reverse=True)
                ],
                "labels": labels,
                "signatures": {} if newest is None else _signatures(newest),
            }
            for name, (newest, statuses, labels) in models.items()
        ]

    def ready(self) -> bool:
        """Whether every model that should be served has a version in memory."""
        with self._lock:
            return bool(self._models) and all(model.loaded for model in self._models.values())

    def loaded(self, name: str) -> dict[int, Loaded]:
        """Return the versions of a model in memory."""
        with self._lock:
            model = self._models.get(name)
            return {} if model is None else dict(model.loaded)

    # Changes

    def tell(self, name: str, version: int, status: Status) -> None:
        """Note a version's state."""
        with self._lock:
            self._tell(self._models.setdefault(name, _Model()), version, status)

    def add(self, loaded: Loaded) -> None:
        """Serve a version from now on, in place of one with the same number."""
        with self._lock:
            model = self._models.setdefault(loaded.name, _Model())
            former = model.loaded.get(loaded.version)
            model.loaded[loaded.version] = loaded
            self._tell(model, loaded.version, Status("AVAILABLE"))
        if former is not None:
            former.retire()

    def remove(self, name: str, version: int) -> None:
        """Serve a version no longer; those who ask it now get their answers."""
        with self._lock:
            model = self._models[name]
            loaded = model.loaded.pop(version)
            self._tell(model, version, Status("END"))
        loaded.retire()

    def set_labels(self, name: str, labels: Mapping[str, int]) -> None:
        """Give versions of a model names."""
        with self._lock:
            self._models.setdefault(name, _Model()).labels = dict(labels)

    def forget(self, name: str) -> None:
        """Have a model gone whose folder is gone and of which no version is served."""
        with self._lock:
            if name in self._models and not self._models[name].loaded:
                del self._models[name]

    def close(self) -> None:
        """Serve nothing any longer."""
        with self._lock:
            models, self._models = self._models, {}
        for model in models.values():
            for loaded in model.loaded.values():
                loaded.retire()

    @staticmethod
    def _tell(model: _Model, version: int, status: Status) -> None:
        model.statuses[version] = status
        ended = sorted(number for number, each in model.statuses.items() if each.state == "END")
        for number in ended[:-_REMEMBERED]:
            del model.statuses[number]


def _signatures(loaded: Loaded) -> dict[str, Any]:
    return {
        name: {
            "method": signature.method,
            "inputs": {key: {"dtype": spec.dtype, "shape": spec.shape} for key, spec in signature.inputs.items()},
            "outputs": {key: {"dtype": spec.dtype, "shape": spec.shape} for key, spec in signature.outputs.items()},
        }
        for name, signature in sorted(loaded.signatures.items())
    }
