"""BERT's own task: hidden tokens, and whether one text follows another.  B batch, M masks a row, V vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.encoder import INPUTS, encode_sequences, encoder_config
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.heads.head import Head, Packer, Where
from keras_bert_zoo.heads.language import (
    PRETRAINING_PLACES,
    check_masking,
    masked_packer,
    masking_config,
    next_sentence_targets,
    widen_places,
)
from keras_bert_zoo.layers.masked_lm import token_logits
from keras_bert_zoo.training.masked_lm import MaskedLMAccuracy, MaskedLMLoss, Perplexity
from keras_bert_zoo.training.metrics import LabelledAccuracy
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.weights.rows import AnyRow

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

NO_SEQUENCE = -1  # the next-sentence target of a place in a row that no sequence has; see text/sequences.py
# Names in Google's records, the newer (Model Garden's) first -> ours
_RECORDS = {
    "input_word_ids": ("input_word_ids", "input_ids"),
    "input_mask": ("input_mask",),
    "input_type_ids": ("input_type_ids", "segment_ids"),
    "masked_lm_positions": ("masked_lm_positions",),
}


class Pretraining(Head):
    """Both tasks of BERT's pretraining on one encoder, their losses added.

    Learns from records with Google's names (`split`), or from pairs of texts labelled is_next and not_next, which it
    masks itself (see `MaskedLM` for the arguments).  Asked with a pair of texts it gives `tokens` string [B,M,K] and
    `scores` float32 [B,M,K] for the masks typed in the first and then in the second, `filled` and `filled_pair`
    string [B], and `probability` float32 [B] that the second follows.
    Raises: ConfigError on numbers that ask for no token.
    """

    name: ClassVar[str] = "pretraining"
    architecture: ClassVar[str] = "BertForPreTraining"
    monitor: ClassVar[str] = "masked_lm_accuracy"
    inputs: ClassVar[tuple[str, ...]] = (*INPUTS, "masked_lm_positions")
    scored_by: ClassVar[str] = "metrics"
    draws: ClassVar[bool] = True
    lasting: ClassVar[bool] = True
    places: ClassVar[Mapping[str, Sequence[AnyRow]]] = PRETRAINING_PLACES

    def __init__(
        self,
        *,
        top_k: int = 5,
        mask_share: float = 0.15,
        max_predictions: int | None = None,
        whole_words: bool = False,
        new_pooler: bool = False,
    ) -> None:
        check_masking("Pretraining", top_k, mask_share, max_predictions)
        super().__init__(2, pair=True, dropout=0.0, new_pooler=new_pooler)
        self.top_k = top_k
        self.mask_share = mask_share
        self.max_predictions = max_predictions
        self.whole_words = whole_words

    @staticmethod
    def split(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Part a batch of Google's pretraining records into what the model takes and what its losses take.

        Either spelling of the names: `input_word_ids` or `input_ids`, `input_type_ids` or `segment_ids`, int [B,T];
        `input_mask`, `masked_lm_positions`, `masked_lm_ids`, `masked_lm_weights` [B,M], `next_sentence_labels` [B] or
        [B,1], or `next_sentence_label`.  Works on arrays and inside `tf.data`.
        Raises: DataError naming what a record lacks.
        """
        import tensorflow as tf

        def find(*names: str) -> Any:
            for name in names:
                if name in record:
                    return record[name]
            raise DataError(f"A pretraining record lacks {' or '.join(names)}; it has {', '.join(sorted(record))}.")

        features = {name: tf.cast(find(*spellings), tf.int32) for name, spellings in _RECORDS.items()}
        asked = (find("masked_lm_ids"), find("masked_lm_weights"))
        labels = find("next_sentence_labels", "next_sentence_label")
        targets = {
            "masked_lm": tf.stack([tf.cast(values, tf.float32) for values in asked], axis=-1),  # [B,M,2]
            "next_sentence": tf.reshape(tf.cast(labels, tf.int32), [-1]),  # [B]
        }
        return features, targets

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function from pairs of texts to features: with `seeds` masks are drawn, else those typed are meant.

        Targets are a dict: `masked_lm` float32 [B,M,2], see `draw_masks`, and `next_sentence` int32 [B].
        """
        pack = masked_packer(self, super().pack(tokenizer, length), tokenizer, length)

        def features(columns: Mapping[str, Any], targets: Any = None, seeds: Any = None) -> tuple[dict[str, Any], Any]:
            packed, asked = pack(columns, seeds)
            return packed, {"masked_lm": asked, "next_sentence": targets}

        return features

    def widened(self, features: dict[str, Any], targets: Any, width: Any, pad_id: int) -> tuple[dict[str, Any], Any]:
        """Pad rows to `width` tokens, and places asked about to as many as a row of that width may have."""
        features, _ = super().widened(features, targets, width, pad_id)
        features, asked = widen_places(self, features, targets["masked_lm"], width)
        return features, {**targets, "masked_lm": asked}

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn labels into 0 (follows) and 1, int32 [N].  Raises: DataError naming the row on another label."""
        return next_sentence_targets(labels, where)

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features to two logits: `masked_lm` float32 [B,M,V], `next_sentence` float32 [B,2].

        On an encoder of several sequences a row the latter is [B,S,2], one answer a sequence.
        Raises: ConfigError where the encoder has no pooler and `new_pooler` is false, or is no encoder.
        """
        config = encoder_config(encoder)
        positions = keras.Input((None,), dtype="int32", name="masked_lm_positions")  # [B,M]
        sequence, grid = encode_sequences(encoder)  # [B,T,D]
        outputs = {
            "masked_lm": token_logits(encoder.get_layer("embeddings"), config.hidden_act, sequence, positions),
            "next_sentence": self.dense_on_pooled(encoder, sequence, grid),
        }
        return TaskModel({**encoder.input, "masked_lm_positions": positions}, outputs, name=f"bert_{self.name}")

    def loss(self) -> dict[str, keras.losses.Loss]:
        """Return both losses; their sum is minimised.  A next-sentence target below 0 does not count.

        Source: google-research/bert run_pretraining.py model_fn."""
        return {
            "masked_lm": MaskedLMLoss(),
            "next_sentence": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NO_SEQUENCE),
        }

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Return each task's accuracy, and perplexity; Keras puts the output's name before theirs."""
        return {
            "masked_lm": [MaskedLMAccuracy(name="accuracy"), Perplexity(name="perplexity")],
            "next_sentence": [LabelledAccuracy(name="accuracy")],
        }

    def measure(self, batches: Iterable[tuple[Any, Any]]) -> dict[str, float]:
        """Return loss, accuracy and perplexity over all places of all batches, and next-sentence accuracy."""
        figures = super().measure(batches)
        perplexity = figures.pop("masked_lm_perplexity")
        return {"masked_lm_loss": math.log(perplexity), "perplexity": perplexity, **figures}

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn both logits into the best tokens of each mask, the texts filled in, and whether the second follows."""
        import tensorflow as tf

        from keras_bert_zoo.text.masks import answer_masks

        logits = {name: tf.cast(values, tf.float32) for name, values in outputs.items()}
        tokens, scores, (filled, filled_pair) = answer_masks(logits["masked_lm"], features, self.top_k)
        return {
            "tokens": tokens,
            "scores": scores,
            "filled": filled,
            "filled_pair": filled_pair,
            "probability": tf.nn.softmax(logits["next_sentence"])[:, 0],
        }

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return masking_config(self)

    def huggingface_config(self) -> dict[str, Any]:
        """Return nothing: a `config.json` has no words for this head but `architectures`."""
        return {}

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return no arguments: a `config.json` says nothing of this head."""
        return {}
