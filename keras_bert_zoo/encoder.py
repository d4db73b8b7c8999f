"""BERT, whole, in one page.  B batch, T tokens a row, S sequences a row, N tokens, D hidden size.

word ids, type ids --Embeddings--> tokens [N,D] --Block x L--> tokens [N,D] --ToGrid--> sequence_output [B,T,D]
                                                                        first token --Pooler--> pooled_output [B,D]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers import Block, Embeddings, Grid, MaskedLMBias, Pooler, ToGrid
from keras_bert_zoo.layers.attention import FUSED, PROJECTIONS

INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
_ONE_A_ROW = (
    "{} reads one sequence a row. Only MaskedLM, Pretraining and a bare encoder take several: use an encoder built"
    " with sequences=1, or with_layout(encoder, layout, sequences=1)."
)


def build_encoder(
    config: BertConfig, *, layout: str = "padded", sequences: int = 1, dtype: str | None = None
) -> keras.Model:
    """Build the BERT encoder as a functional Keras model named "bert".

    Inputs, int32 [B,T]: `input_word_ids`, `input_mask` (1 for a real token), `input_type_ids` (segment, 0 or 1).
    Outputs: `sequence_output` [B,T,D], `encoder_outputs` (one [B,T,D] a block) and, if `config.pooler`,
    `pooled_output` [B,D].  `layout` is "padded" or "packed", see
    `layers/layout.py`.  `dtype` is a Keras dtype or policy name, the global policy unless given.

    With `sequences` of 2 or more a row may hold that many, as `text.sequences.pack_sequences` puts them: `input_mask`
    is k for tokens of the k-th, side by side, which see one another alone; `pooled_output` is [B,S,D].

    Raises: ConfigError on an unknown layout, or less than one sequence.
    Source: Devlin et al. 2019; google-research/bert modeling.py.
    """
    word_ids, mask, type_ids = (keras.Input((None,), dtype="int32", name=name) for name in INPUTS)
    grid = Grid(layout, sequences, name="grid", dtype=dtype)(mask)
    x = Embeddings(
        config.vocab_size,
        config.hidden_size,
        config.max_position_embeddings,
        config.type_vocab_size,
        config.layer_norm_eps,
        config.hidden_dropout_prob,
        config.initializer_range,
        name="embeddings",
        dtype=dtype,
    )(word_ids, type_ids, grid)  # [N,D]
    to_grid = ToGrid(name="to_grid", dtype=dtype)
    encoder_outputs = []
    for i in range(config.num_hidden_layers):
        x = Block(
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.hidden_act,
            config.layer_norm_eps,
            config.hidden_dropout_prob,
            config.attention_probs_dropout_prob,
            config.initializer_range,
            name=f"block_{i}",
            dtype=dtype,
        )(x, grid)  # [N,D]
        encoder_outputs.append(to_grid(x, grid))  # [B,T,D]
    outputs = {"sequence_output": encoder_outputs[-1], "encoder_outputs": encoder_outputs}
    if config.pooler:
        pooler = Pooler(config.hidden_size, config.initializer_range, name="pooler", dtype=dtype)
        outputs["pooled_output"] = pooler(encoder_outputs[-1], grid)  # [B,D], or [B,S,D]
    return keras.Model(dict(zip(INPUTS, (word_ids, mask, type_ids), strict=True)), outputs, name="bert")


def encode(encoder: keras.Model, inputs: Mapping[str, Any] | None = None, *, first_only: bool = False) -> Any:
    """Run an encoder's layers on symbolic inputs, its own unless given: `sequence_output` [B,T,D].

    With `first_only` it is `sequence_output[:, :1]`, all that a pooler reads, for less: the last block works on B
    tokens instead of N.  Raises: ConfigError where the model is no encoder of `build_encoder`, or takes several
    sequences a row.
    """
    encoder_config(encoder)  # refuses what is no encoder
    if encoder.get_layer("grid").sequences > 1:
        raise ConfigError(_ONE_A_ROW.format("This head"))
    return _encode(encoder, encoder.input if inputs is None else inputs, first_only)[0]


def encode_sequences(encoder: keras.Model) -> tuple[Any, Any]:
    """Run an encoder's layers on its own inputs, be it one sequence a row or several: `sequence_output` and the grid.

    Raises: ConfigError where the model is no encoder of `build_encoder`.
    """
    return _encode(encoder, encoder.input, first_only=False)


def _encode(encoder: keras.Model, inputs: Mapping[str, Any], first_only: bool) -> tuple[Any, Any]:
    layers = encoder_config(encoder).num_hidden_layers
    layer = encoder.get_layer
    word_ids, mask, type_ids = (inputs[name] for name in INPUTS)
    grid = layer("grid")(mask)
    x = layer("embeddings")(word_ids, type_ids, grid)  # [N,D]
    *blocks, last = [layer(f"block_{i}") for i in range(layers)]
    for block in blocks:
        x = block(x, grid)  # [N,D]
    return (last(x, grid, first_only=True) if first_only else layer("to_grid")(last(x, grid), grid)), grid


def with_layout(model: keras.Model, layout: str, *, sequences: int | None = None) -> keras.Model:
    """Return an encoder or task model that shares all layers of `model` but lays out tokens otherwise.

    `sequences` is the most sequences in a row, see `build_encoder`: as many as before unless given.

    Raises: ConfigError on an unknown layout, and on several sequences where a head reads one a row.
    """
    headed = any(layer.name.startswith("head_") for layer in model.layers)
    if (sequences or 1) > 1 and headed and not any(isinstance(layer, MaskedLMBias) for layer in model.layers):
        raise ConfigError(_ONE_A_ROW.format(f"'{model.name}'"))

    def shared(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, Grid):
            return layer
        most = layer.sequences if sequences is None else sequences
        return Grid(layout, most, name=layer.name, dtype=layer.dtype_policy)

    return keras.models.clone_model(model, clone_function=shared)


def serving_copy(model: keras.Model, dtype: str) -> keras.Model:
    """Return a copy of an encoder or task model that gives the same answers faster.

    It is packed with one sequence a row, its weights are cast to the Keras dtype or policy `dtype`, and query, key and
    value are one product.
    """
    policy = keras.saving.serialize_keras_object(keras.dtype_policies.get(dtype))
    changes: dict[type, dict[str, Any]] = {Grid: {"layout": "packed", "sequences": 1}, Block: {"fused": True}}

    def changed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {**layer.get_config(), "dtype": policy, "trainable": True, **changes.get(type(layer), {})}
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=changed)
    weights = {weight.path: weight.value for weight in model.weights}
    for weight in copy.weights:
        parts = PROJECTIONS if FUSED in weight.path else (FUSED,)
        weight.assign(ops.concatenate([weights[weight.path.replace(FUSED, part)] for part in parts], axis=-1))
    return copy


def encoder_config(encoder: keras.Model) -> BertConfig:
    """Read back the config an encoder was built from (`pad_token_id` apart, which no layer knows).

    Raises: ConfigError where the model is no encoder of `build_encoder`.
    """
    found = {layer.name: layer for layer in encoder.layers}
    if not isinstance(found.get("embeddings"), Embeddings) or not isinstance(found.get("block_0"), Block):
        raise ConfigError(f"Model '{encoder.name}' is no BERT encoder: make one with build_encoder or kbz.load.")
    table, block = found["embeddings"], found["block_0"]
    return BertConfig(
        vocab_size=table.vocab_size,
        hidden_size=table.hidden_size,
        num_hidden_layers=sum(isinstance(layer, Block) for layer in encoder.layers),
        num_attention_heads=block.num_attention_heads,
        intermediate_size=block.intermediate_size,
        hidden_act=block.hidden_act,
        hidden_dropout_prob=block.hidden_dropout,
        attention_probs_dropout_prob=block.attention_dropout,
        max_position_embeddings=table.max_position_embeddings,
        type_vocab_size=table.type_vocab_size,
        initializer_range=table.initializer_range,
        layer_norm_eps=table.layer_norm_eps,
        pooler="pooler" in found,
    )
