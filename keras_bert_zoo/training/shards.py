"""Shards of pretraining records: found, described and counted.  T tokens a row, M places asked about."""

from __future__ import annotations

import dataclasses
import glob
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.data.pretraining.manifest import FILE as MANIFEST
from keras_bert_zoo.data.pretraining.manifest import FORMAT
from keras_bert_zoo.errors import DataError

Source = str | Path | Sequence[str | Path]

# Our name -> the names in records, google-research/bert's and Model Garden's
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "input_word_ids": ("input_ids", "input_word_ids"),
    "input_mask": ("input_mask",),
    "input_type_ids": ("segment_ids", "input_type_ids"),
    "next_sentence_labels": ("next_sentence_labels", "next_sentence_label"),
}
ASKED: Mapping[str, tuple[str, ...]] = {
    name: (name,) for name in ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
}
_GZIP = b"\x1f\x8b\x08"
_SAMPLE = 65536  # bytes
_HEADER, _FOOTER = 12, 4  # bytes before and behind a record: its length and a checksum; a checksum


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of records, and how many it should hold."""

    path: Path
    instances: int


@dataclasses.dataclass(frozen=True)
class Shards:
    """Files of one kind: "ids" holds plain rows, "masked" rows with their masks drawn.

    `names` maps our names to the records'; rows have `length` tokens, and `places` of them asked about (0 for "ids").
    `compression` is "" or "GZIP"; `manifest` what the folder says of itself, {} for foreign files.
    """

    files: tuple[Shard, ...]
    kind: str
    names: Mapping[str, str]
    length: int
    places: int
    compression: str
    manifest: Mapping[str, Any]

    @property
    def instances(self) -> int:
        """How many rows there are."""
        return sum(shard.instances for shard in self.files)

    def told(self) -> dict[str, Any]:
        """Return what tells one set of shards from another, wherever it lies."""
        return {
            "files": {shard.path.name: [shard.instances, shard.path.stat().st_size] for shard in self.files},
            "kind": self.kind,
            "length": self.length,
        }

    def sample(self) -> str:
        """Return a digest of what the files begin and end with, which tells their contents apart in no time."""
        digest = hashlib.sha256(json.dumps(self.told(), sort_keys=True).encode())
        for shard in self.files:
            with shard.path.open("rb") as file:
                digest.update(file.read(_SAMPLE))
                file.seek(max(shard.path.stat().st_size - _SAMPLE, 0))
                digest.update(file.read(_SAMPLE))
        return digest.hexdigest()[:16]


def find_shards(source: Source) -> Shards:
    """Find the shards that a source names: a folder with `pretraining.json`, files, or patterns such as "data/*.gz".

    A folder without a manifest gives the files with "tfrecord" in their names.  Foreign files are counted, which reads
    them once where they are compressed.
    Raises: DataError where there are none, a file is missing or damaged, or they are not pretraining records.
    """
    parts = [source] if isinstance(source, (str, Path)) else list(source)
    if not parts:
        raise DataError("No pretraining data is named: give a folder of kbz pretraining-data, or files.")
    first = Path(parts[0]).expanduser()
    if len(parts) == 1 and (first / MANIFEST).is_file():
        return _described(first)
    paths = sorted({path for part in parts for path in _files(part)})
    compression = "GZIP" if _starts(paths[0]) else ""
    for path in paths:
        if _starts(path) != bool(compression):
            raise DataError(f"{path}: some of the shards are compressed, some are not. Read them one kind at a time.")
    files = tuple(Shard(path, sum(1 for _ in _headers(path, compression))) for path in paths)
    files = tuple(shard for shard in files if shard.instances)
    if not files:
        raise DataError(f"{paths[0]}: {'it is' if len(paths) == 1 else 'all shards are'} empty.")
    return _inspected(files, compression, {})


def _described(folder: Path) -> Shards:
    """Read a folder by its manifest."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise DataError(f"{path}: its format is {manifest['format']!r}, this version reads {FORMAT}. Update.")
        files = tuple(Shard(folder / Path(each["file"]).name, int(each["instances"])) for each in manifest["shards"])
        compression, kind = manifest["compression"], manifest["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no description of pretraining data ({type(error).__name__}: {error}).") from None
    if missing := [shard.path.name for shard in files if not shard.path.is_file()]:
        raise DataError(f"{folder}: {len(missing)} of {len(files)} shards are missing, such as {missing[0]}.")
    files = tuple(shard for shard in files if shard.instances)
    if not files:
        raise DataError(f"{path}: its shards hold no instances.")
    shards = _inspected(files, compression, manifest)
    if shards.kind != kind:
        raise DataError(f"{path} says its records are {kind!r}, but {files[0].path.name} holds {shards.kind!r}.")
    return shards


