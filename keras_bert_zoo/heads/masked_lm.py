"""Hidden tokens of a text.  B batch, T tokens a row, M masks a row, K answers a mask, V vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.encoder import INPUTS, encode_sequences, encoder_config
from keras_bert_zoo.heads.head import Head, Packer, Where
from keras_bert_zoo.heads.language import (
    MASKED_LM_PLACES,
    check_masking,
    check_transform,
    masked_packer,
    masking_config,
    widen_places,
)
from keras_bert_zoo.layers.masked_lm import token_logits
from keras_bert_zoo.training.masked_lm import MaskedLMAccuracy, MaskedLMLoss, Perplexity
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.weights.rows import AnyRow

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer


class MaskedLM(Head):
    """Says which tokens may stand where a text has [MASK], and fills the text in.

    Served out: `tokens` string [B,M,K], `scores` float32 [B,M,K], their probabilities, best first; `filled` string
    [B].  `top_k` is K.  To learn, the head masks plain texts itself: `mask_share` of a row's tokens, at most
    `max_predictions` (None: that share of the longest row); `whole_words` masks all pieces of a word or none.
    `hidden_act` and `layer_norm_eps` are those of the layer before the logits, the encoder's unless given: KerasHub's
    differ from them.  Raises: ConfigError on numbers that ask for no token, or values that make no layer.
    """

    name: ClassVar[str] = "masked_lm"
    architecture: ClassVar[str] = "BertForMaskedLM"
    monitor: ClassVar[str] = "masked_lm_accuracy"
    inputs: ClassVar[tuple[str, ...]] = (*INPUTS, "masked_lm_positions")
    scored_by: ClassVar[str] = "metrics"
    draws: ClassVar[bool] = True
    lasting: ClassVar[bool] = True
    places: ClassVar[Mapping[str, Sequence[AnyRow]]] = MASKED_LM_PLACES

    def __init__(
        self,
        *,
        top_k: int = 5,
        mask_share: float = 0.15,
        max_predictions: int | None = None,
        whole_words: bool = False,
        hidden_act: str | None = None,
        layer_norm_eps: float | None = None,
    ) -> None:
        check_masking("MaskedLM", top_k, mask_share, max_predictions)
        check_transform("MaskedLM", hidden_act, layer_norm_eps)
        super().__init__(0, dropout=0.0)
        self.top_k = top_k
        self.mask_share = mask_share
        self.max_predictions = max_predictions
        self.whole_words = whole_words
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps

    @property
    def labelled(self) -> bool:
        """Whether it learns from labels: no, the text itself is what it learns."""
        return False

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function from texts [B] to features: with `seeds` masks are drawn, else those typed are meant.

        Features are int32 [B,T] and `masked_lm_positions` int32 [B,M]; targets float32 [B,M,2], see `draw_masks`.
        """
        pack = masked_packer(self, super().pack(tokenizer, length), tokenizer, length)

        def features(columns: Mapping[str, Any], targets: Any = None, seeds: Any = None) -> tuple[dict[str, Any], Any]:
            return pack(columns, seeds)

        return features

    def widened(self, features: dict[str, Any], targets: Any, width: Any, pad_id: int) -> tuple[dict[str, Any], Any]:
        """Pad rows to `width` tokens, and places asked about to as many as a row of that width may have."""
        features, _ = super().widened(features, targets, width, pad_id)
        return widen_places(self, features, targets, width)

    def targets(self, labels: Sequence[Any], where: Where) -> None:
        """Return None: what is asked about is drawn from the text, so labels are not read."""

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features to logits float32 [B,M,V]; the token table is both the first layer and the last.

        Raises: ConfigError where the encoder is no encoder.
        """
        config = encoder_config(encoder)
        positions = keras.Input((None,), dtype="int32", name="masked_lm_positions")  # [B,M]
        how = self.transform(config)
        table = encoder.get_layer("embeddings")
        sequence, _ = encode_sequences(encoder)  # [B,T,D]
        logits = token_logits(table, how["hidden_act"], sequence, positions, how["layer_norm_eps"])
        return TaskModel({**encoder.input, "masked_lm_positions": positions}, logits, name=f"bert_{self.name}")

    def loss(self) -> keras.losses.Loss:
        """Return cross entropy over the places asked about, of targets [B,M,2] and logits [B,M,V]."""
        return MaskedLMLoss()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return accuracy and perplexity over the places asked about."""
        return [MaskedLMAccuracy(name="masked_lm_accuracy"), Perplexity(name="perplexity")]

    def measure(self, batches: Iterable[tuple[Any, Any]]) -> dict[str, float]:
        """Return loss, accuracy and perplexity over all places of all batches."""
        figures = super().measure(batches)
        return {"masked_lm_loss": math.log(figures["perplexity"]), **figures}

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [B,M,V] into the best tokens of each mask, their probabilities, and the text filled in."""
        import tensorflow as tf

        from keras_bert_zoo.text.masks import answer_masks

        tokens, scores, (filled,) = answer_masks(tf.cast(outputs, tf.float32), features, self.top_k)
        return {"tokens": tokens, "scores": scores, "filled": filled}

    def transform(self, config: BertConfig) -> dict[str, Any]:
        """Return how the layer before the logits computes on an encoder of that config."""
        return {
            "hidden_act": self.hidden_act or config.hidden_act,
            "layer_norm_eps": self.layer_norm_eps or config.layer_norm_eps,
        }

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        own = {"hidden_act": self.hidden_act, "layer_norm_eps": self.layer_norm_eps}
        return {**masking_config(self), **{name: value for name, value in own.items() if value is not None}}

    def huggingface_config(self) -> dict[str, Any]:
        """Return nothing: a `config.json` has no words for this head but `architectures`."""
        return {}

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return no arguments: a `config.json` says nothing of this head."""
        return {}
