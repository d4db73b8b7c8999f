"""What a head is, and the base of the heads that read one vector a text.

B batch, T tokens a row, D hidden size, C outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import keras
import numpy as np

from keras_bert_zoo.encoder import encoder_config, first_output
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.layers import Pooler
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.weights.rows import TRANSPOSE, Row

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_bert_zoo.text.tokenizer import Tokenizer

# Where row `i` of the data stands, for an error: "train.tsv, line 7".
Where = Callable[[int], str]
# Columns of strings [B] and the targets -> what the model takes, and the targets as its loss takes them.
Packer = Callable[..., tuple[dict[str, Any], Any]]


class Head(Protocol):
    """One task: how texts become features, what sits on the encoder, how logits become an answer."""

    name: ClassVar[str]
    architecture: ClassVar[str]  # the Hugging Face class that stores the same head
    monitor: ClassVar[str]  # the figure of `report` that tells the best epoch; higher is better

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the string columns it reads, in the order they are packed."""
        ...

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from the encoder's inputs to this head's logits, sharing the encoder's layers."""
        ...

    def loss(self) -> keras.losses.Loss:
        """Return the loss of targets and logits."""
        ...

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return fresh metrics of targets and logits, for `compile`."""
        ...

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn labels as they stand in the data into targets.  Raises: DataError naming the row."""
        ...

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function for `tf.data` from string columns (and targets) to (features, targets)."""
        ...

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits into what a person wants, in graph."""
        ...

    def report(self, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Return the figures of a whole data set: targets and logits of all rows."""
        ...

    def rows(self, format: str) -> list[Row]:
        """Return where its own weights live in a weight format."""
        ...

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        ...

    def huggingface_config(self) -> dict[str, Any]:
        """Return what a Hugging Face `config.json` says of this head, `architectures` aside."""
        ...


class PooledHead(ABC):
    """Base of the heads that read `pooled_output`: dropout, then one dense layer to C logits.

    `pair` says that two texts go in (`text`, `text_pair`).  `dropout` is applied to the pooled vector.
    `new_pooler` allows an encoder without a pooler to get a fresh, untrained one.
    Source: google-research/bert run_classifier.py create_model.
    """

    name: ClassVar[str]
    architecture: ClassVar[str] = "BertForSequenceClassification"
    problem_type: ClassVar[str]  # Hugging Face's word for the loss

    def __init__(self, outputs: int, *, pair: bool, dropout: float, new_pooler: bool) -> None:
        if not 0 <= dropout < 1:
            raise ConfigError(f"{type(self).__name__}: dropout is {dropout}, it must be from 0 up to (not with) 1.")
        self.outputs = outputs
        self.pair = pair
        self.dropout = dropout
        self.new_pooler = new_pooler

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the string columns it reads, in the order they are packed."""
        return ("text", "text_pair") if self.pair else ("text",)

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from the encoder's inputs to logits [B,C], sharing the encoder's layers.

        Raises: ConfigError where the encoder has no pooler and `new_pooler` is false, or is no encoder.
        """
        config = encoder_config(encoder)
        if config.pooler:
            pooler = encoder.get_layer("pooler")
        elif self.new_pooler:
            pooler = Pooler(config.hidden_size, config.initializer_range, name="pooler", dtype=encoder.dtype_policy)
        else:
            raise ConfigError(
                f"{type(self).__name__} reads pooled_output, but this encoder has no pooler (its weights came without"
                " one). Pass new_pooler=True to train a new one, or load weights that have it."
            )
        init = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        pooled = pooler(first_output(encoder))  # [B,D]
        x = keras.layers.Dropout(self.dropout, name="head_dropout")(pooled)
        logits = keras.layers.Dense(self.outputs, kernel_initializer=init, name="head_logits", dtype="float32")(x)
        return TaskModel(encoder.input, logits, name=f"bert_{self.name}")  # [B,C]

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function from string columns [B] (and targets) to (int32 [B,T] features, targets).

        T is the batch's own longest row, at most `length`; longer texts are cut, pairs longest first.
        """
        from keras_bert_zoo.text.packing import pack

        def features(columns: Mapping[str, Any], targets: Any = None) -> tuple[dict[str, tf.Tensor], Any]:
            segments = [tokenizer.tokenize(columns[name]) for name in self.columns]
            ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}
            return pack(segments, **ids, max_length=length), targets

        return features

    def report(self, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Return the loss and every metric over a whole data set: targets and logits of all rows."""
        figures = {"loss": float(np.mean(keras.ops.convert_to_numpy(self.loss()(targets, outputs))))}
        for metric in self.metrics():
            metric.update_state(targets, outputs)
            figures[metric.name] = float(metric.result())
        return figures

    def rows(self, format: str) -> list[Row]:
        """Return where its own weights live in a weight format.  Raises: ConfigError on a format without a place."""
        if format != "huggingface":
            raise ConfigError(f"The weight format '{format}' has no place for the head '{self.name}'.")
        return [Row("head_logits/kernel", "classifier.weight", TRANSPOSE), Row("head_logits/bias", "classifier.bias")]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {"pair": self.pair, "dropout": self.dropout}

    def huggingface_config(self) -> dict[str, Any]:
        """Return what a Hugging Face `config.json` says of this head."""
        names = getattr(self, "labels", ("LABEL_0",))
        return {
            "problem_type": self.problem_type,
            "id2label": {str(i): label for i, label in enumerate(names)},
            "label2id": {label: i for i, label in enumerate(names)},
            "classifier_dropout": self.dropout,
        }

    @abstractmethod
    def loss(self) -> keras.losses.Loss:
        """Return the loss of targets and logits."""

    @abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return fresh metrics of targets and logits."""


def check_labels(head: str, labels: Sequence[str], least: int) -> tuple[str, ...]:
    """Return the labels as a tuple.  Raises: ConfigError unless they are different, filled strings, `least` or more."""
    if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
        raise ConfigError(f'{head}: labels must be a list of filled strings such as ["no", "yes"], got {labels!r}.')
    if len(labels) < least or len(set(labels)) < len(labels):
        raise ConfigError(f"{head}: labels must be {least} or more different strings, got {list(labels)}.")
    return tuple(labels)


def label_index(labels: Sequence[str], value: Any, where: str) -> int:
    """Return the place of a label.  Raises: DataError naming the row and the labels there are."""
    try:
        return labels.index(str(value))
    except ValueError:
        raise DataError(f"{where}: label {value!r} is not among the head's labels ({', '.join(labels)}).") from None
