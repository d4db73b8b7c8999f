"""Packs a replacement table into the buffer that TensorFlow Text's normaliser op reads.

The buffer is a flatbuffer around a double array: a trie over UTF-8 bytes laid out in one list of 32-bit units.
Source: tensorflow/text, fast_bert_normalizer_model.fbs, and the unit layout of the darts-clone library.
"""

from __future__ import annotations

from collections.abc import Mapping

import flatbuffers
import numpy as np

# One trie node: its children by byte, and the value of the key that ends here.
Node = tuple[tuple[tuple[int, int], ...], int | None]

_HAS_VALUE = 1 << 8
_IS_VALUE = 1 << 31
_REPLACED = 1 << 30  # set in every value; offset and length zero then mean "delete"
_LENGTH_BITS = 6
_BLOCK = 256  # the reader has no bounds check, so every base ^ byte must lie inside


def ill_formed_parts() -> list[bytes]:
    """Every byte run that a decoder skips as one error: the keys that delete invalid UTF-8.

    Source: Unicode 3.9, "maximal subpart"; Python's and ICU's decoders step by it.
    """
    parts = [bytes([b]) for b in range(0x80, 0x100)]
    for lead in range(0xE0, 0xF5):
        low = {0xE0: 0xA0, 0xF0: 0x90}.get(lead, 0x80)
        high = {0xED: 0x9F, 0xF4: 0x8F}.get(lead, 0xBF)
        seconds = [bytes([lead, b]) for b in range(low, high + 1)]
        parts += seconds
        if lead >= 0xF0:
            parts += [s + bytes([b]) for s in seconds for b in range(0x80, 0xC0)]
    return parts


def _values(table: Mapping[bytes, bytes]) -> tuple[dict[bytes, int], bytes]:
    """Each key's 31-bit value, and the pool of strings the values point into."""
    pool = bytearray()
    where: dict[bytes, int] = {b"": 0}
    # Long strings first, so that short ones are found inside them.
    for text in sorted(set(table.values()) - {b""}, key=lambda t: (-len(t), t)):
        at = pool.find(text)
        if at < 0:
            at = len(pool)
            pool += text
        where[text] = at
    return {k: _REPLACED | where[v] << _LENGTH_BITS | len(v) for k, v in table.items()}, bytes(pool)


def _trie(values: Mapping[bytes, int]) -> tuple[list[Node], int]:
    """The trie's distinct nodes, equal subtrees stored once, and the root's number."""
    nodes: list[Node] = []
    numbers: dict[Node, int] = {}

    def build(keys: list[bytes], depth: int) -> int:
        value = None
        groups: dict[int, list[bytes]] = {}
        for key in keys:
            if len(key) == depth:
                value = values[key]
            else:
                groups.setdefault(key[depth], []).append(key)
        node = (tuple((byte, build(group, depth + 1)) for byte, group in groups.items()), value)
        if node not in numbers:
            numbers[node] = len(nodes)
            nodes.append(node)
        return numbers[node]

    return nodes, build(sorted(values), 0)


def _place(nodes: list[Node]) -> tuple[list[int], int]:
    """A base for each node such that no two nodes share a base or a slot, and the array's length."""
    bases = [0] * len(nodes)
    used = bytearray(_BLOCK)
    taken = bytearray(_BLOCK)
    used[0] = taken[0] = 1  # slot 0 is the root's own unit, and a base of 0 would point a unit at itself
    # Slots only ever fill up, so a slot that failed for one set of labels fails for it ever after.
    next_slot: dict[tuple[int, ...], int] = {}
    for number in sorted(range(len(nodes)), key=lambda n: (-len(nodes[n][0]), n)):
        children, value = nodes[number]
        labels = tuple(byte for byte, _ in children) + ((0,) if value is not None else ())
        slot = next_slot.get(labels, 0)
        while True:
            slot = used.find(0, slot)  # where the first label would go
            if slot < 0:
                slot = len(used)
                used += bytes(_BLOCK)
                taken += bytes(_BLOCK)
            base = slot ^ labels[0]
            if not taken[base] and not any(used[base ^ label] for label in labels):
                break
            slot += 1
        bases[number], next_slot[labels] = base, slot + 1
        taken[base] = 1
        for label in labels:
            used[base ^ label] = 1
    return bases, len(used)


def _double_array(values: Mapping[bytes, int]) -> np.ndarray:
    nodes, root = _trie(values)
    bases, length = _place(nodes)
    units = np.zeros(length, np.uint32)

    def unit(slot: int, number: int, label: int) -> int:
        has_value = _HAS_VALUE if nodes[number][1] is not None else 0
        offset = bases[number] ^ slot
        assert offset < 1 << 21, "the table outgrew the plain offsets of a double array"
        return offset << 10 | has_value | label

    units[0] = unit(0, root, 0)
    for number, (children, value) in enumerate(nodes):
        for byte, child in children:
            slot = bases[number] ^ byte
            units[slot] = unit(slot, child, byte)
        if value is not None:
            units[bases[number]] = _IS_VALUE | value
    return units


def build_buffer(table: Mapping[str, str], *, lower: bool) -> bytes:
    """The normaliser op's model for a table of character -> string; characters not in it stay as they are.

    Invalid UTF-8 and U+0000 are deleted.  The same table gives the same bytes.
    """
    keys = dict.fromkeys(ill_formed_parts(), b"")
    keys |= {c.encode(): text.encode() for c, text in table.items() if c != "\0"}
    values, pool = _values(keys)
    builder = flatbuffers.Builder(1024)
    pool_at = builder.CreateByteVector(pool)
    units_at = builder.CreateNumpyVector(_double_array(values))
    builder.StartObject(4)
    builder.PrependBoolSlot(0, lower, False)
    builder.PrependUOffsetTRelativeSlot(1, units_at, 0)
    builder.PrependInt32Slot(2, _REPLACED, 0)
    builder.PrependUOffsetTRelativeSlot(3, pool_at, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
