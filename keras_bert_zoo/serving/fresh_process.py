"""Asks an exported model as a stranger would: run as a script, it imports TensorFlow and TF.Text alone.

    python fresh_process.py VERSION_FOLDER tf2|tf1 < columns.json > answers.json

`columns.json` maps column names to lists (of strings, or of numbers for `tokenized`), the optional key
"signature" aside.  "tf1" takes the path of TensorFlow Serving: a session, fed and fetched by tensor name.
"""

import functools
import json
import sys
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

loaded_tf2 = functools.cache(tf.saved_model.load)


def ask_tf2(folder: str, signature: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Answer through the TF2 loader."""
    function = loaded_tf2(folder).signatures[signature]
    return function(**{name: tf.constant(values) for name, values in columns.items()})


@functools.cache
def loaded_tf1(folder: str) -> tuple[Any, Any]:
    """Return a session with the model, and its signatures."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        return session, tf.compat.v1.saved_model.loader.load(session, ["serve"], folder).signature_def


def ask_tf1(folder: str, signature: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Answer through a TF1 session, as TensorFlow Serving does."""
    session, signatures = loaded_tf1(folder)
    wanted = signatures[signature]
    feed = {wanted.inputs[name].name: values for name, values in columns.items()}
    return session.run({name: tensor.name for name, tensor in wanted.outputs.items()}, feed)


def plain(values: Any) -> Any:
    """Turn an array into nested lists, bytes into text."""
    if isinstance(values, list):
        return [plain(value) for value in values]
    return values.decode("utf-8", "replace") if isinstance(values, bytes) else values


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    ask = {"tf2": ask_tf2, "tf1": ask_tf1}[sys.argv[2]]
    answers = ask(sys.argv[1], asked.pop("signature", "serving_default"), asked)
    listed = {
        name: plain((value.numpy() if hasattr(value, "numpy") else value).tolist()) for name, value in answers.items()
    }
    json.dump(listed, sys.stdout)
