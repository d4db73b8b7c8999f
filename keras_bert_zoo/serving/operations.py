"""Which operations an exported graph may hold: those TensorFlow Serving's own binary knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_bert_zoo.errors import ExportError

# TensorFlow Serving 2.12 to 2.19 bundle TF.Text 2.12.1; of its operations these are the ones we rely on.
TEXT_OPERATIONS = frozenset({"FastBertNormalize", "FastWordpieceTokenizeWithOffsets"})
# They call back into a Python process, which no server has.
_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


def operations(function: Any) -> set[str]:
    """Return the operation types of a concrete function, of all it calls too."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    return {node.op for node in nodes} - {inner.signature.name for inner in graph.library.function}


def check_operations(functions: Mapping[str, Any]) -> None:
    """Check that a server can run the functions.  Raises: ExportError listing the operations it lacks."""
    for name, function in functions.items():
        lacking = sorted(op for op in operations(function) if op in _PYTHON or not _known(op))
        if lacking:
            raise ExportError(f"signature '{name}' uses {', '.join(lacking)}, which TensorFlow Serving does not have.")


def _known(op: str) -> bool:
    # tf.raw_ops holds TensorFlow's own operations alone; what libraries register is not in it
    return op in TEXT_OPERATIONS or hasattr(tf.raw_ops, op)
