"""Token + position + segment.  B batch, T tokens a row, N tokens, D hidden size, V vocabulary."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.layers.layout import positions_of, to_tokens
from keras_bert_zoo.layers.norm import Norm


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Embeddings(keras.layers.Layer):
    """Adds the token, position and segment vectors, then normalises and drops out.

    Call: (word ids int [B,T], type ids int [B,T], grid) -> [N,D]; the way back, with `unembed`: vectors [..,D] ->
    their products with the token table, [..,V].
    Raises: DataError where T is known and longer than the position table.
    Source: Devlin et al. 2019, figure 2; modeling.py embedding_postprocessor.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        layer_norm_eps: float,
        dropout: float,
        initializer_range: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.layer_norm_eps = layer_norm_eps
        self.dropout_rate = dropout
        self.initializer_range = initializer_range

        def table(rows: int, name: str) -> keras.layers.Embedding:
            init = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Embedding(rows, hidden_size, init, name=name, dtype=self.dtype_policy)

        self.token = table(vocab_size, "token")
        self.position = table(max_position_embeddings, "position")
        self.segment = table(type_vocab_size, "segment")
        self.norm = Norm(epsilon=layer_norm_eps, name="norm", dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    @property
    def tables(self) -> tuple[keras.layers.Embedding, ...]:
        """The token, position and segment tables."""
        return self.token, self.position, self.segment

    def build(self, x_shape: Any, type_ids_shape: Any = None, grid_shape: Any = None) -> None:
        for table in self.tables:
            table.build()
        self.norm.build((None, self.hidden_size))

    def call(
        self,
        x: Any,
        type_ids: Any = None,
        grid: Any = None,
        unembed: bool = False,
        training: bool | None = None,
    ) -> Any:
        if unembed:
            flat = ops.reshape(x, (-1, self.hidden_size))
            products = ops.matmul(flat, ops.transpose(self.token.embeddings))
            return ops.reshape(products, (*ops.shape(x)[:-1], self.vocab_size))  # [..,V]
        word_ids = x
        if word_ids.shape[1] is not None and word_ids.shape[1] > self.max_position_embeddings:
            raise DataError(
                f"Rows of {word_ids.shape[1]} tokens do not fit a model with {self.max_position_embeddings} positions."
                " Pack the texts with a smaller max_length."
            )
        words, types = (to_tokens(ids, grid) for ids in (word_ids, type_ids))  # [N]
        places = positions_of(grid, word_ids)  # [N]
        x = self.token(words) + self.segment(types) + self.position(places)  # [N,D]
        return self.dropout(self.norm(x), training=training)  # [N,D]

    def compute_output_spec(
        self,
        x: Any,
        type_ids: Any = None,
        grid: Any = None,
        unembed: bool = False,
        training: bool | None = None,
    ) -> Any:
        if unembed:
            return keras.KerasTensor((*x.shape[:-1], self.vocab_size), dtype=self.compute_dtype)
        return keras.KerasTensor((None, self.hidden_size), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "max_position_embeddings": self.max_position_embeddings,
            "type_vocab_size": self.type_vocab_size,
            "layer_norm_eps": self.layer_norm_eps,
            "dropout": self.dropout_rate,
            "initializer_range": self.initializer_range,
        }
