"""The answer to a question, as it stands in a context.  B examples, R rows of windows, T tokens a row, N answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.encoder import encode, encoder_config
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.heads.head import Head, Packer, Where, check_dropout, dense_logits
from keras_bert_zoo.layers import RealTokensOnly
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.training.spans import EndAccuracy, SpanCrossEntropy
from keras_bert_zoo.weights.rows import TRANSPOSE, AnyRow, Row

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.text.tokenizer import Tokenizer


class QuestionAnswering(Head):
    """Finds the answer to a question in a context of any length, as SQuAD 1.1 and 2.0 ask for it.

    A long context is read in windows, each `doc_stride` tokens after the one before.  A question is cut at
    `max_query_length` tokens, and at half a row.  An answer has at most `max_answer_length` tokens.  `n_best` is how
    many starts and ends of a window are paired, and how many answers are told.  `no_answer` says that a question
    may have none (SQuAD 2.0): then the answer is empty where "no answer" scores more than `null_threshold` above
    the best answer.

    Served out: `answer` string [B], the very characters of the context; `start`, `end` int32 [B], its first character
    and the one behind it, counted in Unicode characters; `score` float32 [B], the share of it among the best;
    `no_answer_score` float32 [B], what is compared with `null_threshold`; and the best answers, best first, as
    `answers`, `starts`, `ends`, `scores`, `start_logits`, `end_logits` [B,N], padded with "", -1 and 0.  N is `n_best`,
    one more with `no_answer`.  Without a question or a context there is no answer: "", -1, score 0.
    Raises: ConfigError on numbers that make no head.  Source: google-research/bert run_squad.py.
    """

    name: ClassVar[str] = "question_answering"
    architecture: ClassVar[str] = "BertForQuestionAnswering"
    monitor: ClassVar[str] = "f1"
    windowed: ClassVar[bool] = True
    scored_by: ClassVar[str] = "answers"
    places: ClassVar[Mapping[str, Sequence[AnyRow]]] = {
        "huggingface": (
            Row("head_logits/kernel", "qa_outputs.weight", TRANSPOSE),
            Row("head_logits/bias", "qa_outputs.bias"),
        ),
        "tf1": (
            Row("head_logits/kernel", "cls/squad/output_weights", TRANSPOSE),
            Row("head_logits/bias", "cls/squad/output_bias"),
        ),
    }

    def __init__(
        self,
        *,
        no_answer: bool = False,
        null_threshold: float = 0.0,
        doc_stride: int = 128,
        max_query_length: int = 64,
        max_answer_length: int = 30,
        n_best: int = 20,
        dropout: float = 0.0,
    ) -> None:
        check_dropout("QuestionAnswering", dropout)
        counts = {
            "doc_stride": doc_stride,
            "max_query_length": max_query_length,
            "max_answer_length": max_answer_length,
            "n_best": n_best,
        }
        for name, count in counts.items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ConfigError(f"QuestionAnswering: {name} is {count!r}, it must be a whole number of at least 1.")
        if not isinstance(no_answer, bool):
            raise ConfigError(f"QuestionAnswering: no_answer is {no_answer!r}, it must be true or false.")
        if isinstance(null_threshold, bool) or not isinstance(null_threshold, (int, float)):
            raise ConfigError(f"QuestionAnswering: null_threshold is {null_threshold!r}, it must be a number.")
        self.outputs = 2
        self.dropout = dropout
        self.no_answer = no_answer
        self.null_threshold = float(null_threshold)
        self.doc_stride = doc_stride
        self.max_query_length = max_query_length
        self.max_answer_length = max_answer_length
        self.n_best = n_best

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the string columns it reads."""
        return ("question", "context")

    def row_counts(self, lengths: Mapping[str, np.ndarray], length: int) -> np.ndarray:
        """Return how many windows each context has, int [N]."""
        from keras_bert_zoo.text.questions import SPECIAL, question_limit
        from keras_bert_zoo.text.windows import window_counts

        asked = np.minimum(lengths["question"], question_limit(length, self.max_query_length))
        return np.asarray(window_counts(lengths["context"], length - SPECIAL - asked, self.doc_stride))

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return a function from strings [B] to rows of question and window, see `text/questions.py`.

        Raises: ConfigError where a row of `length` has no place for a context.
        """
        from keras_bert_zoo.text.questions import question_packer

        settings = {"max_query_length": self.max_query_length, "doc_stride": self.doc_stride}
        return question_packer(tokenizer, length, **settings)

    def targets(self, labels: Sequence[Any], where: Where) -> dict[str, np.ndarray]:
        """Turn `Question`s into the characters of their first answers: `start`, `end` int32 [N], -1 without an answer.

        Raises: DataError on anything else, naming the row.
        """
        from keras_bert_zoo.data.squad import check_question

        spans = []
        for i, label in enumerate(labels):
            check_question(label, where, i)
            text, start = label.answers[0] if label.answers else ("", -1)
            spans.append((start, start + len(text)))
        starts, ends = np.array(spans, "int32").reshape(-1, 2).T
        return {"start": starts, "end": ends}

    @classmethod
    def arguments_in(cls, values: Sequence[Any]) -> dict[str, Any]:
        """Return whether any of a table's questions has no answer, as `no_answer`."""
        return {"no_answer": any(getattr(value, "is_impossible", False) for value in values)}

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features to the logits of first and last tokens [R,T,2]; padding has -1e9.

        A pooler is neither needed nor kept.  Raises: ConfigError where the encoder is none.
        """
        logits = dense_logits(encoder_config(encoder), 2, self.dropout, encode(encoder))
        logits = RealTokensOnly(name="head_mask", dtype="float32")(logits, encoder.input["input_mask"])
        return TaskModel(encoder.input, logits, name=f"bert_{self.name}")

    def loss(self) -> keras.losses.Loss:
        """Return the mean of the cross entropies of first and last token: int [R,2] and logits [R,T,2]."""
        return SpanCrossEntropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the shares of rows whose first, and whose last, token is found."""
        return [EndAccuracy(0, "start_accuracy"), EndAccuracy(1, "end_accuracy")]

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [R,T,2] into answers [B]; see the class."""
        from keras_bert_zoo.text.spans import best_spans

        return best_spans(
            outputs,
            features,
            n_best=self.n_best,
            max_answer_length=self.max_answer_length,
            no_answer=self.no_answer,
            null_threshold=self.null_threshold,
        )

    def score(self, table: Table, answers: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Return exact match and F1 as the official scripts count them, as shares of 1.

        With `no_answer`, or where the table has questions without an answer, these are SQuAD 2.0's, with their parts
        (`has_answer_f1`, ...) and the best threshold there would be.  Raises: DataError on other labels.
        """
        from keras_bert_zoo.training.squad import squad_figures

        return squad_figures(table, answers, no_answer=self.no_answer)

    def write_answers(self, table: Table, answers: Sequence[dict[str, Any]], folder: Path) -> None:
        """Write `predictions.json` and `nbest_predictions.json`, with `no_answer` also `null_odds.json`."""
        from keras_bert_zoo.training.squad import write_predictions

        write_predictions(table, answers, folder, no_answer=self.no_answer)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {
            "no_answer": self.no_answer,
            "null_threshold": self.null_threshold,
            "doc_stride": self.doc_stride,
            "max_query_length": self.max_query_length,
            "max_answer_length": self.max_answer_length,
            "n_best": self.n_best,
            "dropout": self.dropout,
        }

    def huggingface_config(self) -> dict[str, Any]:
        """Return nothing: the class alone says all that a `config.json` has a word for."""
        return {}

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return no arguments: a `config.json` does not tell whether a question may have no answer."""
        return {}
