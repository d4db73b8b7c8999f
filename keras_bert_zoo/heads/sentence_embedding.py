"""A vector for a text.  B batch, P texts an example (1 to answer, 2 to learn), R = B·P rows, T tokens, D size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.encoder import INPUTS, encode, encoder_config
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.heads.head import Head, Packer, Where
from keras_bert_zoo.layers import Fold, SentencePooling, Unfold
from keras_bert_zoo.training.metrics import pearson, spearman
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.training.pairs import CosineError, InBatchNegatives, cosines, own_is_nearest, ranking
from keras_bert_zoo.weights.rows import Row
from keras_bert_zoo.weights.sentence_transformers import module_files

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_bert_zoo.text.tokenizer import Tokenizer

LOSSES = ("ranking", "similarity")


class SentenceEmbedding(Head):
    """Gives a text a vector, near to those of texts that mean the same.

    Asked: `text` string [B].  Served out: `embedding` float32 [B,D].  It has no weights of its own.
    `pooling` is "mean", "cls" or "max" over the real tokens; with `normalize` every vector has length 1.

    It learns from pairs.  `loss` "ranking": the two texts belong together, the other second texts of a batch do not;
    `scale` is what cosines are multiplied by.  `loss` "similarity": a label is the cosine the two should have, after
    division by `highest`, the label of two texts that mean the same.
    Raises: ConfigError on other arguments.
    Source: Reimers and Gurevych 2019; sentence-transformers.
    """

    name: ClassVar[str] = "sentence_embedding"
    architecture: ClassVar[str] = "BertModel"
    monitor: ClassVar[str] = "spearman"

    def __init__(
        self,
        *,
        pooling: str = "mean",
        normalize: bool = True,
        loss: str = "ranking",
        scale: float = 20.0,
        highest: float = 1.0,
    ) -> None:
        SentencePooling(pooling, normalize)  # refuses an unknown pooling
        if loss not in LOSSES:
            raise ConfigError(f"SentenceEmbedding: loss is {loss!r}, it must be one of {', '.join(LOSSES)}.")
        for name, value in (("scale", scale), ("highest", highest)):
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ConfigError(f"SentenceEmbedding: {name} is {value!r}, it must be a number above 0.")
        super().__init__(0, dropout=0.0)
        self.pooling = pooling
        self.normalize = normalize
        self.objective = loss
        self.scale = scale
        self.highest = highest

    @property
    def train_columns(self) -> tuple[str, ...]:
        """Names of the string columns it learns from."""
        return ("text", "text_pair")

    @property
    def labelled(self) -> bool:
        """Whether it learns from labels."""
        return self.objective == "similarity"

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function from the texts that are given, one column or two, to features int32 [B,P,T]."""
        from keras_bert_zoo.text.packing import pack

        def features(columns: Mapping[str, Any], targets: Any = None) -> tuple[dict[str, tf.Tensor], Any]:
            import tensorflow as tf

            texts = tf.stack([columns[name] for name in self.train_columns if name in columns], axis=1)  # [B,P]
            ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}
            rows = pack([tokenizer.tokenize(tf.reshape(texts, [-1]))], **ids, max_length=length)  # [R,T]
            shape = tf.concat([tf.shape(texts), tf.shape(rows["input_mask"])[1:]], axis=0)
            if targets is None and not self.labelled:
                targets = tf.zeros([shape[0]])  # a pair's place in its batch is its label; Keras wants something
            return {name: tf.reshape(values, shape) for name, values in rows.items()}, targets

        return features

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn scores into cosines, float32 [N].  Raises: DataError on what is no number or out of range."""
        return np.array([self._cosine(label, where(i)) for i, label in enumerate(labels)], "float32")

    def _cosine(self, label: Any, where: str) -> float:
        try:
            value = float(label) / self.highest
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            advice = "" if self.labelled else " To learn by ranking, keep the pairs that belong together, unlabelled."
            raise DataError(f"{where}: label {label!r} is not a number.{advice}")
        if self.labelled and abs(value) > 1:
            raise DataError(
                f"{where}: label {label!r} is above {self.highest:g}, the highest there is. If labels go up to 5, say"
                " SentenceEmbedding(highest=5)."
            )
        return value

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features int32 [B,P,T] to vectors [B,P,D].  Raises: ConfigError: it is no encoder."""
        encoder_config(encoder)
        inputs = {name: keras.Input((None, None), dtype="int32", name=name) for name in INPUTS}  # [B,P,T]
        rows = {name: Fold(name=f"head_fold_{name}")(x) for name, x in inputs.items()}  # [R,T]
        sequence = encode(encoder, rows, first_only=self.pooling == "cls")  # [R,T,D], or [R,1,D]
        pooling = SentencePooling(self.pooling, self.normalize, name="head_pooling")
        vectors = Unfold(name="head_unfold")(pooling(sequence, rows["input_mask"]), inputs["input_mask"])  # [B,P,D]
        return TaskModel(inputs, vectors, name=f"bert_{self.name}")

    def loss(self) -> keras.losses.Loss:
        """Return the loss of scores float [B], unused by ranking, and vectors [B,2,D]."""
        return InBatchNegatives(self.scale) if self.objective == "ranking" else CosineError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return, for ranking, how often a batch's own pair is the nearest; correlations need all rows at once."""
        if self.objective == "ranking":
            return [keras.metrics.MeanMetricWrapper(own_is_nearest, name="accuracy")]
        return []

    def best_by(self, figures: Mapping[str, float]) -> str:
        """Return "spearman" where the rows had scores, else "mrr"."""
        return "spearman" if "spearman" in figures else "mrr"

    def report(self, targets: Any, outputs: np.ndarray) -> dict[str, float]:
        """Return figures over a whole data set: scores [N] or None, vectors [N,2,D].

        With scores, Pearson and Spearman correlation of cosines and scores, and the loss of "similarity".  For ranking
        and without scores, `accuracy` and `mrr` of finding the own second text among all, see `pairs.ranking`.
        """
        figures: dict[str, float] = {}
        if targets is not None:
            got, true = cosines(outputs), np.asarray(targets, "float64")
            if self.labelled:
                figures["loss"] = float(((got - true) ** 2).mean())
            figures |= {"pearson": pearson(true, got), "spearman": spearman(true, got)}
        if targets is None or not self.labelled:
            figures |= ranking(outputs)
        return figures

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn vectors [B,1,D] into `embedding` [B,D]."""
        import tensorflow as tf

        return {"embedding": tf.cast(outputs, tf.float32)[:, 0]}

    def logits_of(self, answers: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the vectors [N,2,D] of answers to all first texts, and then to all second ones."""
        vectors = np.array([answer["embedding"] for answer in answers], "float32")
        return vectors.reshape(2, len(answers) // 2, -1).swapaxes(0, 1)

    def rows(self, format: str) -> list[Row]:
        """Return where its own weights live: it has none."""
        return []

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {
            "pooling": self.pooling,
            "normalize": self.normalize,
            "loss": self.objective,
            "scale": self.scale,
            "highest": self.highest,
        }

    def huggingface_config(self) -> dict[str, Any]:
        """Return what `config.json` says of this head: nothing."""
        return {}

    def files(self, config: BertConfig, max_length: int) -> dict[str, Any]:
        """Return the JSON files that make a folder one of sentence-transformers."""
        return module_files(
            pooling=self.pooling, normalize=self.normalize, hidden_size=config.hidden_size, max_length=max_length
        )
