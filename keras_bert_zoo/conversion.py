"""From one weight format to another, with an account of every tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo import weights
from keras_bert_zoo.bundle import read, whole_folder, write
from keras_bert_zoo.files import check_absent
from keras_bert_zoo.weights.transfer import Audit, common_dtype


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What became of every tensor on its way: `read` from the source, `written` to the target.

    `written.dtype_changes` compares the target's tensors with the source's.
    """

    source: str
    target: str
    from_format: str
    to_format: str
    read: Audit
    written: Audit

    def __str__(self) -> str:
        return f"Read {self.from_format}, {self.read}\nWrote {self.to_format}, {self.written}"

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain values, for JSON."""
        return {
            "source": self.source,
            "target": self.target,
            "from": self.from_format,
            "to": self.to_format,
            "read": self.read.to_dict(),
            "written": self.written.to_dict(),
        }


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str,
    format: str | None = None,
    allow: Sequence[str] = (),
    head: Any = None,
    encoder_only: bool = False,
    unused: Sequence[str] = (),
    missing: Sequence[str] = (),
    dtype: str | None = None,
    lower: bool | None = None,
    max_shard_size: int | str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write what `kbz.load` reads as a folder of another weight format; it appears whole or not at all.

    `to` is one of `kbz.weights.TARGETS`, `format` that of the source, told by its files unless given.  `dtype` is
    that of the target's tensors: the source's own unless given, float32 where it has several.  `allow` and
    `max_shard_size` see `kbz.save`, the rest `kbz.load`.
    Raises: what these raise; CheckpointError where the target cannot be written.
    """
    weights.named(to)
    check_absent(target, overwrite=overwrite)
    bundle, opened, taken = read(
        source,
        head=head,
        encoder_only=encoder_only,
        unused=unused,
        missing=missing,
        dtype="float32",  # holds every half exactly
        format=format,
        lower=lower,
    )
    stored = {ours: opened.reader.dtype(theirs) for ours, theirs in taken.matched}
    own = common_dtype(stored.values()) if stored else "float32"
    kind = dtype or ("float32" if own == "float64" else own)
    folder = Path(target).expanduser()
    with whole_folder(folder, overwrite=overwrite) as partial:
        given = write(bundle, partial, format=to, allow=allow, dtype=kind, max_shard_size=max_shard_size)
        there = given.where.replace(str(partial), str(folder))
    changes = (
        f"'{theirs}' {stored[ours]} -> {kind}" for ours, theirs in given.matched if stored.get(ours, kind) != kind
    )
    return Conversion(
        str(source),
        str(folder),
        opened.format,
        to,
        dataclasses.replace(taken, dtype_changes=()),
        dataclasses.replace(given, where=there, dtype_changes=tuple(changes)),
    )
