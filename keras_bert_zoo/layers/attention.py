"""Self-attention.  B batch, T tokens a row, N tokens, D hidden size, H heads, d = D/H."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers.layout import from_heads, row_groups, to_heads

PROJECTIONS = ("query", "key", "value")
FUSED = "query_key_value"


@keras.saving.register_keras_serializable("keras_bert_zoo")
class SelfAttention(keras.layers.Layer):
    """Lets every token gather from the real tokens of its row, several heads side by side.

    Call: ([N,D], grid) -> [N,D]; with `first_only` [B,D], what the first token of each row gathers, group by group.
    `fused` holds query, key and value as one kernel [D,3·D], for one large product instead of three;
    `encoder.serving_copy` fuses a trained model.
    Raises: ConfigError where D cannot be divided by the heads.
    Source: Vaswani et al. 2017, section 3.2; modeling.py attention_layer.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        dropout: float,
        initializer_range: float,
        fused: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden_size % num_attention_heads:
            raise ConfigError(f"SelfAttention: {hidden_size} cannot be divided by {num_attention_heads} heads.")
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.head_size = hidden_size // num_attention_heads
        self.dropout_rate = dropout
        self.initializer_range = initializer_range
        self.fused = fused

        def dense(name: str, size: int = hidden_size) -> keras.layers.Dense:
            init = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(size, kernel_initializer=init, name=name, dtype=self.dtype_policy)

        if fused:
            self.query_key_value = dense(FUSED, 3 * hidden_size)
            self.projections = [self.query_key_value]
        else:
            self.query, self.key, self.value = self.projections = [dense(name) for name in PROJECTIONS]
        self.output_dense = dense("output")
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    def build(self, x_shape: Any, grid_shape: Any = None) -> None:
        for layer in (*self.projections, self.output_dense):
            layer.build((None, self.hidden_size))

    def call(self, x: Any, grid: dict[str, Any], first_only: bool = False, training: bool | None = None) -> Any:
        projected = [dense(x) for dense in self.projections]  # [N,D] three times, or [N,3·D]
        contexts = []
        for group in row_groups(grid):
            q, k, v = self._heads(projected, grid, group)  # [b,H,t,d] each
            q = q[:, :, :1] if first_only else q  # [b,H,1,d]: t is 1 for all that follows
            scores = ops.matmul(q * self.head_size**-0.5, ops.swapaxes(k, 2, 3))  # [b,H,t,t]
            weights = self.dropout(ops.softmax(scores + group["bias"]), training=training)  # [b,H,t,t]
            contexts.append(ops.matmul(weights, v))  # [b,H,t,d]
        if first_only:
            rows = [ops.reshape(context, (-1, self.hidden_size)) for context in contexts]
            return self.output_dense(ops.concatenate(rows, axis=0))  # [B,D]
        return self.output_dense(from_heads(contexts, grid))  # [N,D]

    def _heads(self, projected: list[Any], grid: dict[str, Any], group: dict[str, Any]) -> list[Any]:
        parts = 3 // len(projected)
        return [part for each in projected for part in to_heads(each, grid, group, self.num_attention_heads, parts)]

    def compute_output_spec(
        self, x: Any, grid: dict[str, Any], first_only: bool = False, training: bool | None = None
    ) -> Any:
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.num_attention_heads,
            "dropout": self.dropout_rate,
            "initializer_range": self.initializer_range,
            "fused": self.fused,
        }
