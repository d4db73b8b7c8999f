"""What an export can be asked: its signatures by name.  B examples, R rows the model reads, T tokens a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

# There is no public name for it.
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

from keras_bert_zoo.serving.interface import METHODS
from keras_bert_zoo.training.answers import answering, column_specs

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.serving.frozen import Frozen
    from keras_bert_zoo.text.tokenizer import Tokenizer

Columns = Mapping[str, tf.Tensor]


class Served(tf.Module):
    """What is saved: the weights once, and the functions.

    A Keras model itself is not tracked: saved that way it cannot be loaded by a TF1 session, TensorFlow Serving's
    way in.

    `functions`, name to concrete function: those of `head.signatures()`, strings in and answers out; `tokenized`, the
    model's inputs in and `logits` out; `tokens`, see `rows_read`; `examples`, `serving_default` for serialised
    `tf.Example` [B] whose features have the columns' names; and `classify` or `regress`, where the head has one, with
    TensorFlow Serving's own names: `inputs`, examples too, in; `classes` and `scores` [B,C], or `outputs` [B], out.
    """

    def __init__(self, frozen: Frozen, head: Head, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__(name="served")
        self.frozen = frozen
        self.vocabulary: Any = None
        columns = column_specs(head)

        def logits(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            found = frozen(inputs)
            return found if isinstance(found, dict) else {"logits": found}

        self.functions = {
            name: _traced(answering(frozen, each, tokenizer, max_length), column_specs(each))
            for name, each in head.signatures().items()
        }
        # Called, not traced again: what takes examples is no second copy of the graph.
        answer = self.functions["serving_default"]
        self.functions["tokenized"] = tf.function(logits, autograph=False).get_concrete_function(**frozen.inputs)
        self.functions["tokens"] = _traced(rows_read(head, tokenizer, max_length), columns)
        self.functions["examples"] = _of_examples("examples", columns, lambda found: answer(**found))
        method = head.served_as
        if method:
            self.functions[method] = _of_examples(
                "inputs", columns, lambda found: head.serve_as(answer(**found), found)
            )


def rows_read(head: Head, tokenizer: Tokenizer, max_length: int) -> Callable[[Columns], dict[str, tf.Tensor]]:
    """Return the function from string columns [B] to the rows as the model reads them: cut, packed, special tokens in.

    It gives `tokens` string [R,T], filled up with "", and `type_ids` int32 [R,T].  Where an example may be several
    rows, windows or choices, also `owner` int32 [R], the example of each row; else R is B.
    """
    pack = head.pack(tokenizer, max_length)

    def read(columns: Columns) -> dict[str, tf.Tensor]:
        features, _ = pack(columns)
        ids, there, types = (features[name] for name in ("input_word_ids", "input_mask", "input_type_ids"))
        tokens = tf.where(there > 0, tf.gather(tf.constant(tokenizer.vocabulary), ids), "")
        told = {"tokens": tokens, "type_ids": types}
        if head.windowed:
            told["owner"] = features["owner"]
        if ids.shape.rank == 3:  # texts of an example side by side, [B,C,T]
            batch, count, width = tf.unstack(tf.shape(ids))
            told = {name: tf.reshape(x, tf.stack([batch * count, width])) for name, x in told.items()}
            if head.ranks:
                told["owner"] = tf.repeat(tf.range(batch), count)
        return told

    return read


def example_features(columns: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    """Return how columns stand in a `tf.Example`: one string, or for a column [B,C] any number of them.

    An example with fewer of these than others of its batch has "" in their place.
    """
    return {
        name: tf.io.FixedLenFeature([], tf.string)
        if spec.shape.rank == 1
        else tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True, default_value="")
        for name, spec in columns.items()
    }


def name_methods(signatures: Iterable[str], version_folder: Path) -> None:
    """Write TensorFlow Serving's method names into an export: `tf.saved_model.save` says Predict of every signature."""
    names = METHODS.keys() & set(signatures)
    if not names:
        return
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(version_folder))
    for name in sorted(names):
        updater.replace_method_name(signature_key=name, method_name=METHODS[name], tags=tf.saved_model.SERVING)
    updater.save()
    write_fingerprint(str(version_folder))  # that of the file as it is now


def _traced(function: Callable[[Columns], dict[str, tf.Tensor]], columns: Mapping[str, tf.TensorSpec]) -> Any:
    def by_name(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return function(given)

    return tf.function(by_name, autograph=False).get_concrete_function(**columns)


def _of_examples(
    name: str, columns: Mapping[str, tf.TensorSpec], function: Callable[[Columns], dict[str, tf.Tensor]]
) -> Any:
    """Return the concrete function of one input, serialised `tf.Example` [B], of what `function` takes columns for."""
    features = example_features(columns)

    def parse(given: Columns) -> dict[str, tf.Tensor]:
        return function(tf.io.parse_example(given[name], features))

    return _traced(parse, {name: tf.TensorSpec([None], tf.string, name=name)})
