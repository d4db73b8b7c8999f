"""Tensors as values of JSON, and back: types, shapes, bytes and decimals.  Needs numpy alone.

Source: tensorflow.org/tfx/serving/api_rest, "JSON mapping" and "Encoding binary values".
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_bert_zoo.errors import DataError

# A protocol buffer's name of a type -> numpy's.
DTYPES: dict[str, Any] = {
    "DT_STRING": np.dtype(object),
    "DT_BOOL": np.dtype(bool),
    "DT_FLOAT": np.dtype("float32"),
    "DT_DOUBLE": np.dtype("float64"),
    **{f"DT_{sign}INT{bits}": np.dtype(f"{sign.lower()}int{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
_BYTES = "_bytes"  # a string output of such a name holds bytes
_FEW = 32  # numbers that are quicker looked at one by one
_SINGLE, _LARGEST = struct.Struct("f"), float(np.finfo(np.float32).max)
_SHOWN = 100  # characters of a wrong value that a message shows


class Spec(NamedTuple):
    """A tensor of a signature: its type, such as "DT_STRING", and shape; None stands for any size, or any rank."""

    dtype: str
    shape: tuple[int | None, ...] | None


def numpy_name(dtype: str) -> str:
    """Return the name of numpy, "string" for strings, of a protocol buffer's dtype: "float32" for "DT_FLOAT"."""
    known = DTYPES.get(dtype)
    if known is None:
        return dtype.removeprefix("DT_").lower()
    return "string" if known.hasobject else known.name


def rest_name(dtype: str) -> str:
    """Return a protocol buffer's name of a dtype, "DT_FLOAT" for "float32"."""
    return next((name for name in DTYPES if numpy_name(name) == dtype), f"DT_{dtype.upper()}")


def answer_values(name: str, array: np.ndarray) -> Any:
    """Return an output's values for JSON: strings as text, bytes where the name says so as `{"b64": "..."}`."""
    if array.dtype == object:
        as_bytes = name.endswith(_BYTES)
        flat = [_as_b64(text) if as_bytes else text.decode("utf-8", "replace") for text in array.reshape(-1).tolist()]
        return objects(flat).reshape(array.shape).tolist()
    return (short_decimals(array) if array.dtype == np.float32 else array).tolist()


def plain_value(value: Any, name: str) -> Any:
    """Return a JSON value of a tf.Example's feature: a text or `{"b64": "..."}` as bytes, true and false as 1 and 0.

    Raises: DataError on strings that cannot be bytes; what is no single value comes back as it is.
    """
    if isinstance(value, str):
        return _encodable([value], name)[0].encode()
    if isinstance(value, dict) and not is_object(value):
        return _from_b64(value, name)
    return int(value) if isinstance(value, bool) else value


def short_decimals(array: np.ndarray) -> np.ndarray:
    """Return float32 values as the float64 values that are written in the fewest digits, and still are those values.

    As TensorFlow Serving writes them: six digits where they tell the value, else nine.
    """
    exact = array.astype(np.float64)
    if array.size <= _FEW:
        return np.array([_short_decimal(value) for value in exact.reshape(-1).tolist()]).reshape(array.shape)
    result = exact.copy()
    with np.errstate(all="ignore"):
        size = np.floor(np.log10(np.abs(exact)))
        for digits in (9, 6):
            shift = digits - 1 - size
            power = 10.0 ** np.abs(shift)
            rounded = np.where(shift >= 0, np.rint(exact * power) / power, np.rint(exact / power) * power)
            result = np.where(rounded.astype(np.float32) == array, rounded, result)
    return result


def _short_decimal(value: float) -> float:
    if not math.isfinite(value):
        return value
    short = float(f"{value:.6g}")
    return (
        short if abs(short) <= _LARGEST and _SINGLE.unpack(_SINGLE.pack(short))[0] == value else float(f"{value:.9g}")
    )


