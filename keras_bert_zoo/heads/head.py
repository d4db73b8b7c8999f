"""What a head is.  N examples, B batch of them, R rows the model reads, T tokens a row, D hidden size, C outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.answers import trim_of
from keras_bert_zoo.config import BertConfig, huggingface_dropout
from keras_bert_zoo.encoder import INPUTS, encode, encoder_config
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.layers import Pooler
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.weights.rows import TRANSPOSE, AnyRow, Row

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.text.tokenizer import Tokenizer

# Where row `i` of the data stands, for an error: "train.tsv, line 7".
Where = Callable[[int], str]
# Where a dense layer on the pooled vector lives.  Source: google-research/bert run_classifier.py create_model.
SENTENCE_PLACES: Mapping[str, Sequence[AnyRow]] = {
    "huggingface": (
        Row("head_logits/kernel", "classifier.weight", TRANSPOSE),
        Row("head_logits/bias", "classifier.bias"),
    ),
    "tf1": (
        Row("head_logits/kernel", "output_weights", TRANSPOSE),
        Row("head_logits/bias", "output_bias"),
    ),
    "keras_hub": (
        Row("head_logits/kernel", "task/layers/dense/vars/0"),
        Row("head_logits/bias", "task/layers/dense/vars/1"),
    ),
}
# Columns of strings [B] and the targets -> what the model takes, and the targets as its loss takes them.
Packer = Callable[..., tuple[dict[str, Any], Any]]


class Head(ABC):
    """One task: how texts become features, what sits on the encoder, how logits become an answer.

    A head is its class attributes and the methods below; those that have a body do what most heads want: they read
    one text or a pair, pack it into one row, and put one dense layer on the pooled vector.  Nothing here keeps a
    model: a head can be attached to any number of encoders.

    `pair` says that two texts go in (`text`, `text_pair`).  `dropout` is applied before the dense layer.
    `new_pooler` allows an encoder without a pooler to get a fresh, untrained one.
    """

    name: ClassVar[str]  # on the command line and on disk
    architecture: ClassVar[str] = "BertForSequenceClassification"  # the Hugging Face class that stores the same head
    problem_type: ClassVar[str | None] = None  # Hugging Face's word for the loss, where the class has several
    monitor: ClassVar[str]  # the figure of an evaluation that tells the best epoch; higher is better
    inputs: ClassVar[tuple[str, ...]] = INPUTS  # which of the packed features the model takes
    ranks: ClassVar[Mapping[str, int]] = {}  # of string columns that are not [B]: 2 is a list of strings a row
    windowed: ClassVar[bool] = False  # whether one example may become several rows
    # What an evaluation compares with the data: "logits" of all rows at once, "answers", or "metrics" batch by batch.
    scored_by: ClassVar[str] = "logits"
    scored_signature: ClassVar[str] = "serving_default"  # which of `signatures` gives the answers it compares
    served_as: ClassVar[str | None] = None  # "classify" or "regress", TensorFlow Serving's methods beside "predict"
    draws: ClassVar[bool] = False  # whether `pack` draws at random while learning
    # Whether its weights mean the same under every model: a bundle that has them keeps them when it is attached.
    lasting: ClassVar[bool] = False
    # A weight format -> where its own weights live there; a format that is not named has no place for them.
    places: ClassVar[Mapping[str, Sequence[AnyRow]]] = {"huggingface": SENTENCE_PLACES["huggingface"]}

    def __init__(self, outputs: int, *, pair: bool = False, dropout: float = 0.1, new_pooler: bool = False) -> None:
        check_dropout(type(self).__name__, dropout)
        self.outputs = outputs
        self.pair = pair
        self.dropout = dropout
        self.new_pooler = new_pooler

    # ---- from texts to features

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the string columns it reads: the first is a table's `texts`, a second one its `pairs`."""
        return ("text", "text_pair") if self.pair else ("text",)

    @property
    def train_columns(self) -> tuple[str, ...]:
        """Names of the string columns it learns from, where they are not those it answers."""
        return self.columns

    @property
    def labelled(self) -> bool:
        """Whether it learns from labels, so that a table must have them."""
        return True

    def check(self, table: Table) -> None:  # noqa: B027 -- most heads read whatever a table can hold
        """Raises: DataError naming the row, where a table holds what the head cannot read."""

    def row_counts(self, lengths: Mapping[str, np.ndarray], length: int) -> np.ndarray:
        """Return how many rows `pack` makes of each example, int [N]; only asked where `windowed` is true.

        `lengths` are the tokens of each column, int [N]; `length` is the limit of a row.
        """
        return np.ones_like(next(iter(lengths.values())))

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function for `tf.data` and exports from string columns [B] and targets to (features, targets).

        Features are int32 [R,T]: T is the batch's own longest row, at most `length`; longer texts are cut, pairs
        longest first.  Features that the model does not take are for `decode`.

        The function of a windowed head also takes `window`, int [B]: then each example gives its window of that
        number alone, and R is B; else it gives them all.  That of a head that draws also takes `seeds`, int64 [B,2],
        for batches to learn from or to measure on: the pass's and the text's number.
        """
        from keras_bert_zoo.text.packing import pack

        def features(columns: Mapping[str, Any], targets: Any = None) -> tuple[dict[str, tf.Tensor], Any]:
            segments = [tokenizer.tokenize(columns[name]) for name in self.columns]
            ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}
            return pack(segments, **ids, max_length=length), targets

        return features

    def widened(self, features: dict[str, Any], targets: Any, width: Any, pad_id: int) -> tuple[dict[str, Any], Any]:
        """Pad a batch's features and targets from their own longest row to `width` tokens, int32 []; for `tf.data`."""
        from keras_bert_zoo.text.packing import widen

        return widen(features, width, pad_id), targets

    @abstractmethod
    def targets(self, labels: Sequence[Any], where: Where) -> Any:
        """Turn labels as they stand in the data into targets: arrays or ragged tensors [N,…], or a dict of them.

        Raises: DataError naming the row.
        """

    @staticmethod
    def labels_in(values: Sequence[Any]) -> list[str] | None:
        """Return the labels that a table's label column holds, sorted; None for a head without labels."""
        return None

    @classmethod
    def arguments_in(cls, values: Sequence[Any]) -> dict[str, Any]:
        """Return the arguments of the head that a table's label column tells: its labels, where it has any."""
        found = cls.labels_in(values)
        return {} if found is None else {"labels": found}

    # ---- the model

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features to logits, sharing the encoder's layers.

        Raises: ConfigError where the encoder has no pooler and `new_pooler` is false, or is no encoder.
        """
        encoder_config(encoder)  # refuses what is no encoder
        logits = self.dense_on_pooled(encoder, encode(encoder, first_only=True))  # [B,C]
        return TaskModel(encoder.input, logits, name=f"bert_{self.name}")

    def dense_on_pooled(self, encoder: keras.Model, first: Any, grid: Any = None) -> Any:
        """Pool rows' first tokens [R,1,D], drop out, and put one dense layer on them: logits [R,C].

        With a grid of several sequences a row: each one's first token of [R,T,D], logits [R,S,C].
        Raises: ConfigError where the encoder has no pooler and `new_pooler` is false.
        Source: google-research/bert run_classifier.py create_model.
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
        return dense_logits(config, self.outputs, self.dropout, pooler(first, grid))

    @abstractmethod
    def loss(self) -> Any:
        """Return the loss of targets and logits, for `compile`; a dict of losses for a model with several outputs."""

    @abstractmethod
    def metrics(self) -> Any:
        """Return fresh metrics of targets and logits, for `compile`; a dict of lists for several outputs."""

    # ---- from logits to answers

    def signatures(self) -> dict[str, Head]:
        """Return the signatures of an export that take strings, and the head that decodes each of them."""
        return {"serving_default": self}

    @abstractmethod
    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits, and what `pack` remembered, into what a person wants: dense tensors [B,…], in graph."""

    def serve_as(self, answer: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """Turn `decode`'s answer into that of `served_as`: `classes` and `scores` [B,C], or `outputs` [B]; in graph."""
        return {}

    def trim(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return one text's answer, as plain values, without the padding that a batch's dense tensors need."""
        return trim_of(self.name, answer)

    def best_by(self, figures: Mapping[str, float]) -> str:
        """Return the name of the figure that tells the best epoch; higher is better."""
        return self.monitor

    def report(self, targets: Any, outputs: np.ndarray) -> dict[str, float]:
        """Return the loss and every metric over a whole data set: targets and logits of all rows."""
        figures = {"loss": float(np.mean(keras.ops.convert_to_numpy(self.loss()(targets, outputs))))}
        for metric in self.metrics():
            metric.update_state(targets, outputs)
            figures[metric.name] = float(metric.result())
        return figures

    def logits_of(self, answers: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return logits [N,..] that decode to these answers, for `report`.  Raises: ConfigError where there is none."""
        raise ConfigError(f"The answers of the head '{self.name}' do not tell its logits.")

    def score(self, table: Table, answers: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Return the figures of a whole data set from trimmed answers; only asked where `scored_by` is "answers"."""
        return {}

    def measure(self, batches: Iterable[tuple[Any, Any]]) -> dict[str, float]:
        """Return the metrics over batches of targets and logits; only asked where `scored_by` is "metrics"."""
        metrics = self.metrics()
        several = isinstance(metrics, dict)
        groups: dict[str, list[Any]] = metrics if several else {"": metrics}
        for targets, outputs in batches:
            for output, group in groups.items():
                for metric in group:
                    metric.update_state(*((targets[output], outputs[output]) if several else (targets, outputs)))
        return {
            f"{output}_{metric.name}" if several else metric.name: float(metric.result())
            for output, group in groups.items()
            for metric in group
        }

    def write_answers(self, table: Table, answers: Sequence[dict[str, Any]], folder: Path) -> None:
        """Write a labelled table's answers as the files that the task's own scripts read, into a new folder.

        Raises: ConfigError where the task has no such files.
        """
        raise ConfigError(f"The head '{self.name}' has no files of predictions. Use kbz predict --file ... instead.")

    # ---- on disk

    @property
    def whole_encoder(self) -> bool:
        """Whether a folder holds all of the encoder, be it read by the head or not: so it is in a bare encoder's."""
        return self.architecture == "BertModel"

    def rows(self, format: str) -> Sequence[AnyRow]:
        """Return where its own weights live in a weight format.  Raises: ConfigError on a format without a place."""
        if format not in self.places:
            raise ConfigError(f"The weight format '{format}' has no place for the head '{self.name}'.")
        return self.places[format]

    def transform(self, config: BertConfig) -> dict[str, Any]:
        """Return how its layer before the logits computes, as fields of a config; most heads have no such layer."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {"pair": self.pair, "dropout": self.dropout}

    def huggingface_config(self) -> dict[str, Any]:
        """Return what a Hugging Face `config.json` says of this head, `architectures` aside."""
        names = getattr(self, "labels", ("LABEL_0",))
        return {
            **({"problem_type": self.problem_type} if self.problem_type else {}),
            "id2label": {str(i): label for i, label in enumerate(names)},
            "label2id": {label: i for i, label in enumerate(names)},
            "classifier_dropout": self.dropout,
        }

    def files(self, config: BertConfig, max_length: int) -> dict[str, Any]:
        """Return JSON files, by path, that other libraries want beside the weights."""
        return {}

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return the arguments that a `config.json` and its labels in order mean for this head."""
        return {"labels": list(labels), "dropout": huggingface_dropout(raw)}


def dense_logits(config: BertConfig, outputs: int, dropout: float, x: Any) -> Any:
    """Drop out and put one dense layer, in float32, on symbolic vectors: [..,D] -> [..,C]."""
    init = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
    x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    return keras.layers.Dense(outputs, kernel_initializer=init, name="head_logits", dtype="float32")(x)


def check_dropout(head: str, dropout: float) -> None:
    """Raises: ConfigError unless it is a share of 1."""
    if not 0 <= dropout < 1:
        raise ConfigError(f"{head}: dropout is {dropout}, it must be from 0 up to (not with) 1.")


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
