"""Export: a SavedModel that takes raw strings, with the tokenizer in its graph.  B batch, T tokens a row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from keras_bert_zoo.bundle import Bundle, load
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.files import new_folder
from keras_bert_zoo.serving.figures import Training, read_run, write_figures
from keras_bert_zoo.serving.frozen import Frozen
from keras_bert_zoo.serving.operations import check_operations, write_operations
from keras_bert_zoo.serving.signatures import Served, name_methods
from keras_bert_zoo.serving.versions import OLDEST
from keras_bert_zoo.serving.warmup import write_warmup

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
    precision: str = "float32",
    serving_version: str = OLDEST,
    training: Training | None = None,
) -> Path:
    """Write `folder/<version>/`, ready for TensorFlow Serving, and return that path.

    `serving_default` takes raw strings [B] and gives the head's answers; what else it can be asked, see
    `signatures.Served`.  A batch is padded to its own longest text, at most `max_length` tokens (the model's positions
    unless given).  `version` is the next free number unless given.  `precision`
    is that of weights and layers, "float32" or "bfloat16".  `serving_version` is the TensorFlow Serving it is for, one
    of `versions.TEXT`; what it lacks is refused.  `training`, see `figures.read_run`, tells the figures that go along,
    for `kbz evaluate` to compare with.  The version appears whole or not at all, so that a server watching the folder
    never sees half of it.

    Raises: ExportError where the version exists or is no positive number, on another `precision` or `serving_version`,
    and where an operation cannot be served.
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
    module = Served(Frozen(model, precision), head, tokenizer, limit)
    used = check_operations(module.functions, serving_version)
    with new_folder(target) as partial:
        vocabulary = partial / "vocab.txt"
        tokenizer.save_vocabulary(vocabulary)
        module.vocabulary = tf.saved_model.Asset(str(vocabulary))  # a copy for people; the graph holds its own
        tf.saved_model.save(module, str(partial), signatures=module.functions)
        name_methods(module.functions, partial)
        vocabulary.unlink()
        write_operations(used, serving_version, partial)
        write_warmup(module.functions, head, tokenizer, limit, folder.name, partial)
        write_figures(head, tokenizer, limit, training, partial)
    return target


def export_bundle(
    source: str | Path | Bundle,
    folder: str | Path,
    *,
    version: int | None = None,
    max_length: int | None = None,
    precision: str = "float32",
    serving_version: str = OLDEST,
    run: str | Path | None = None,
) -> Path:
    """Export a bundle, or what `load` takes, and return the version's path; see `export_saved_model`.

    `run` is the folder of a bundle's run, whose figures go along; of a source that is a folder it is known.

    Raises: ExportError without a head, and all that `load` and `export_saved_model` raise.
    """
    bundle = source if isinstance(source, Bundle) else load(source)
    run = source if run is None and not isinstance(source, Bundle) else run
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
        precision=precision,
        serving_version=serving_version,
        training=read_run(run) if run is not None else None,
    )


def next_version(folder: Path) -> int:
    """Return one more than the highest version there is, 1 in an empty or missing folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    return 1 + max((int(name) for name in names if name.isdigit()), default=0)
