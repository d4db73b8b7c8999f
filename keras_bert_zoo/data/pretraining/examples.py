"""`tf.train.Example` records, many at a time, byte for byte as protobuf and TensorFlow write them.

N examples, W the most bytes that one takes.  All examples of a run have the same features, so their bytes differ in
the values and in a few lengths alone: they are laid out in a grid [N,W] with a mark for the bytes that are used.
Source: tensorflow/core/example/example.proto and feature.proto; protobuf's wire format; TFRecord: core/lib/io/
record_writer.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import google_crc32c
import numpy as np
from numpy.lib.stride_tricks import as_strided

_GROUP = 7  # bits of a number that one byte holds
_HEAD, _FOOT = 12, 4  # bytes of a record before and behind the example
_MASK = 0xA282EAD8  # what TFRecord adds to a rotated checksum
_LENGTH = 4  # bytes that are enough for the lengths inside an example: 2**28
_WHOLE, _REAL = "int64", "float"
# Fields: Example.features, Features.feature, the map's key and value, Feature's lists and their packed values.
_FEATURES, _ENTRY, _KEY, _VALUE, _PACKED = b"\x0a", b"\x0a", b"\x0a", b"\x12", b"\x0a"
_LIST = {_REAL: b"\x12", _WHOLE: b"\x1a"}

NAMES = {
    "google": {"ids": "input_ids", "types": "segment_ids"},
    "model_garden": {"ids": "input_word_ids", "types": "input_type_ids"},
}


class Feature(NamedTuple):
    """One feature: its name, how many values it has, and the largest of them; None for floats."""

    name: str
    size: int
    largest: int | None


def features_of(kind: str, names: str, length: int, places: int, vocab_size: int) -> list[Feature]:
    """Return the features of a record, in the order of their names.

    Source: google-research/bert run_pretraining.py input_fn_builder; official/nlp/data/pretrain_dataloader.py.
    """
    spelled = NAMES[names]
    found = [
        Feature(spelled["ids"], length, vocab_size - 1),
        Feature("input_mask", length, 1),
        Feature(spelled["types"], length, 1),
        Feature("next_sentence_labels", 1, 1),
    ]
    if kind == "masked":
        found += [
            Feature("masked_lm_positions", places, length - 1),
            Feature("masked_lm_ids", places, vocab_size - 1),
            Feature("masked_lm_weights", places, None),
        ]
    return sorted(found)


class ExampleWriter:
    """Turns arrays into framed records."""

    def __init__(self, features: list[Feature], most: int) -> None:
        """`most` examples at a time; the features in the order of their names, as protobuf sorts them."""
        self.features = features
        self._at = 0
        self._heads: dict[int, np.ndarray] = {}
        width = _HEAD + _FOOT + 1 + _LENGTH + sum(map(_widest, features))
        self._bytes = np.zeros((most, width), np.uint8)
        self._used = np.zeros((most, width), bool)

    def records(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the bytes of N records, uint8 [any], for arrays int [N,count], or float32 [N,count]."""
        count = len(next(iter(values.values())))
        packed = {feature.name: _packed_size(feature, values[feature.name]) for feature in self.features}
        entries = {feature.name: _nested(feature, packed[feature.name]) for feature in self.features}
        bodies = [1 + _varint_size(sizes[0]) + sizes[0] for sizes in entries.values()]
        body = np.sum(bodies, axis=0)  # [N]
        size = 1 + _varint_size(body) + body
        self._at = 0
        grid, used = self._bytes[:count], self._used[:count]
        self._columns(grid, used, self._head(size))
        self._constant(grid, used, _FEATURES)
        self._varints(grid, used, body[:, None], _LENGTH)
        for feature in self.features:
            entry, value, listed = entries[feature.name]
            self._constant(grid, used, _ENTRY)
            self._varints(grid, used, entry[:, None], _LENGTH)
            name = feature.name.encode()
            self._constant(grid, used, _KEY + bytes([len(name)]) + name + _VALUE)
            self._varints(grid, used, value[:, None], _LENGTH)
            self._constant(grid, used, _LIST[_REAL if feature.largest is None else _WHOLE])
            self._varints(grid, used, listed[:, None], _LENGTH)
            self._constant(grid, used, _PACKED)
            self._varints(grid, used, packed[feature.name][:, None], _LENGTH)
            if feature.largest is None:
                self._columns(grid, used, np.ascontiguousarray(values[feature.name], "<f4").view(np.uint8))
            else:
                self._varints(grid, used, values[feature.name], _most_bytes(feature.largest))
        self._columns(grid, used, np.zeros((count, _FOOT), np.uint8))
        flat = grid[:, : self._at][used[:, : self._at]]
        return _checked(flat, size)

    def _columns(self, grid: np.ndarray, used: np.ndarray, values: np.ndarray) -> None:
        columns = slice(self._at, self._at + values.shape[1])
        grid[:, columns], used[:, columns] = values, True
        self._at += values.shape[1]

    def _constant(self, grid: np.ndarray, used: np.ndarray, value: bytes) -> None:
        self._columns(grid, used, np.frombuffer(value, np.uint8)[None, :])

    def _varints(self, grid: np.ndarray, used: np.ndarray, values: np.ndarray, most: int) -> None:
        """Lay out int [N,K] in seven bits a byte, the lowest first; all but the last byte have the eighth bit set."""
        columns = slice(self._at, self._at + values.shape[1] * most)
        self._at += values.shape[1] * most
        if most == 1:
            grid[:, columns], used[:, columns] = values, True
            return
        shape = (*values.shape, most)
        # A slice of columns cannot be reshaped without a copy, hence the strides.
        places = as_strided(grid[:, columns], shape, (grid.strides[0], most, 1))
        marks = as_strided(used[:, columns], shape, (used.strides[0], most, 1))
        for byte in range(most):
            more = values >= 1 << _GROUP * (byte + 1) if byte + 1 < most else None
            bits = (values >> _GROUP * byte) & 0x7F
            places[..., byte] = bits if more is None else bits | (more.astype(np.uint8) << _GROUP)
            marks[..., byte] = True if byte == 0 else values >= 1 << _GROUP * byte

    def _head(self, sizes: np.ndarray) -> np.ndarray:
        """Return each record's length and its checksum: uint8 [N,12].  Few lengths occur, so they are remembered."""
        distinct, which = np.unique(sizes, return_inverse=True)
        for size in distinct.tolist():
            if size not in self._heads:
                length = size.to_bytes(8, "little")
                self._heads[size] = np.frombuffer(length + _masked(google_crc32c.value(length)), np.uint8)
        return np.stack([self._heads[size] for size in distinct.tolist()])[which]


