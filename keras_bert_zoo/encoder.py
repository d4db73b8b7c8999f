"""BERT, whole, in one page.  B batch, T tokens a row, N tokens, D hidden size.

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
from keras_bert_zoo.layers import Block, Embeddings, Grid, Pooler, ToGrid
from keras_bert_zoo.layers.attention import FUSED, PROJECTIONS

INPUTS = ("input_word_ids", "input_mask", "input_type_ids")


def build_encoder(config: BertConfig, *, layout: str = "padded", dtype: str | None = None) -> keras.Model:
    """Build the BERT encoder as a functional Keras model named "bert".

    Inputs, int32 [B,T]: `input_word_ids`, `input_mask` (1 for a real token), `input_type_ids` (segment, 0 or 1).
    Outputs: `sequence_output` [B,T,D], `encoder_outputs` (one [B,T,D] a block) and, if `config.pooler`,
    `pooled_output` [B,D].  `layout` is "padded" or "packed", see
    `layers/layout.py`.  `dtype` is a Keras dtype or policy name, the global policy unless given.

    Raises: ConfigError on an unknown layout.  Source: Devlin et al. 2019; google-research/bert modeling.py.
    """
    word_ids, mask, type_ids = (keras.Input((None,), dtype="int32", name=name) for name in INPUTS)
    grid = Grid(layout, name="grid", dtype=dtype)(mask)
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
        outputs["pooled_output"] = pooler(encoder_outputs[-1])  # [B,D]
    return keras.Model(dict(zip(INPUTS, (word_ids, mask, type_ids), strict=True)), outputs, name="bert")


def encode(encoder: keras.Model, inputs: Mapping[str, Any] | None = None, *, first_only: bool = False) -> Any:
    """Run an encoder's layers on symbolic inputs, its own unless given: `sequence_output` [B,T,D].

    With `first_only` it is `sequence_output[:, :1]`, all that a pooler reads, for less: the last block works on B
    tokens instead of N.
    Raises: ConfigError where the model is no encoder of `build_encoder`.
    """
    encoder_config(encoder)
    layer = encoder.get_layer
    word_ids, mask, type_ids = ((encoder.input if inputs is None else inputs)[name] for name in INPUTS)
    grid = layer("grid")(mask)
    x = layer("embeddings")(word_ids, type_ids, grid)  # [N,D]
    *blocks, last = [each for each in encoder.layers if isinstance(each, Block)]
    for block in blocks:
        x = block(x, grid)  # [N,D]
    return last(x, grid, first_only=True) if first_only else layer("to_grid")(last(x, grid), grid)


def with_layout(model: keras.Model, layout: str) -> keras.Model:
    """Return an encoder or task model that shares all layers of `model` but lays out tokens otherwise.

    Raises: ConfigError on an unknown layout.
    """

    def shared(layer: keras.layers.Layer) -> keras.layers.Layer:
        return Grid(layout, name=layer.name, dtype=layer.dtype_policy) if isinstance(layer, Grid) else layer

    return keras.models.clone_model(model, clone_function=shared)


def serving_copy(model: keras.Model, dtype: str) -> keras.Model:
    """Return a copy of an encoder or task model that gives the same answers faster.

    It is packed, its weights are cast to the Keras dtype or policy `dtype`, and query, key and value are one product.
    """
    policy = keras.saving.serialize_keras_object(keras.dtype_policies.get(dtype))
    changes: dict[type, dict[str, Any]] = {Grid: {"layout": "packed"}, Block: {"fused": True}}

    def changed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {**layer.get_config(), "dtype": policy, **changes.get(type(layer), {})}
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=changed)
    weights = {weight.path: weight.value for weight in model.trainable_variables}
    for weight in copy.trainable_variables:
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
