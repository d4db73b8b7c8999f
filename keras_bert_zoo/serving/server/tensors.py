"""Arrays as TensorProto, both ways."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from keras_bert_zoo.serving.json_values import DTYPES
from keras_bert_zoo.serving.server.refusals import Refused

# The field that holds a type's values, as TensorFlow Serving fills it.
_FIELDS = {
    "DT_STRING": "string_val",
    "DT_BOOL": "bool_val",
    "DT_FLOAT": "float_val",
    "DT_DOUBLE": "double_val",
    "DT_INT64": "int64_val",
    "DT_UINT32": "uint32_val",
    "DT_UINT64": "uint64_val",
    **dict.fromkeys(("DT_INT8", "DT_INT16", "DT_INT32", "DT_UINT8", "DT_UINT16"), "int_val"),
}
# A proto of one value may stand for any number of them: so many, of a request, are nobody's texts.
_MOST_VALUES = 2**24


def to_array(name: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    """Return a proto's values.  Raises: Refused on a type that is not served, and on values that do not fill it."""
    if proto.dtype not in _served_types():
        raise Refused("INVALID_ARGUMENT", f"input '{name}' is of a type that is not served: {_type_name(proto.dtype)}")
    sizes = [axis.size for axis in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(sizes, default=0) < 0 or math.prod(sizes) > _MOST_VALUES:
        raise Refused("INVALID_ARGUMENT", f"input '{name}' has no shape that can be served: {sizes}")
    try:
        array = np.asarray(tf.make_ndarray(proto))
    except (ValueError, TypeError) as error:
        raise Refused("INVALID_ARGUMENT", f"input '{name}' is no tensor: {error}") from error
    if array.dtype == object and not all(type(each) is bytes for each in array.reshape(-1)):
        raise Refused("INVALID_ARGUMENT", f"input '{name}' has fewer values than its shape {sizes}")
    return array


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Return an array as a proto whose values are in the field of their type."""
    kind = next(name for name, dtype in DTYPES.items() if dtype == array.dtype)
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DataType.Value(kind))
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _FIELDS[kind]).extend(array.reshape(-1).tolist())
    return proto


def _served_types() -> set[int]:
    return {types_pb2.DataType.Value(name) for name in DTYPES}


def _type_name(number: int) -> Any:
    return types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else number
