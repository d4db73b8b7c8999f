"""The normaliser tables that ship with the package, and how they are stored."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "assets"
FINAL_SIGMA = "final_sigma.txt"


class Table(NamedTuple):
    """`buffer` is the normaliser op's model; `aliases` maps characters to what they become on the way to WordPiece."""

    buffer: bytes
    aliases: Mapping[str, str]


def pack(table: Table) -> bytes:
    """The bytes of a table's file: a JSON line with the aliases, then the buffer, compressed."""
    header = json.dumps({"aliases": table.aliases}).encode()
    # The buffer is 32-bit words; first bytes together, second bytes together and so on halves the file.
    planes = np.frombuffer(table.buffer, np.uint8).reshape(-1, 4).T.tobytes()
    return zlib.compress(header + b"\n" + planes, 9)


def unpack(data: bytes) -> Table:
    """The inverse of `pack`."""
    header, planes = zlib.decompress(data).split(b"\n", 1)
    buffer = np.frombuffer(planes, np.uint8).reshape(4, -1).T.tobytes()
    return Table(buffer, json.loads(header)["aliases"])


@functools.cache
def load(name: str) -> Table:
    """The shipped table of that name (`rules.Switches.name`)."""
    return unpack((FOLDER / f"{name}.bin").read_bytes())


@functools.cache
def final_sigma_pattern() -> str:
    """The shipped RE2 pattern for a final sigma (`rules.final_sigma_pattern`)."""
    return (FOLDER / FINAL_SIGMA).read_text(encoding="utf-8")
