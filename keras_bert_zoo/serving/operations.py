"""Which operations an exported graph may hold: those TensorFlow Serving's own binary knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.serving.versions import ADDED, OLDEST, TEXT, TEXT_OPERATIONS

OPERATIONS_FILE = Path("assets.extra") / "operations.json"
# They call back into a Python process, which no server has.
_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


def operations(function: Any) -> set[str]:
    """Return the operation types of a concrete function, of all it calls too."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    return {node.op for node in nodes} - {inner.signature.name for inner in graph.library.function}


def check_operations(functions: Mapping[str, Any], serving_version: str = OLDEST) -> list[str]:
    """Return the operations of signatures, sorted, if a TensorFlow Serving of that version has them all.

    Raises: ExportError on a version that is not in the table, and naming signature, operations and version.
    """
    if serving_version not in TEXT:
        raise ExportError(f"serving_version is {serving_version!r}, it must be one of {', '.join(TEXT)}.")
    found = {name: operations(function) for name, function in functions.items()}
    for name, used in found.items():
        lacking = sorted(op for op in used if not _known(op, serving_version))
        if lacking:
            later = [version for version in TEXT if all(_known(op, version) for op in used)]
            advice = f"{later[0]} is the first that has all: ask for it if you serve with it." if later else "None has."
            raise ExportError(
                f"signature '{name}' uses {', '.join(lacking)}, which TensorFlow Serving {serving_version}"
                f" (TF.Text {TEXT[serving_version]}) does not have. {advice}"
            )
    return sorted(set().union(*found.values()))


def write_operations(used: list[str], serving_version: str, version_folder: Path) -> None:
    """Write which operations an export has, and for which TensorFlow Serving they were checked, for people."""
    told = {"serving_version": serving_version, "tf_text": TEXT[serving_version], "operations": used}
    path = version_folder / OPERATIONS_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _known(op: str, version: str) -> bool:
    if op in TEXT_OPERATIONS[TEXT[version]]:
        return True
    later = list(ADDED)[list(TEXT).index(version) :]  # ADDED begins with the version after TEXT's first
    # tf.raw_ops holds TensorFlow's own operations alone; what libraries register is not in it
    return hasattr(tf.raw_ops, op) and op not in _PYTHON and not any(op in ADDED[other] for other in later)
