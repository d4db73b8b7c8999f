"""Classify and Regress: examples in, classes or values out, as JSON and as protos."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.serving.interface import METHODS
from keras_bert_zoo.serving.json_values import answer_values, plain_value, short_decimals
from keras_bert_zoo.serving.rest_json import parse, signature_name
from keras_bert_zoo.serving.server.loaded import Signature
from keras_bert_zoo.serving.server.refusals import Refused

Method = str  # "classify" or "regress"
_OUTPUTS = {"classify": {"classes", "scores"}, "regress": {"outputs"}}
_WORDS = {"classify": "classification", "regress": "regression"}


def read_examples(body: bytes) -> tuple[str, list[bytes]]:
    """Return the signature that a REST request asks for, and its serialised examples.

    Raises: DataError on JSON that is none, and on features that are neither numbers nor texts.
    """
    asked = parse(body)
    signature, context, rows = signature_name(asked), asked.get("context"), asked.get("examples")
    if not isinstance(rows, list):
        raise DataError("JSON Value: Expecting 'examples' value to be an list/array")
    if not rows:
        raise DataError("JSON Value: 'examples' value is an empty array")
    shared = b"" if context is None else _example(context)
    return signature, [shared + _example(row) for row in rows]


def serialized(given: input_pb2.Input) -> list[bytes]:
    """Return a gRPC request's examples, each with the features of the context.  Raises: Refused where there is none."""
    if given.WhichOneof("kind") == "example_list_with_context":
        listed = given.example_list_with_context
        shared = listed.context.SerializeToString()
    else:
        listed, shared = given.example_list, b""
    if not listed.examples:
        raise Refused("INVALID_ARGUMENT", "Input is empty.")
    return [shared + example.SerializeToString() for example in listed.examples]


def check_method(name: str, signature: Signature, method: Method) -> None:
    """Check that a signature is of a method.  Raises: Refused."""
    if signature.method != METHODS[method]:
        raise Refused(
            "INVALID_ARGUMENT",
            f"Expected {_WORDS[method]} signature method_name to be {METHODS[method]}. Was: {signature.method}"
            f" (signature '{name}'; name another with 'signature_name')",
        )
    if len(signature.inputs) != 1:
        raise Refused("INVALID_ARGUMENT", "Expected one input Tensor.")
    if not _OUTPUTS[method] & signature.outputs.keys():
        raise Refused("FAILED_PRECONDITION", f"No {_WORDS[method]} outputs found in SignatureDef.")


def classes(outputs: Mapping[str, np.ndarray]) -> classification_pb2.ClassificationResult:
    """Return classes and scores [B,C] as a proto; a signature may give one of them alone."""
    _check_shapes(outputs, 2)
    result = classification_pb2.ClassificationResult()
    shape = next(iter(outputs.values())).shape
    labels = outputs.get("classes", np.full(shape, b"", object)).tolist()
    scores = outputs.get("scores", np.zeros(shape)).tolist()
    for pair in zip(labels, scores, strict=True):
        one = result.classifications.add()
        for label, score in zip(*pair, strict=True):
            one.classes.add(label=label.decode("utf-8", "replace"), score=score)
    return result


def values(outputs: Mapping[str, np.ndarray]) -> regression_pb2.RegressionResult:
    """Return values [B] or [B,1] as a proto."""
    result = regression_pb2.RegressionResult()
    for value in _one_a_row(outputs["outputs"]):
        result.regressions.add(value=value)
    return result


def write_results(method: Method, outputs: Mapping[str, np.ndarray]) -> bytes:
    """Return the body of a REST answer: pairs of label and score, or a value, for each example."""
    if method == "regress":
        results: Any = short_decimals(_one_a_row(outputs["outputs"])).tolist()
    else:
        _check_shapes(outputs, 2)
        shape = next(iter(outputs.values())).shape
        labels = answer_values("classes", outputs.get("classes", np.full(shape, b"", object)))
        scores = answer_values("scores", outputs.get("scores", np.zeros(shape, np.float32)))
        results = [list(map(list, zip(*pair, strict=True))) for pair in zip(labels, scores, strict=True)]
    return json.dumps({"results": results}, ensure_ascii=False).encode("utf-8")


def _check_shapes(outputs: Mapping[str, np.ndarray], rank: int) -> None:
    shapes = [outputs[name].shape for name in ("classes", "scores") if name in outputs]
    if len(set(shapes)) != 1 or len(shapes[0]) != rank:
        raise Refused("INVALID_ARGUMENT", f"Expected Tensor shape: [batch_size num_classes] but got {shapes}")


def _one_a_row(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1):
        raise Refused("INVALID_ARGUMENT", f"Expected shape: [batch_size] or [batch_size, 1] but got {array.shape}")
    return array.reshape(len(array))


def _example(features: Any) -> bytes:
    if not isinstance(features, dict):
        raise DataError(f"Example must be JSON object but got JSON {type(features).__name__}")
    example = example_pb2.Example()
    for name, content in features.items():
        made = example.features.feature[_text(name)]
        for value in content if isinstance(content, list) else [content]:
            plain = plain_value(value, name)
            field = {bytes: made.bytes_list, float: made.float_list, int: made.int64_list}.get(type(plain))
            kind = made.WhichOneof("kind")
            if field is None or (kind is not None and field is not getattr(made, kind)):
                raise DataError(f"Feature: {name} has element with unexpected JSON type: {type(value).__name__}")
            try:
                field.value.append(plain)
            except ValueError as error:
                raise DataError(f"Feature: {name} has a number that is out of range: {plain}") from error
    return example.SerializeToString()


def _text(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError("A feature's name is no Unicode.") from error
    return name
