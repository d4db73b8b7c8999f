"""One Transformer block, post-norm as in BERT.  N tokens, D hidden size, F inner size."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.layers.attention import SelfAttention
from keras_bert_zoo.layers.layout import first_tokens, in_batch_order
from keras_bert_zoo.layers.norm import Norm

ACTIVATIONS = {
    "gelu_erf": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
    "tanh": ops.tanh,
    "linear": lambda x: x,
}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Block(keras.layers.Layer):
    """Attention, then a feed-forward net, each added to its input and normalised afterwards.

    Call: ([N,D], grid) -> [N,D]; with `first_only` [B,1,D], the first token of each row and no work for the others.
    `hidden_act` is one of `config.ACTIVATIONS`; `fused` see `SelfAttention`.
    Source: Devlin et al. 2019; modeling.py transformer_model.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        intermediate_size: int,
        hidden_act: str,
        layer_norm_eps: float,
        hidden_dropout: float,
        attention_dropout: float,
        initializer_range: float,
        fused: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps
        self.hidden_dropout = hidden_dropout
        self.attention_dropout = attention_dropout
        self.initializer_range = initializer_range
        self.fused = fused

        def dense(size: int, name: str) -> keras.layers.Dense:
            init = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(size, kernel_initializer=init, name=name, dtype=self.dtype_policy)

        def norm(name: str) -> Norm:
            return Norm(epsilon=layer_norm_eps, name=name, dtype=self.dtype_policy)

        self.attention = SelfAttention(
            hidden_size,
            num_attention_heads,
            attention_dropout,
            initializer_range,
            fused,
            name="attention",
            dtype=self.dtype_policy,
        )
        self.attention_norm = norm("attention_norm")
        self.inner = dense(intermediate_size, "inner")
        self.outer = dense(hidden_size, "outer")
        self.output_norm = norm("output_norm")
        self.activation = ACTIVATIONS[hidden_act]
        self.dropout = keras.layers.Dropout(hidden_dropout, name="dropout", dtype=self.dtype_policy)

    def build(self, x_shape: Any, grid_shape: Any = None) -> None:
        hidden = (None, self.hidden_size)
        self.attention.build(hidden)
        self.attention_norm.build(hidden)
        self.inner.build(hidden)
        self.outer.build((None, self.intermediate_size))
        self.output_norm.build(hidden)

    def call(self, x: Any, grid: dict[str, Any], first_only: bool = False, training: bool | None = None) -> Any:
        gathered = self.attention(x, grid, first_only=first_only, training=training)  # [N,D]; first_only: N is B
        x = first_tokens(x, grid) if first_only else x
        x = self.attention_norm(x + self.dropout(gathered, training=training))  # [N,D]
        inner = self.activation(self.inner(x))  # [N,F]
        x = self.output_norm(x + self.dropout(self.outer(inner), training=training))  # [N,D]
        return ops.expand_dims(in_batch_order(x, grid), 1) if first_only else x

    def compute_output_spec(
        self, x: Any, grid: dict[str, Any], first_only: bool = False, training: bool | None = None
    ) -> Any:
        shape = (grid["mask"].shape[0], 1, self.hidden_size) if first_only else x.shape
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": self.hidden_act,
            "layer_norm_eps": self.layer_norm_eps,
            "hidden_dropout": self.hidden_dropout,
            "attention_dropout": self.attention_dropout,
            "initializer_range": self.initializer_range,
            "fused": self.fused,
        }
