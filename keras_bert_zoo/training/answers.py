"""Texts to answers: pack, run, decode, in one graph.  B batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import keras

from keras_bert_zoo.answers import plain
from keras_bert_zoo.data.sizes import order_by_size
from keras_bert_zoo.encoder import INPUTS, with_layout

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer

# Batches that are answered at the same time: what one has to do alone, the other fills in.  A seventh quicker on two
# cores; a third batch gains nothing.  Measured: benchmarks/RESULTS.md.
_AT_ONCE = 2

# Windows read at a time: as many as texts in a batch.  A book in one request must not ask for all memory at once.
_ROWS = 32
Columns = Mapping[str, Sequence[Any]]  # strings by name of column; where the head says so, lists of strings


def answering(
    logits: Callable[[dict[str, Any]], Any], head: Head, tokenizer: Tokenizer, max_length: int
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return the function, for `tf.function`, from string columns [B] to the answers: pack, `logits`, decode."""
    pack = head.pack(tokenizer, max_length)

    def answer(columns: Mapping[str, Any]) -> dict[str, Any]:
        features, _ = pack(columns)
        inputs = {name: features[name] for name in head.inputs}
        return head.decode(_in_parts(logits, inputs) if head.windowed else logits(inputs), features)

    return answer


def _in_parts(logits: Callable[[dict[str, Any]], Any], inputs: dict[str, Any]) -> Any:
    """Return logits [R,T,C] of any number of windows, in little memory: the model reads some rows at a time."""
    import tensorflow as tf

    rows = tf.shape(inputs[INPUTS[0]])[0]
    parts = tf.maximum(1, -(-rows // _ROWS))
    shape = tf.TensorShape([None, None, None])

    def one(number: Any, done: Any) -> tuple[Any, Any]:
        begin = number * _ROWS
        part = logits({name: values[begin : begin + _ROWS] for name, values in inputs.items()})
        return number + 1, done.write(number, part)

    done = tf.TensorArray(tf.float32, size=parts, element_shape=shape, infer_shape=False)
    return tf.while_loop(lambda number, _: number < parts, one, (0, done), parallel_iterations=1)[1].concat()


def column_specs(head: Head) -> dict[str, Any]:
    """Return the signature of the columns a head answers: strings [B], or [B,C] where it says so."""
    import tensorflow as tf

    return {name: tf.TensorSpec([None] * head.ranks.get(name, 1), tf.string, name=name) for name in head.columns}


class Answers:
    """Answers lists of any length with a task model, rows of like length together.  Traced once, at first use."""

    def __init__(self, model: keras.Model, head: Head, tokenizer: Tokenizer, max_length: int) -> None:
        import tensorflow as tf

        self.head = head
        packed = functools.partial(with_layout(model, "packed"), training=False)  # padding costs nothing
        answer = answering(packed, head, tokenizer, max_length)
        self._answer = tf.function(answer, input_signature=[column_specs(head)], autograph=False)

    def __call__(self, columns: Columns, *, batch_size: int = 32) -> list[dict[str, Any]]:
        """Return each row's answer as plain values, in the order of the rows."""
        from keras_bert_zoo.data.batching import as_strings

        order = order_by_size(*columns.values())[::-1]
        answers: list[dict[str, Any]] = [{}] * len(order)

        def answer(rows: Sequence[int]) -> None:
            batch = {
                name: as_strings([values[i] for i in rows], rank=self.head.ranks.get(name, 1))
                for name, values in columns.items()
            }
            served = {name: plain(value.numpy()) for name, value in self._answer(batch).items()}
            for place, row in enumerate(rows):
                answers[row] = self.head.trim({name: values[place] for name, values in served.items()})

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(answer, (order[i : i + batch_size] for i in range(0, len(order), batch_size))))
        return answers
