"""Export: a SavedModel that takes raw strings, with the tokenizer in its graph.  B batch, T tokens a row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from keras_bert_zoo.bundle import Bundle, load
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.files import new_folder
from keras_bert_zoo.serving.frozen import Frozen
from keras_bert_zoo.serving.operations import check_operations
from keras_bert_zoo.serving.warmup import write_warmup
from keras_bert_zoo.training.answers import answering, column_specs

if TYPE_CHECKING:
    import keras

    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer


def export_saved_model(
    model: keras.Model,
    head: Head,
    tokenizer: Tokenizer,
    folder: str | Path,
    *,
    version: int | None = None,
    max_length: int | None = None,
    dtype: str = "float32",
) -> Path:
    """Write `folder/<version>/`, ready for TensorFlow Serving, and return that path.

    `serving_default` takes raw strings [B] and gives the head's answers; `tokenized` takes the three int32 [B,T]
    inputs and gives `logits`; `head.signatures` may name more.  A batch is padded to its own longest text, at most
    `max_length` tokens (the model's positions unless given).  `version` is the next free number unless given.  `dtype`
    is that of weights and layers, "float32" or "bfloat16".  The version appears whole or not at all, so that a server
    watching the folder never sees half of it.

    Raises: ExportError where the version exists or is no positive number, on another `dtype`, and where an operation
    cannot be served.
    """
    folder = Path(folder).expanduser()
    version = next_version(folder) if version is None else version
    if version < 1:
        raise ExportError(f"version is {version}, TensorFlow Serving wants a number of at least 1.")
    target = folder / str(version)
    if target.exists():
        raise ExportError(f"{target}: this version is there already. Leave version out for the next free number.")
    positions = model.get_layer("embeddings").max_position_embeddings
    limit = positions if max_length is None else max_length
    if limit > positions:
        raise ExportError(f"max_length is {limit}, but the model has {positions} positions. Choose at most that.")
    module = _Served(Frozen(model, dtype), head, tokenizer, limit)
    check_operations(module.signatures())
    with new_folder(target) as partial:
        vocabulary = partial / "vocab.txt"
        tokenizer.save_vocabulary(vocabulary)
        module.vocabulary = tf.saved_model.Asset(str(vocabulary))  # a copy for people; the graph holds its own
        tf.saved_model.save(module, str(partial), signatures=module.signatures())
        vocabulary.unlink()
        write_warmup(head, folder.name, partial)
    return target


def export_bundle(
    source: str | Path | Bundle,
    folder: str | Path,
    *,
    version: int | None = None,
    max_length: int | None = None,
    dtype: str = "float32",
) -> Path:
    """Export a bundle, or what `load` takes, and return the version's path; see `export_saved_model`.

    Raises: ExportError without a head, and all that `load` and `export_saved_model` raise.
    """
    bundle = source if isinstance(source, Bundle) else load(source)
    if bundle.head is None or bundle.model is None:
        raise ExportError(
            f"{source}: an encoder without a head cannot answer texts. Fine-tune it first (kbz train),"
            " or export the encoder itself (kbz export --as encoder)."
        )
    limit = bundle.max_length if max_length is None else max_length
    return export_saved_model(
        bundle.model,
        bundle.head,
        bundle.tokenizer,
        folder,
        version=version,
        max_length=limit,
        dtype=dtype,
    )


def next_version(folder: Path) -> int:
    """Return one more than the highest version there is, 1 in an empty or missing folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    return 1 + max((int(name) for name in names if name.isdigit()), default=0)


class _Served(tf.Module):
    """What is saved: the weights once, and the functions.

    A Keras model itself is not tracked: saved that way it cannot be loaded by a TF1 session, TensorFlow Serving's
    way in.
    """

    def __init__(self, frozen: Frozen, head: Head, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__(name="served")
        self.frozen = frozen
        self.vocabulary: Any = None

        def logits(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            found = self.frozen(inputs)
            return found if isinstance(found, dict) else {"logits": found}

        self._answers = {
            name: self._answer(variant, tokenizer, max_length) for name, variant in head.signatures().items()
        }
        self._logits = tf.function(logits, autograph=False).get_concrete_function(**frozen.inputs)

    def _answer(self, head: Head, tokenizer: Tokenizer, max_length: int) -> Any:
        answer = answering(self.frozen, head, tokenizer, max_length)

        def answer_named(**columns: tf.Tensor) -> dict[str, tf.Tensor]:
            return answer(columns)

        return tf.function(answer_named, autograph=False).get_concrete_function(**column_specs(head))

    def signatures(self) -> dict[str, Any]:
        """Return the signatures by name."""
        return {**self._answers, "tokenized": self._logits}