def tensor(value: Any, name: str, dtype: str) -> np.ndarray:
    """Return nested lists as an array.  Raises: DataError where they are ragged, or hold values of another type."""
    if dtype not in DTYPES:
        raise DataError(f"Conversion of JSON Value to type: {dtype} is not supported (input '{name}').")
    flat, shape = _flat(value, name)
    wanted = DTYPES[dtype]
    if dtype == "DT_STRING":
        flat = [text.encode() if type(text) is str else _from_b64(text, name) for text in _encodable(flat, name)]
        return objects(flat).reshape(shape)
    kinds: tuple[type, ...] = {"b": (bool,), "f": (int, float)}.get(wanted.kind, (int,))
    for found in set(map(type, flat)):
        if found not in kinds:
            wrong = next(each for each in flat if type(each) is found)
            raise DataError(f"JSON Value: {shown(wrong)} is not of expected type: {dtype} (input '{name}')")
    _check_range(flat, wanted, name)
    return np.array(flat, wanted).reshape(shape)


def _flat(value: Any, name: str) -> tuple[list[Any], tuple[int, ...]]:
    """Return the values of nested lists in one list, and their shape."""
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list):
        size = len(level[0])
        for each in level:
            if not isinstance(each, list) or len(each) != size:
                raise DataError(
                    f"Input '{name}': expecting lists of {size} at level {len(shape) + 1}, but got: {shown(each)}"
                )
        shape.append(size)
        level = list(itertools.chain.from_iterable(level))
    for each in level:
        if isinstance(each, list):
            raise DataError(f"Input '{name}': encountered list at unexpected level {len(shape) + 1}: {shown(each)}")
    return level, tuple(shape)


def objects(values: Sequence[Any]) -> np.ndarray:
    """Return values, strings or whatever they are, as an array of objects [B]."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _encodable(flat: Sequence[Any], name: str) -> Sequence[Any]:
    for text in flat:
        if type(text) is str and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:  # half of a surrogate pair, "\ud83d"
                raise DataError(f"Input '{name}': a string is no Unicode at character {error.start}.") from error
    return flat


def _check_range(flat: Sequence[Any], wanted: np.dtype, name: str) -> None:
    """Check that no number loses its value.  Raises: DataError."""
    if wanted.kind in "iu" and flat:
        limits = np.iinfo(wanted)
        low, high = int(limits.min), int(limits.max)
    elif wanted.kind == "f":  # whole numbers up to the mantissa's size
        high = 2 ** (np.finfo(wanted).nmant + 1) - 1
        low = -high
        flat = [each for each in flat if type(each) is int]
    else:
        return
    for each in flat:
        if not low <= each <= high:
            raise DataError(
                f"Cannot convert JSON value: {shown(each)} to {wanted.name} without loss of precision (input '{name}')"
            )


def is_object(value: Any) -> bool:
    """Whether a value is an object by name, and not one of bytes."""
    return isinstance(value, dict) and not (len(value) == 1 and isinstance(value.get("b64"), str))


def _from_b64(value: Any, name: str) -> bytes:
    if not isinstance(value, dict):
        raise DataError(f"JSON Value: {shown(value)} is not of expected type: DT_STRING (input '{name}')")
    if is_object(value):
        raise DataError(f"JSON Value: {shown(value)} not formatted correctly for base64 data (input '{name}')")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"Unable to base64 decode (input '{name}'): {error}") from error


def _as_b64(text: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(text).decode("ascii")}


def plain(value: Any) -> Any:
    """Return an array or nested lists as JSON's values; bytes that are no UTF-8 as `{"b64": "..."}`."""
    if isinstance(value, np.ndarray):
        value = (short_decimals(value) if value.dtype == np.float32 else value).tolist()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return _as_b64(value)
    return value.item() if isinstance(value, np.generic) else value


def listed(names: Any) -> str:
    """Return names, with their sizes where they have some, for a message."""
    sizes = isinstance(names, dict) and all(type(value) is int for value in names.values())
    text = ", ".join(f"{name}: {size}" for name, size in names.items()) if sizes else ", ".join(map(str, names))
    return text if len(text) <= 2 * _SHOWN else f"{text[: 2 * _SHOWN]}..."


def shown(value: Any) -> str:
    """Return a wrong value for a message, cut where it is long."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
