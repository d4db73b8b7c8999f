"""An encoder as two SavedModels with TF Hub's interface for text: a preprocessor and the encoder itself.

B texts, W words of a text, P pieces of a word, T tokens a row, D hidden size, L layers.

Source: tensorflow.org/hub, "Common SavedModel APIs for Text"; tf-models-official, nlp/tools/export_tfhub_lib.py, whose
names, shapes and order of variables these have.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_bert_zoo.bundle import ZOO_FILE, Bundle, load
from keras_bert_zoo.encoder import INPUTS, build_encoder
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.files import new_folder
from keras_bert_zoo.serving.operations import check_operations
from keras_bert_zoo.serving.saved_model import next_version
from keras_bert_zoo.serving.versions import OLDEST
from keras_bert_zoo.text.packing import pack_to
from keras_bert_zoo.text.tokenizer import Tokenizer
from keras_bert_zoo.weights import saved_model
from keras_bert_zoo.weights.rows import expand

PARTS = ("preprocessor", "encoder")
_SEQ_LENGTH = 128  # of the published preprocessors
_MOST_SEGMENTS = 2  # BERT knows two types
# A role of ours -> its name in the published special-tokens dict.
_SPECIAL = {"cls": "start_of_sequence_id", "sep": "end_of_segment_id", "pad": "padding_id", "mask": "mask_id"}


class EncoderModels(NamedTuple):
    """The folders of the two SavedModels, versions included."""

    preprocessor: Path
    encoder: Path


def export_encoder(
    source: str | Path | Bundle,
    folder: str | Path,
    *,
    version: int | None = None,
    seq_length: int | None = None,
    serving_version: str = OLDEST,
) -> EncoderModels:
    """Write `folder/preprocessor/<version>/` and `folder/encoder/<version>/` and return their paths.

    The preprocessor turns strings [B] into int32 [B,T] inputs of `seq_length` tokens (128, or the model's positions
    where they are fewer); its `.tokenize` and `.bert_pack_inputs` do the two steps apart.  The encoder turns those
    into `pooled_output` and `default` [B,D], `sequence_output` [B,T,D] and `encoder_outputs`, L of [B,T,D]; called
    with `training=True` it drops out, and its variables can be trained on.  Weights are float32; a head is left out.
    `version` is the next free number unless given; `serving_version` see `export_saved_model`.  Each folder appears
    whole or not at all.

    Raises: ExportError without a pooler, on a `seq_length` that no pair or no model has room for, where the version
    exists or is no positive number, and where an operation cannot be served; and all that `load` raises.
    """
    bundle = source if isinstance(source, Bundle) else load(source)
    config, folder = bundle.config, Path(folder).expanduser()
    if not config.pooler:
        raise ExportError(
            "The encoder has no pooler, but TF Hub's interface promises pooled_output. Export one with a pooler: that"
            " of Hugging Face's BertModel, of pretraining, or of a run with a head of sentences."
        )
    positions, least = config.max_position_embeddings, _MOST_SEGMENTS + 1
    length = min(_SEQ_LENGTH, positions) if seq_length is None else seq_length
    if not least <= length <= positions:
        raise ExportError(
            f"seq_length is {length}, it must be from {least}, which [CLS] and the [SEP] of a pair take, to"
            f" {positions}, the model's positions."
        )
    version = max(next_version(folder / part) for part in PARTS) if version is None else version
    if version < 1:
        raise ExportError(f"version is {version}, TensorFlow Serving wants a number of at least 1.")
    paths = EncoderModels(*(folder / part / str(version) for part in PARTS))
    for path in paths:
        if path.exists():
            raise ExportError(f"{path}: this version is there already. Leave version out for the next free number.")
    with new_folder(paths.preprocessor) as first, new_folder(paths.encoder) as second:
        _save(*_preprocessor(bundle.tokenizer, length, serving_version), bundle.tokenizer, first)
        model, signature = _encoder(bundle, serving_version)
        model.do_lower_case = tf.Variable(bundle.tokenizer.lower, trainable=False, name=saved_model.LOWER)
        _save(model, signature, bundle.tokenizer, second)
        ours = {
            "format": 1,
            "max_length": bundle.max_length,
            "config": config.to_dict(),
            "tokenizer": dataclasses.asdict(bundle.tokenizer.settings),
        }
        (second / ZOO_FILE).write_text(json.dumps(ours, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return paths


def _save(model: Any, signature: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a model whose functions are traced, with the vocabulary as an asset."""
    vocabulary = folder / "vocab.txt"
    tokenizer.save_vocabulary(vocabulary)
    model.vocab_file = tf.saved_model.Asset(str(vocabulary))
    tf.saved_model.save(model, str(folder), signatures={"serving_default": signature})
    vocabulary.unlink()


# The preprocessor


