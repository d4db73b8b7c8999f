"""Pretraining examples from a corpus of any size, as TFRecord shards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from keras_bert_zoo.errors import ConfigError

if TYPE_CHECKING:
    from keras_bert_zoo.data.pretraining.build import Progress, Source
    from keras_bert_zoo.text.tokenizer import Tokenizer


def write_pretraining_data(
    source: Source,
    out: str | os.PathLike[str],
    tokenizer: Tokenizer,
    *,
    name: str = "pretraining",
    shards: int = 8,
    compress: bool = False,
    workers: int = 1,
    scratch: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    text: str = "text",
    unit: str = "lines",
    invalid: str = "replace",
    language: str = "en",
    progress: Progress | None = None,
    beam: Sequence[str] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Write the examples that BERT is pretrained on, in random order, and return what `pretraining.json` holds.

    `source` is a corpus, or what `read_corpus` takes with `text`, `unit`, `invalid` and `language`; files are read in
    the order of their names.  `settings` are the fields of `settings.Settings`: what the examples are like.  The bytes
    written depend on those, the seed, the text, the tokenizer and `shards` alone, not on `workers`, processes that
    share the work.  `scratch` is a folder for what is spooled meanwhile, `out` unless given.  `progress` hears what
    is being done ("reading" in bytes, "pairing" in blocks, "writing" in examples), how much is done and how much
    there is.  `beam` are options of an Apache Beam pipeline, which does the work in place of `workers` and without
    `scratch` and `progress`: the same bytes, on any of its runners; files may then lie wherever Beam can read.
    Raises: ConfigError for settings or an `out` that cannot be; DataError for text that cannot be read or is not
    enough, and for a full disk.
    Source: google-research/bert create_pretraining_data.py, its features by name, dtype and length.
    """
    from keras_bert_zoo.data.pretraining.build import build
    from keras_bert_zoo.data.pretraining.settings import Settings

    made = Settings(**settings)
    files: dict[str, Any] = {"name": name, "shards": shards, "compress": compress, "overwrite": overwrite}
    reading: dict[str, Any] = {"text": text, "unit": unit, "invalid": invalid, "language": language}
    if beam is None:
        here: dict[str, Any] = {"workers": workers, "scratch": scratch, "progress": progress}
        return build(source, out, tokenizer, made, **files, **here, **reading)
    if find_spec("apache_beam") is None:
        raise ConfigError("beam: apache-beam is not installed. Install it with pip install 'keras-bert-zoo[beam]'.")
    from keras_bert_zoo.data.pretraining.beam import build_with_beam

    return build_with_beam(source, out, tokenizer, made, arguments=beam, **files, **reading)