def _checked(flat: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Fill in the checksums behind the examples."""
    ends = np.cumsum(sizes + _HEAD + _FOOT)
    data = flat.tobytes()
    value = google_crc32c.value
    begins = (ends - sizes - _FOOT).tolist()
    sums = [value(data[begin:end]) for begin, end in zip(begins, (ends - _FOOT).tolist(), strict=True)]
    crc = np.array(sums, np.uint32)
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK)
    flat[(ends - _FOOT)[:, None] + np.arange(_FOOT)] = masked.astype("<u4").view(np.uint8).reshape(-1, _FOOT)
    return flat


def _masked(crc: int) -> bytes:
    return (((crc >> 15 | crc << 17) + _MASK) & 0xFFFF_FFFF).to_bytes(4, "little")


def _most_bytes(largest: int) -> int:
    return max(1, -(-largest.bit_length() // _GROUP))


def _widest(feature: Feature) -> int:
    """Return the most bytes that a feature's entry takes."""
    value = 4 if feature.largest is None else _most_bytes(feature.largest)
    return 5 + 1 + len(feature.name.encode()) + 4 * _LENGTH + value * feature.size


def _varint_size(values: np.ndarray) -> np.ndarray:
    """Return the bytes that numbers take, int64 of the same shape."""
    size = np.ones(values.shape, np.int64)
    for byte in range(1, _most_bytes(int(values.max(initial=0)))):
        size += values >= 1 << _GROUP * byte
    return size


def _packed_size(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Return the bytes that each example's values take, int64 [N]."""
    if feature.largest is None:
        return np.full(len(values), 4 * feature.size)
    size = np.full(len(values), feature.size)
    for byte in range(1, _most_bytes(feature.largest)):
        size += np.count_nonzero(values >= 1 << _GROUP * byte, axis=1)
    return size


def _nested(feature: Feature, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the lengths of the map's entry, of its value and of the list inside, int64 [N] each."""
    listed = 1 + _varint_size(packed) + packed
    value = 1 + _varint_size(listed) + listed
    entry = 2 + len(feature.name.encode()) + 1 + _varint_size(value) + value
    return entry, value, listed
