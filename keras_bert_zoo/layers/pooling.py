"""The sentence vector of BERT.  B batch, T tokens, S sequences a row, D hidden size."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_zoo.layers.layout import has_sequences, take_places


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Pooler(keras.layers.Dense):
    """Turns the first token's vector into the sentence's: tanh of a dense layer, [B,T,D] -> [B,D].

    With a grid of several sequences a row: each one's first token, ([B,T,D], grid) -> [B,S,D].
    Source: modeling.py BertModel, "pooler".
    """

    def __init__(self, units: int, initializer_range: float = 0.02, **kwargs: Any) -> None:
        for fixed in ("activation", "kernel_initializer"):  # in a saved config; both follow from the class
            kwargs.pop(fixed, None)
        init = keras.initializers.TruncatedNormal(stddev=initializer_range)
        super().__init__(units, activation="tanh", kernel_initializer=init, **kwargs)
        self.initializer_range = initializer_range

    def call(self, sequence: Any, grid: dict[str, Any] | None = None, training: bool | None = None) -> Any:
        if grid is not None and has_sequences(grid):
            return super().call(take_places(sequence, grid["firsts"]), training=training)  # [B,S,D]
        return super().call(sequence[:, 0], training=training)  # [B,D]

    def compute_output_spec(
        self, sequence: Any, grid: dict[str, Any] | None = None, training: bool | None = None
    ) -> Any:
        several = grid["firsts"].shape[1:] if grid is not None else ()  # (S,), or none
        return keras.KerasTensor((sequence.shape[0], *several, self.units), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer_range": self.initializer_range}
