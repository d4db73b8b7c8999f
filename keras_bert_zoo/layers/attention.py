"""Self-attention.  B batch, T tokens a row, N tokens, D hidden size, H heads, d = D/H."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers.layout import to_grid, to_tokens


@keras.saving.register_keras_serializable("keras_bert_zoo")
class SelfAttention(keras.layers.Layer):
    """Lets every token gather from the real tokens of its row, several heads side by side.

    Call: ([N,D], grid) -> [N,D].  Raises: ConfigError where D cannot be divided by the heads.
    Source: Vaswani et al. 2017, section 3.2; modeling.py attention_layer.
    """

    def __init__(
        self, hidden_size: int, num_attention_heads: int, dropout: float, initializer_range: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if hidden_size % num_attention_heads:
            raise ConfigError(f"SelfAttention: {hidden_size} cannot be divided by {num_attention_heads} heads.")
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.head_size = hidden_size // num_attention_heads
        self.dropout_rate = dropout
        self.initializer_range = initializer_range

        def dense(name: str) -> keras.layers.Dense:
            init = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(hidden_size, kernel_initializer=init, name=name, dtype=self.dtype_policy)

        self.query, self.key, self.value, self.output_dense = map(dense, ("query", "key", "value", "output"))
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    def build(self, x_shape: Any, grid_shape: Any = None) -> None:
        for dense in (self.query, self.key, self.value, self.output_dense):
            dense.build((None, self.hidden_size))

    def call(self, x: Any, grid: dict[str, Any], training: bool | None = None) -> Any:
        q, k, v = (self._heads(dense(x), grid) for dense in (self.query, self.key, self.value))  # [B,H,T,d]
        scores = ops.matmul(q * self.head_size**-0.5, ops.swapaxes(k, 2, 3))  # [B,H,T,T]
        weights = self.dropout(ops.softmax(scores + grid["bias"]), training=training)  # [B,H,T,T]
        context = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))  # [B,T,H,d]
        context = ops.reshape(to_tokens(context, grid), (-1, self.hidden_size))  # [N,D]
        return self.output_dense(context)  # [N,D]

    def _heads(self, x: Any, grid: dict[str, Any]) -> Any:
        x = to_grid(x, grid, self.num_attention_heads, self.head_size)  # [B,T,H,d]
        return ops.transpose(x, (0, 2, 1, 3))  # [B,H,T,d]

    def compute_output_spec(self, x: Any, grid: dict[str, Any], training: bool | None = None) -> Any:
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.num_attention_heads,
            "dropout": self.dropout_rate,
            "initializer_range": self.initializer_range,
        }