def _preprocessor(tokenizer: Tokenizer, seq_length: int, serving_version: str) -> tuple[Any, Any]:
    """Return the preprocessor and its signature."""
    begins = np.array([not token.startswith("##") for token in tokenizer.vocabulary])  # by id
    begins[tokenizer.unk_id] = True
    ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}
    special = {name: getattr(tokenizer, f"{role}_id") for role, name in _SPECIAL.items()}

    def tokenize(sentences: tf.Tensor) -> tf.RaggedTensor:
        return _words(tokenizer.tokenize(sentences), begins)

    def bert_pack_inputs(inputs: Any, seq_length: Any = seq_length) -> dict[str, tf.Tensor]:
        segments = inputs if isinstance(inputs, list | tuple) else [inputs]
        flat = [segment.merge_dims(1, -1) if segment.ragged_rank > 1 else segment for segment in segments]
        return pack_to(flat, **ids, length=tf.convert_to_tensor(seq_length, tf.int32))

    def preprocess(sentences: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = pack_to([tokenizer.tokenize(sentences)], **ids, length=tf.constant(seq_length))
        return {name: tf.ensure_shape(row, [None, seq_length]) for name, row in rows.items()}

    texts = tf.TensorSpec([None], tf.string, name="sentences")
    model, cut = _callable(preprocess, [texts]), _callable(tokenize, [texts])
    cut.get_special_tokens_dict = _callable(lambda: {"vocab_size": tokenizer.vocab_size, **special}, [])
    model.tokenize, model.bert_pack_inputs = cut, tf.train.Checkpoint()
    packing = tf.function(bert_pack_inputs, autograph=False)
    model.bert_pack_inputs.__call__ = packing
    packed = {}
    for rank in (1, 2):
        ragged = tf.RaggedTensorSpec([None] * (rank + 1), tf.int32)
        for segments in range(1, _MOST_SEGMENTS + 1):
            length = tf.TensorSpec([], tf.int32, name="seq_length")
            packed[f"bert_pack_inputs {rank} {segments}"] = packing.get_concrete_function([ragged] * segments, length)
    whole = model.__call__.get_concrete_function()
    functions = {"serving_default": whole, "tokenize": cut.__call__.get_concrete_function(), **packed}
    check_operations(functions, serving_version)
    return model, whole


def _words(pieces: tf.RaggedTensor, begins: np.ndarray) -> tf.RaggedTensor:
    """Part each text's pieces into words: int32 [B,(WP)] -> int32 [B,(W),(P)].

    A piece begins a word where the table `begins`, bool by id, says so.
    """
    first = tf.where(tf.gather(tf.constant(begins), pieces.values))[:, 0]  # [W]
    ends = tf.concat([first, tf.shape(pieces.values, tf.int64)], axis=0)  # [W+1]
    words = tf.searchsorted(first, tf.cast(pieces.row_splits, tf.int64), out_type=tf.int64)  # [B+1]
    inner = tf.RaggedTensor.from_row_splits(pieces.values, ends, validate=False)
    return tf.RaggedTensor.from_row_splits(inner, words, validate=False)


def _callable(function: Any, signature: list[tf.TensorSpec]) -> Any:
    """Return an object that is called as the function, also when it has been loaded; it takes attributes of its own."""
    made = tf.train.Checkpoint()
    made.__call__ = tf.function(function, input_signature=signature, autograph=False)
    return made


# The encoder


def _encoder(bundle: Bundle, serving_version: str) -> tuple[Any, Any]:
    """Return the encoder and its signature."""
    config = bundle.config
    model, encoder = tf.train.Checkpoint(), build_encoder(config, dtype="float32")
    held = _variables(bundle)
    model.trainable_variables = [held[weight.path] for weight in encoder.weights]
    model.variables = list(model.trainable_variables)
    model.regularization_losses = []

    def call(inputs: Mapping[str, tf.Tensor], training: bool = False) -> dict[str, Any]:
        tokens, most = tf.shape(inputs["input_word_ids"])[1], config.max_position_embeddings
        told = f"The rows are longer than the {most} positions of the model. Pack them with a smaller seq_length."
        with (
            tf.control_dependencies([tf.debugging.assert_less_equal(tokens, most, message=told)]),
            _holding(encoder, held, training),
        ):
            found = encoder({name: tf.identity(inputs[name]) for name in INPUTS}, training=training)
        return {**found, "default": found["pooled_output"]}

    model.__call__ = tf.function(call, autograph=False)
    specs = {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in INPUTS}
    traced = {flag: model.__call__.get_concrete_function(specs, training=flag) for flag in (False, True)}

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found = traced[False](inputs, training=False)
        return {name: found[name] for name in ("pooled_output", "sequence_output")}

    signature = tf.function(serve, autograph=False).get_concrete_function(**specs)
    functions = {"serving_default": signature, "encoder": traced[False], "training": traced[True]}
    check_operations(functions, serving_version)
    return model, signature


def _variables(bundle: Bundle) -> dict[str, tf.Variable]:
    """Return a variable for each weight, by our path, under the name and in the shape it has in Model Garden."""
    weights = {weight.path: weight for weight in bundle.encoder.weights}
    values = {path: keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")) for path, weight in weights.items()}
    rows = expand(saved_model.encoder_rows(bundle.config.num_attention_heads), weights)
    return {pair.ours: tf.Variable(pair.op.theirs(values[pair.ours]), name=pair.theirs) for pair in rows}


@contextmanager
def _holding(encoder: keras.Model, held: Mapping[str, tf.Variable], training: bool) -> Iterator[None]:
    """Have the encoder compute with other variables; what it drops in training is drawn anew at every call."""
    state = []
    for weight in encoder.weights:
        value = held[weight.path]  # where no axis differs it stays itself: a table's gradient is of its few rows then
        state.append((weight, value if value.shape == weight.shape else tf.reshape(value, weight.shape)))
    # Seeds are no state: it would be saved with the weights, and could not be written to from replicas.
    for seed in [variable for variable in encoder.variables if variable.path not in held] if training else []:
        drawn = tf.random.uniform(seed.shape, maxval=tf.int32.max, dtype=tf.int32)
        state.append((seed, tf.cast(drawn, seed.dtype)))
    with keras.StatelessScope(state_mapping=state):
        yield
