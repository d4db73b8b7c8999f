"""One out of several texts.  B batch, C choices, R = B·C rows, T tokens a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.config import huggingface_dropout
from keras_bert_zoo.data.choices import check_choices, choice_number
from keras_bert_zoo.encoder import INPUTS, encode, encoder_config
from keras_bert_zoo.heads.head import Head, Packer, Where
from keras_bert_zoo.layers import ChoiceLogits, Fold, Unfold
from keras_bert_zoo.training.model import TaskModel

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.text.tokenizer import Tokenizer

_LEAST = float(np.finfo("float32").tiny)


class MultipleChoice(Head):
    """Chooses which of several texts goes on from a text, or answers it.

    Asked: `text` string [B], `choices` string [B,C]; "" is no choice, so rows may have fewer than C.
    Served out: `choice` int32 [B], from 0, or -1 where there are none; `probabilities` float32 [B,C], 0 for "".
    Source: Devlin et al. 2019, section 4.4 (SWAG).
    """

    name: ClassVar[str] = "multiple_choice"
    architecture: ClassVar[str] = "BertForMultipleChoice"
    monitor: ClassVar[str] = "accuracy"
    served_as: ClassVar[str] = "classify"
    ranks: ClassVar[Mapping[str, int]] = {"choices": 2}
    scored_by: ClassVar[str] = "answers"  # logits of batches with more and fewer choices do not make one array

    def __init__(self, *, dropout: float = 0.1, new_pooler: bool = False) -> None:
        super().__init__(1, dropout=dropout, new_pooler=new_pooler)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the string columns it reads."""
        return ("text", "choices")

    def check(self, table: Table) -> None:
        """Raises: DataError on a row without choices, with an empty one, or whose label is none of them."""
        check_choices(table)

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function from text [B] and choices [B,C] to features int32 [B,C,T]: each choice after its text.

        What is too long is cut as of any pair.  A row of "" has no token at all: `input_mask` is 0.
        """
        from keras_bert_zoo.text.packing import pack

        def features(columns: Mapping[str, Any], targets: Any = None) -> tuple[dict[str, tf.Tensor], Any]:
            import tensorflow as tf

            choices = tf.convert_to_tensor(columns["choices"], tf.string)  # [B,C]
            batch, count = tf.unstack(tf.shape(choices))
            flat = tf.reshape(choices, [-1])  # [R]
            owner = tf.repeat(tf.range(batch), count)  # [R]
            segments = [tf.gather(tokenizer.tokenize(columns["text"]), owner), tokenizer.tokenize(flat)]
            ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}
            rows = pack(segments, **ids, max_length=length)
            there = tf.cast(flat != "", tf.int32)[:, None]  # [R,1]
            rows["input_word_ids"] = rows["input_word_ids"] * there + tokenizer.pad_id * (1 - there)
            rows["input_mask"] *= there
            rows["input_type_ids"] *= there
            shape = tf.stack([batch, count, tf.shape(rows["input_mask"])[1]])
            return {name: tf.reshape(values, shape) for name, values in rows.items()}, targets

        return features

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn numbers of choices into int32 [N].  Raises: DataError naming the row."""
        return np.array([choice_number(label, where(i)) for i, label in enumerate(labels)], "int32")

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features int32 [B,C,T] to logits [B,C]; what is no choice has about -1e9.

        Raises: ConfigError where the encoder has no pooler and `new_pooler` is false, or is no encoder.
        """
        encoder_config(encoder)
        inputs = {name: keras.Input((None, None), dtype="int32", name=name) for name in INPUTS}  # [B,C,T]
        rows = {name: Fold(name=f"head_fold_{name}")(x) for name, x in inputs.items()}  # [R,T]
        logits = self.dense_on_pooled(encoder, encode(encoder, rows, first_only=True))  # [R,1]
        mask = inputs["input_mask"]
        logits = ChoiceLogits(name="head_choices")(Unfold(name="head_unfold")(logits, mask), mask)  # [B,C]
        return TaskModel(inputs, logits, name=f"bert_{self.name}")

    def loss(self) -> keras.losses.Loss:
        """Return cross entropy of the right choices int [B] and logits [B,C]."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return accuracy."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [B,C] into the number of the likeliest choice and the probability of each."""
        import tensorflow as tf

        there = tf.reduce_max(features["input_mask"], axis=-1) > 0  # [B,C]
        logits = tf.where(there, tf.cast(outputs, tf.float32), -1e9)
        logits = tf.pad(logits, [[0, 0], [0, 1]], constant_values=-1e9)  # [B,C+1]: no row is empty, whatever C is
        # What is there has more than 0, so that 0 says that there is nothing.
        probabilities = tf.where(there, tf.maximum(tf.nn.softmax(logits)[:, :-1], _LEAST), 0.0)  # [B,C]
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)  # [B]
        return {"choice": tf.where(tf.reduce_any(there, axis=-1), best, -1), "probabilities": probabilities}

    def serve_as(self, answer: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the choices themselves and their probabilities; "" has 0."""
        return {"classes": columns["choices"], "scores": answer["probabilities"]}

    def score(self, table: Table, answers: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Return the accuracy and the cross entropy of a whole data set from its answers."""
        right = self.targets(table.labels or [], table.place)
        share = np.array([answer["probabilities"][i] for answer, i in zip(answers, right, strict=True)], "float64")
        hits = np.mean([answer["choice"] == i for answer, i in zip(answers, right, strict=True)])
        return {"loss": float(-np.log(share).mean()), "accuracy": float(hits)}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {"dropout": self.dropout}

    def huggingface_config(self) -> dict[str, Any]:
        """Return what `config.json` says of this head: no labels, choices have none."""
        return {"classifier_dropout": self.dropout}

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return the arguments that a `config.json` means."""
        return {"dropout": huggingface_dropout(raw)}
