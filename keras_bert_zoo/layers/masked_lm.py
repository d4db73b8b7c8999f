"""Which token stood at a place.  B batch, T tokens a row, M places asked about, D hidden size, V vocabulary."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_zoo.layers.block import ACTIVATIONS
from keras_bert_zoo.layers.embeddings import Embeddings
from keras_bert_zoo.layers.layout import take_places
from keras_bert_zoo.layers.norm import Norm


@keras.saving.register_keras_serializable("keras_bert_zoo")
class MaskedLMTransform(keras.layers.Layer):
    """Takes the tokens at some places, through a dense layer, its activation and a norm.

    Call: ([B,T,D], places int [B,M]) -> [B,M,D].  `hidden_act` is one of `config.ACTIVATIONS`.
    Source: Devlin et al. 2019, section 3.1; run_pretraining.py get_masked_lm_output, "transform".
    """

    def __init__(
        self, hidden_size: int, hidden_act: str, layer_norm_eps: float, initializer_range: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        init = keras.initializers.TruncatedNormal(stddev=initializer_range)
        self.dense = keras.layers.Dense(hidden_size, kernel_initializer=init, name="dense", dtype=self.dtype_policy)
        self.norm = Norm(epsilon=layer_norm_eps, name="norm", dtype=self.dtype_policy)

    def build(self, sequence_shape: Any, positions_shape: Any = None) -> None:
        self.dense.build((None, self.hidden_size))
        self.norm.build((None, self.hidden_size))

    def call(self, sequence: Any, positions: Any) -> Any:
        x = take_places(sequence, positions)  # [B,M,D]
        return self.norm(ACTIVATIONS[self.hidden_act](self.dense(x)))  # [B,M,D]

    def compute_output_spec(self, sequence: Any, positions: Any) -> Any:
        return keras.KerasTensor((*positions.shape, self.hidden_size), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "hidden_act": self.hidden_act,
            "layer_norm_eps": self.layer_norm_eps,
            "initializer_range": self.initializer_range,
        }


@keras.saving.register_keras_serializable("keras_bert_zoo")
class MaskedLMBias(keras.layers.Layer):
    """Adds to each token's logit how common it is: [B,M,V] -> [B,M,V].

    Source: run_pretraining.py get_masked_lm_output, "output_bias".
    """

    def build(self, shape: Any) -> None:
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")

    def call(self, logits: Any) -> Any:
        return logits + self.bias


def token_logits(
    embeddings: Embeddings, hidden_act: str, sequence: Any, positions: Any, layer_norm_eps: float | None = None
) -> Any:
    """Put the masked-LM layers on symbolic tensors: [B,T,D], places [B,M] -> float32 logits [B,M,V].

    The decoder is the token table itself: the layer `embeddings` is called a second time and nothing is stored twice.
    `layer_norm_eps` is the embeddings' own unless given.
    """
    transform = MaskedLMTransform(
        embeddings.hidden_size,
        hidden_act,
        embeddings.layer_norm_eps if layer_norm_eps is None else layer_norm_eps,
        embeddings.initializer_range,
        name="head_transform",
        dtype=embeddings.dtype_policy,
    )
    logits = embeddings(transform(sequence, positions), unembed=True)  # [B,M,V]
    return MaskedLMBias(name="head_masked_lm", dtype="float32")(logits)
