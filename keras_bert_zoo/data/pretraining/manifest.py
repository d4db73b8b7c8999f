"""`pretraining.json`: what a folder of records holds, and how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo.data.pretraining.settings import Settings

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

FILE = "pretraining.json"
FORMAT = 1
COMPRESSIONS = {False: "", True: "GZIP"}


def shard_names(name: str, count: int, compressed: bool) -> tuple[str, ...]:
    """Return the names of a run's files."""
    end = ".tfrecord.gz" if compressed else ".tfrecord"
    return tuple(f"{name}-{number:05}-of-{count:05}{end}" for number in range(count))


def vocabulary_sha256(vocabulary: Sequence[str]) -> str:
    """Return the checksum of the vocab.txt that holds these tokens, a line each."""
    return hashlib.sha256("".join(f"{token}\n" for token in vocabulary).encode()).hexdigest()


def manifest(
    settings: Settings,
    tokenizer: Tokenizer,
    shards: Mapping[str, int],
    counts: Mapping[str, int],
    *,
    compressed: bool,
    corpus: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a folder's account: `shards` by name with their instances; `corpus` tells how the text was read."""
    return {
        "format": FORMAT,
        "kind": settings.kind,
        "names": settings.names,
        "max_length": settings.max_length,
        "max_predictions": settings.places,
        "compression": COMPRESSIONS[compressed],
        "vocabulary_sha256": vocabulary_sha256(tokenizer.vocabulary),
        "vocabulary_size": tokenizer.vocab_size,
        "do_lower_case": tokenizer.lower,
        "shards": [{"file": file, "instances": count} for file, count in shards.items()],
        "instances": sum(shards.values()),
        "settings": {**settings.to_dict(), **corpus},
        "counts": dict(counts),
    }


def write_manifest(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the file into a folder."""
    (folder / FILE).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
