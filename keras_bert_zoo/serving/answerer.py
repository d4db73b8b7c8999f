"""A model that is served, wherever it is: what a server's client and an export on this machine have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast, overload

import numpy as np

from keras_bert_zoo.answers import fields
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.serving.asking import ask
from keras_bert_zoo.serving.interface import Metadata, Signature

A = TypeVar("A")


class Answerer(ABC):
    """Answers lists of texts, or arrays; `str` of it says where it is."""

    at_once: int = 1  # batches that are asked at a time

    @property
    @abstractmethod
    def metadata(self) -> Metadata:
        """Its version and its signatures."""

    @abstractmethod
    def ask(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature for one batch of arrays that suit it."""

    def signature(self, name: str = "serving_default") -> Signature:
        """Return one signature.  Raises: DataError where the model has none of that name."""
        found = self.metadata.signatures
        if name not in found:
            known = ", ".join(sorted(each for each in found if not each.startswith("__")))
            raise DataError(f"{self}: there is no signature '{name}', there are {known}.")
        return found[name]

    @overload
    def predict(
        self,
        texts: Sequence[Any],
        *,
        kind: type[A],
        signature: str = ...,
        batch_size: int = ...,
        progress: Callable[[int, int], object] | None = ...,
        **more: Sequence[Any],
    ) -> list[A]: ...

    @overload
    def predict(
        self,
        texts: Sequence[Any],
        *,
        kind: None = ...,
        signature: str = ...,
        batch_size: int = ...,
        progress: Callable[[int, int], object] | None = ...,
        **more: Sequence[Any],
    ) -> list[dict[str, Any]]: ...

    def predict(
        self,
        texts: Sequence[Any],
        *,
        kind: type[A] | None = None,
        signature: str = "serving_default",
        batch_size: int = 32,
        progress: Callable[[int, int], object] | None = None,
        **more: Sequence[Any],
    ) -> list[A] | list[dict[str, Any]]:
        """Answer each text with the dict that `Bundle.predict` gives.

        `predict(["a"])`, or `predict(["a"], text_pair=["b"])`.  Lists of any length are sent in batches of like length.
        `kind` is one of `keras_bert_zoo.answers`, such as `ClassificationAnswer`: then the answers have its type, and a
        model of another kind is refused.  `progress` is told how many rows of how many are answered.
        Raises: DataError on columns that the signature does not read; ConfigError on another kind of model;
        ServingError naming URL and status.
        """
        wanted = self.signature(signature)
        if kind is not None and fields(kind) != frozenset(wanted.outputs):
            raise ConfigError(
                f"{self}: the signature '{signature}' gives {', '.join(sorted(wanted.outputs))}, which is no"
                f" {kind.__name__} ({', '.join(sorted(fields(kind)))})."
            )
        answers = self.answer(wanted.named(texts, more), signature=signature, batch_size=batch_size, progress=progress)
        return cast("list[A]", answers)

    def answer(
        self,
        columns: Mapping[str, Sequence[Any]],
        *,
        signature: str = "serving_default",
        batch_size: int = 32,
        progress: Callable[[int, int], object] | None = None,
    ) -> list[dict[str, Any]]:
        """Answer rows that are given as columns by name: what `predict` does with them.  Raises: see `predict`."""
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, it must be at least 1.")
        return ask(
            self.ask,
            self.signature(signature),
            columns,
            where=str(self),
            batch_size=batch_size,
            at_once=self.at_once,
            progress=progress,
        )

    def run(self, inputs: Mapping[str, Any], *, signature: str = "serving_default") -> dict[str, np.ndarray]:
        """Return the outputs of any signature as they come: arrays in, arrays of the signature's dtypes out.

        Strings are arrays of bytes objects.
        Raises: DataError on other inputs than the signature's; ServingError naming URL and status.
        """
        wanted = self.signature(signature)
        if set(inputs) != set(wanted.inputs):
            raise DataError(
                f"{self}: the signature '{signature}' takes {', '.join(sorted(wanted.inputs))}; it was given"
                f" {', '.join(sorted(inputs))}."
            )
        return self.ask(wanted, {name: _array(name, inputs[name], each.dtype) for name, each in wanted.inputs.items()})


def _array(name: str, values: Any, dtype: str) -> np.ndarray:
    try:
        return np.array(values, object if dtype == "string" else dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name}: this is no array of {dtype} ({error}).") from None