def _files(part: str | Path) -> list[Path]:
    path = Path(part).expanduser()
    if path.is_dir():
        if (path / MANIFEST).is_file():
            raise DataError(f"{path}: name a folder with {MANIFEST} alone, or its files by a pattern.")
        found = sorted(file for file in path.iterdir() if "tfrecord" in file.name and file.is_file())
        if not found:
            raise DataError(
                f"{path}: there is no {MANIFEST} and no file with tfrecord in its name. kbz pretraining-data writes"
                f" such folders; name foreign files by a pattern, such as '{path}/*'."
            )
        return found
    found = sorted(file for file in map(Path, glob.glob(str(path), recursive=True)) if file.is_file())
    if not found:
        raise DataError(f"{part}: there is no such file, and no file of such a pattern.")
    return found


def _inspected(files: tuple[Shard, ...], compression: str, manifest: Mapping[str, Any]) -> Shards:
    """Look at the first record for names and lengths."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    path = files[0].path
    try:
        (record,) = tf.data.TFRecordDataset(str(path), compression).take(1).as_numpy_iterator()
        feature = tf.train.Example.FromString(record).features.feature
    except (tf.errors.OpError, ValueError) as error:  # a file without a record, too
        raise DataError(f"{path}: its first record cannot be read: {told_by(error)}.") from None
    except DecodeError:
        raise DataError(f"{path}: its first record is no tf.train.Example.") from None
    lengths = {name: max(len(f.int64_list.value), len(f.float_list.value)) for name, f in feature.items()}
    kind = "masked" if "masked_lm_positions" in lengths else "ids"
    names = {}
    for name, spellings in {**SPELLINGS, **(ASKED if kind == "masked" else {})}.items():
        there = [spelling for spelling in spellings if spelling in lengths]
        if not there:
            raise DataError(
                f"{path}: its records lack {' or '.join(spellings)}; they have"
                f" {', '.join(sorted(lengths)) or 'nothing'}."
            )
        names[name] = there[0]
    length = lengths[names["input_word_ids"]]
    places = lengths.get("masked_lm_positions", 0)
    return Shards(files, kind, names, length, places, compression, manifest)


def _headers(path: Path, compression: str) -> Iterator[int]:
    """Yield the length of every record of a file.  Raises: DataError where it is cut off or no file of records.

    Source: TensorFlow, core/lib/io/record_writer.h: length uint64, its checksum, the record, its checksum.
    """
    size = path.stat().st_size
    try:
        with gzip.open(path) if compression else path.open("rb") as file:
            place = 0
            while header := file.read(_HEADER):
                length = int.from_bytes(header[:8], "little")
                end = place + _HEADER + length + _FOOTER
                if len(header) < _HEADER or (not compression and end > size):
                    raise DataError(f"{path}: cut off, or no TFRecord file: byte {place:,} begins no whole record.")
                if compression:
                    if len(file.read(min(length, 2**31)) + file.read(_FOOTER)) < length + _FOOTER:
                        raise DataError(f"{path}: cut off: byte {place:,} begins no whole record.")
                else:
                    file.seek(end)
                place = end
                yield length
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: its compression is damaged: {error}.") from None


def _starts(path: Path) -> bool:
    """Tell whether a file begins as gzip's do."""
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def told_by(error: Exception) -> str:
    """Return what one of TensorFlow's errors says, without where in its code it came from."""
    return (str(getattr(error, "message", "")) or str(error)).split("\n")[0].split(" [Op:")[0].rstrip(". ")
