"""TensorFlow Serving's JSON for tensors, both ways: what its REST API takes and gives.  Needs numpy alone.

A request names its tensors by rows, `{"instances": [...]}`, or by columns, `{"inputs": ...}`; the answer comes in the
same form, as `{"predictions": [...]}` or `{"outputs": ...}`.  Strings are UTF-8, other bytes `{"b64": "..."}`.

Source: tensorflow.org/tfx/serving/api_rest; what it leaves open follows tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.serving.json_values import Spec, answer_values, is_object, listed, plain, shown, tensor

__all__ = [
    *("DEFAULT_SIGNATURE", "DTYPES", "Arrays", "Form", "Request", "Spec", "parse", "read_answer", "read_request"),
    *("signature_name", "write_answer", "write_request"),
]

Form = Literal["row", "columnar"]
Arrays = Mapping[str, np.ndarray]

DEFAULT_SIGNATURE = "serving_default"
_ASKED: dict[Form, str] = {"row": "instances", "columnar": "inputs"}
_ANSWERED: dict[Form, str] = {"row": "predictions", "columnar": "outputs"}


class Request(NamedTuple):
    """A request as it was asked: the signature's name, a tensor for each input, and the form the answer is to have."""

    signature: str
    tensors: dict[str, np.ndarray]
    form: Form


def parse(body: bytes) -> dict[str, Any]:
    """Return a body's JSON object.  Raises: DataError where it is no UTF-8, no JSON, or no object."""
    if not body:
        raise DataError("JSON Parse error: The document is empty")
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"JSON Parse error: the body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise DataError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise DataError("JSON Parse error: the values are nested too deeply.") from error
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"JSON Parse error: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"JSON Value: {shown(value)} Is not object")
    return value


def signature_name(body: Mapping[str, Any]) -> str:
    """Return the signature that a request asks for.  Raises: DataError where its name is no string."""
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise DataError("JSON Value: 'signature_name' key must be a string value.")
    return name or DEFAULT_SIGNATURE


def read_request(body: bytes, inputs_of: Callable[[str], Mapping[str, Spec]]) -> Request:
    """Read a request to predict; `inputs_of` tells the inputs of a signature.

    Raises: DataError on JSON that is none, on values that do not fit the inputs, and all that `inputs_of` raises.
    """
    asked = parse(body)
    signature = signature_name(asked)
    inputs = inputs_of(signature)
    row, columnar = (_ASKED[form] in asked for form in ("row", "columnar"))
    if row and columnar:
        raise DataError("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if row:
        return Request(signature, _rows(asked["instances"], inputs), "row")
    if columnar:
        return Request(signature, _columns(asked["inputs"], inputs), "columnar")
    raise DataError("Missing 'inputs' or 'instances' key")


def write_request(tensors: Mapping[str, Any], *, signature: str = "", form: Form = "columnar") -> bytes:
    """Write a request to predict; tensors are arrays or nested lists, strings as `str` or `bytes`.

    Raises: DataError where rows are asked for and the tensors have not all the same number of them.
    """
    asked: dict[str, Any] = {"signature_name": signature} if signature else {}
    named = {name: plain(value) for name, value in tensors.items()}
    if form == "row" and len({len(values) if isinstance(values, list) else None for values in named.values()}) != 1:
        raise DataError("Inputs of a request by rows must all have the same number of rows; ask by columns.")
    asked[_ASKED[form]] = _by_row(named) if form == "row" else named
    return json.dumps(asked, ensure_ascii=False).encode("utf-8")


def write_answer(tensors: Arrays, form: Form) -> bytes:
    """Write an answer: of several outputs, objects by name; of one, its values alone.

    Raises: DataError where rows are asked for and the outputs have not all the same number of them.
    """
    if form == "row":
        sizes = {name: value.shape[0] if value.ndim else None for name, value in tensors.items()}
        if len(set(sizes.values())) != 1 or None in sizes.values():
            raise DataError(f"The outputs' numbers of rows differ ({listed(sizes)}): ask by columns ('inputs').")
    named = {name: answer_values(name, value) for name, value in tensors.items()}
    answer: Any = _by_row(named) if form == "row" else named
    if len(named) == 1:
        (answer,) = named.values()
    return json.dumps({_ANSWERED[form]: answer}, ensure_ascii=False).encode("utf-8")


def read_answer(body: bytes, outputs: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """Read an answer back as one array an output; `outputs` is the signature's.

    Raises: DataError where the body is no answer, or does not fit the outputs.
    """
    answer = parse(body)
    if "predictions" in answer:
        return _rows(answer["predictions"], outputs, key="predictions")
    if "outputs" in answer:
        return _columns(answer["outputs"], outputs, key="outputs")
    raise DataError(f"An answer has 'predictions' or 'outputs', this one {listed(answer)}.")


# Rows and columns


def _rows(instances: Any, specs: Mapping[str, Spec], key: str = "instances") -> dict[str, np.ndarray]:
    """Return a tensor for each name from a list of rows: objects by name, or the values of the only one."""
    if not isinstance(instances, list):
        raise DataError(f"JSON Value: Expecting '{key}' to be an list/array")
    if not instances:
        raise DataError(f"JSON Value: No values in '{key}' array")
    if not is_object(instances[0]):
        if len(specs) > 1:
            raise DataError(
                f"{key} is a plain list, but expecting list of objects for multiple tensors: {listed(specs)}"
            )
        for number, row in enumerate(instances):
            if is_object(row):
                raise DataError(f"Expecting value/list but got object at item {number} of input list")
        (name,) = specs
        return {name: tensor(instances, name, specs[name].dtype)}
    for number, row in enumerate(instances):
        if not is_object(row):
            raise DataError(f"Expecting object but got value/list at item {number} of input list")
        if row.keys() != specs.keys():
            raise DataError(
                f"Failed to process element: {number} of '{key}' list."
                f" JSON object keys must be equal to: {listed(specs)}; they are: {listed(row)}"
            )
    return {name: tensor([row[name] for row in instances], name, spec.dtype) for name, spec in specs.items()}


def _columns(inputs: Any, specs: Mapping[str, Spec], key: str = "inputs") -> dict[str, np.ndarray]:
    """Return a tensor for each name from an object by name, or from the value of the only one."""
    if not is_object(inputs):
        if len(specs) > 1:
            raise DataError(
                f"{key} is a plain value/list, but expecting an object for multiple tensors: {listed(specs)}"
            )
        (name,) = specs
        return {name: tensor(inputs, name, specs[name].dtype)}
    for name in specs:
        if name not in inputs:
            raise DataError(f"Missing named input: {name} in '{key}' object.")
    for name in inputs:
        if name not in specs:
            raise DataError(f"'{key}' object has '{shown(name)}', which is none of: {listed(specs)}")
    return {name: tensor(inputs[name], name, spec.dtype) for name, spec in specs.items()}


def _by_row(named: Mapping[str, Any]) -> list[Any]:
    names = list(named)
    return [dict(zip(names, row, strict=True)) for row in zip(*named.values(), strict=True)]
