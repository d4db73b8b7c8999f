"""The same examples by an Apache Beam pipeline, for a corpus that one machine is too slow for."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.error import BeamError
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

from keras_bert_zoo.data.corpus import Corpus, read_corpus
from keras_bert_zoo.data.pretraining import beam_steps
from keras_bert_zoo.data.pretraining.build import Source, check_documents, check_run, make_plan, sorted_corpus
from keras_bert_zoo.data.pretraining.manifest import COMPRESSIONS, FILE, manifest, shard_names
from keras_bert_zoo.data.pretraining.settings import Settings
from keras_bert_zoo.data.pretraining.steps import COUNTS
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.files import check_absent, new_folder

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

# In the account, where there is no example.
_ERRORS, _FULL = "errors", "documents_with_tokens"


def build_with_beam(
    source: Source,
    out: str | os.PathLike[str],
    tokenizer: Tokenizer,
    settings: Settings,
    *,
    arguments: Sequence[str],
    name: str,
    shards: int,
    compress: bool,
    overwrite: bool,
    **reading: Any,
) -> dict[str, Any]:
    """See `write_pretraining_data`; `arguments` are the pipeline's options, "--runner=..." among them."""
    check_run(name, shards, workers=1)
    target = os.fspath(out)
    local = FileSystems.get_scheme(target) is None
    if local:
        check_absent(target, overwrite=overwrite)
    elif not overwrite and _listed(FileSystems.join(target, "*")):
        raise ConfigError(f"{target}: there are files already. Choose another, or allow overwriting (--overwrite).")
    corpus, paths = _files(source, reading)
    options = PipelineOptions(list(arguments))
    options.view_as(SetupOptions).save_main_session = False  # nothing of the caller's script is needed
    with new_folder(target, overwrite=overwrite) if local else nullcontext(target) as folder:
        place = str(folder)
        names = shard_names(name, shards, compress)
        account_of = _Account(settings, tokenizer, names, compress, corpus, FileSystems.join(place, FILE))
        try:
            _run(options, paths, place, tokenizer, settings, names, compress, corpus, account_of)
        except (OSError, RuntimeError, ValueError, ImportError, BeamError) as error:
            words = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise DataError(f"{target}: the Beam pipeline failed: {words[-1].strip()}") from error
        with FileSystems.open(account_of.path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            account = json.loads(file.read())
        errors = account.pop(_ERRORS, None)
        if errors or not account["instances"]:
            if not local:
                FileSystems.delete([account_of.path])
            if errors:
                raise DataError(errors[0])
            check_documents(account[_FULL], corpus, settings)
    return account


def _run(
    options: PipelineOptions,
    paths: Sequence[str],
    folder: str,
    tokenizer: Tokenizer,
    settings: Settings,
    names: Sequence[str],
    compress: bool,
    corpus: Corpus,
    account_of: _Account,
) -> None:
    plan = make_plan(settings, tokenizer)
    given = dataclasses.asdict(tokenizer.settings) | {"vocabulary": tokenizer.vocabulary, "duplicates": "last"}
    shard_paths = tuple(FileSystems.join(folder, name) for name in names)
    with beam.Pipeline(options=options) as pipeline:
        files = pipeline | "Files" >> beam.Create(list(enumerate(paths))) | "Spread files" >> beam.Reshuffle()
        read = files | "Tokenize" >> beam.ParDo(
            beam_steps.TokenizeFiles(given, plan.id_bytes, corpus.reading)
        ).with_outputs("sizes", "counts", "errors", main="parts")
        # Read once: what follows waits for the sizes of all parts, and would read the text again after a failure.
        parts = read.parts | "Keep parts" >> beam.Reshuffle()
        sizes, errors = beam.pvalue.AsList(read.sizes), beam.pvalue.AsList(read.errors)
        pairs = parts | "Make pairs" >> beam.ParDo(
            beam_steps.MakePairs(plan, len(names)), sizes=sizes, errors=errors
        ).with_outputs("requests", main="rows")
        answered = (
            {"parts": parts, "requests": pairs.requests}
            | "Meet" >> beam.CoGroupByKey()
            | "Answer requests" >> beam.ParDo(beam_steps.AnswerRequests(plan, len(names)), sizes=sizes)
        )
        every = pipeline | "Every shard" >> beam.Create([(number, b"") for number in range(len(names))])
        written = (
            (pairs.rows, answered, every)
            | beam.Flatten()
            | "Gather shards" >> beam.GroupByKey()
            | "Write shards"
            >> beam.ParDo(beam_steps.WriteShards(plan, tokenizer.vocabulary, shard_paths, COMPRESSIONS[compress]))
        )
        _ = (
            pipeline
            | "Once" >> beam.Create([None])
            | "Write account"
            >> beam.Map(account_of.write, beam.pvalue.AsList(written), beam.pvalue.AsList(read.counts), sizes, errors)
        )


class _Account:
    """Writes `pretraining.json` when all shards are written."""

    def __init__(
        self,
        settings: Settings,
        tokenizer: Tokenizer,
        names: Sequence[str],
        compress: bool,
        corpus: Corpus,
        path: str,
    ) -> None:
        empty = dict.fromkeys(names, 0)
        # The tokenizer stays here: only what is told of it goes along.
        self._given = manifest(settings, tokenizer, empty, {}, compressed=compress, corpus=corpus.reading)
        self._names, self.path = list(names), path

    def write(
        self,
        _: None,
        written: Iterable[tuple[int, dict[str, int]]],
        counts: Iterable[dict[str, int]],
        sizes: Iterable[beam_steps.PartSize],
        errors: Iterable[tuple[int, str]],
    ) -> None:
        """Write the account, or what is wrong with the corpus."""
        shards = dict(written)
        texts, parts = list(counts), list(sizes)
        summed = {key: sum(one[key] for one in texts) for key in (texts[0] if texts else ())}
        summed |= {"corpus_tokens": sum(p.tokens for p in parts), "unknown": sum(p.unknown for p in parts)}
        summed |= {key: sum(one[key] for one in shards.values()) for key in COUNTS}
        listed = [{"file": name, "instances": shards[i]["instances"]} for i, name in enumerate(self._names)]
        account = {**self._given, "shards": listed, "instances": summed["instances"], "counts": summed}
        found = sorted(errors)
        if found:
            account[_ERRORS] = [message for _, message in found]
        if not summed["instances"]:
            account[_FULL] = sum(part.documents for part in parts)
        with beam_steps.created(self.path) as file:
            file.write((json.dumps(account, indent=2, ensure_ascii=False) + "\n").encode())


def _files(source: Source, reading: dict[str, str]) -> tuple[Corpus, list[str]]:
    """Return the corpus and its files; elsewhere than on this machine they are named by patterns."""
    named = [source] if isinstance(source, str) else source
    if isinstance(named, Corpus | os.PathLike) or not any(_is_far(one) for one in named):
        corpus = sorted_corpus(source, **reading)
        return corpus, [str(path) for path in corpus.files]
    paths = sorted({path for pattern in named for path in _listed(os.fspath(pattern))})
    if not paths:
        raise DataError(
            f"{', '.join(os.fspath(one) for one in named)}: no file is there. Want patterns such as gs://b/c/*.txt."
        )
    return dataclasses.replace(read_corpus(os.devnull, **reading), files=tuple(paths)), paths  # type: ignore[arg-type]


def _is_far(path: str | os.PathLike[str]) -> bool:
    return FileSystems.get_scheme(os.fspath(path)) is not None


def _listed(pattern: str) -> list[str]:
    try:
        return [found.path for found in FileSystems.match([pattern])[0].metadata_list]
    except (ValueError, OSError, BeamError) as error:  # no such file system, or it does not let us
        raise DataError(f"{pattern}: cannot be listed: {error}") from error
