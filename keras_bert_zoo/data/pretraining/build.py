"""From a corpus to shards of pretraining examples, on one machine, in memory that does not grow with the corpus.

Three passes, each over files on disk: text to token ids with an index; documents to rows, which go to bucket files;
buckets to shards, each sorted in memory.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo.data.corpus import Corpus, read_corpus
from keras_bert_zoo.data.pretraining.crew import Crew
from keras_bert_zoo.data.pretraining.manifest import COMPRESSIONS, manifest, shard_names, write_manifest
from keras_bert_zoo.data.pretraining.rows import row_dtype
from keras_bert_zoo.data.pretraining.settings import Plan, Settings
from keras_bert_zoo.data.pretraining.shuffle import bucket_count
from keras_bert_zoo.data.pretraining.spool import Spool, SpoolWriter
from keras_bert_zoo.data.pretraining.steps import COUNTS, Work, glued_ids
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.files import check_absent, cleared, new_folder

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

READING, PAIRING, WRITING = "reading", "pairing", "writing"
_MOST_SHARDS = 100_000
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

# What is being done (one of the three above), how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]
Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Corpus


def build(
    source: Source,
    out: str | os.PathLike[str],
    tokenizer: Tokenizer,
    settings: Settings,
    *,
    name: str,
    shards: int,
    compress: bool,
    workers: int,
    scratch: str | os.PathLike[str] | None,
    overwrite: bool,
    progress: Progress | None,
    **reading: Any,
) -> dict[str, Any]:
    """See `write_pretraining_data`."""
    check_run(name, shards, workers)
    target = Path(out)
    check_absent(target, overwrite=overwrite)
    corpus = sorted_corpus(source, **reading)
    tell = progress or (lambda what, done, total: None)
    with told_disk(out), new_folder(target, overwrite=overwrite) as folder, _scratch(scratch or folder) as spooled:
        spool, plan = _spool(corpus, tokenizer, settings, spooled, tell)
        work = _work(plan, spool, spooled, folder, shard_names(name, shards, compress), compress)
        work.save(glued_ids(tokenizer.vocabulary))
        with Crew(work, workers) as crew:
            blocks = Spool(spooled, plan.id_bytes).block_count
            made = crew.do("rows", blocks, _summed(tell, PAIRING, blocks))
            total = sum(one["instances"] for one in made)
            written = crew.do("shard", shards, _summed(tell, WRITING, total))
        counts = {**dataclasses.asdict(corpus.counts), "corpus_tokens": spool.tokens, "unknown": spool.unknown}
        counts |= {key: sum(one[key] for one in written) for key in COUNTS}
        by_shard = {file: one["instances"] for file, one in zip(work.shards, written, strict=True)}
        account = manifest(settings, tokenizer, by_shard, counts, compressed=compress, corpus=corpus.reading)
        write_manifest(folder, account)
    return account


def check_run(name: str, shards: int, workers: int) -> None:
    """Check what does not change the examples.  Raises: ConfigError."""
    if not re.fullmatch(r"[^\W.][\w.-]*", name):
        raise ConfigError(f"name is {name!r}; it begins the files' names, so want letters, digits, '_', '-' and '.'.")
    if not 1 <= shards <= _MOST_SHARDS:
        raise ConfigError(f"shards is {shards}, want 1 to {_MOST_SHARDS:,}.")
    if workers < 1:
        raise ConfigError(f"workers is {workers}, want 1 or more.")


def sorted_corpus(source: Source, **reading: Any) -> Corpus:
    """Return a corpus whose files are in the order of their names, so that the order they are given in is no matter."""
    corpus = source if isinstance(source, Corpus) else read_corpus(source, **reading)
    return dataclasses.replace(corpus, files=tuple(sorted(corpus.files)))


def check_documents(documents: int, corpus: Corpus, settings: Settings) -> None:
    """Check that there is enough to draw from.  Raises: DataError."""
    if not documents:
        raise DataError(f"{corpus}: no text of the corpus gives a token.")
    if documents == 1 and settings.pairs == "next_sentence":
        raise DataError(
            f"{corpus}: the corpus is one document, so no segment can come from another one. Part documents by blank "
            "lines (or see unit='documents'), or do without pairs (pairs='none', --pairs none)."
        )


@contextmanager
def told_disk(out: str | os.PathLike[str]) -> Iterator[None]:
    """Turn a disk that cannot be written into an error of ours.  Raises: DataError."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in _DISK_FULL:
            why += ". Rows and shards take several times the text's size; --scratch puts the rows on another disk"
        raise DataError(f"{os.fspath(out)}: cannot be written ({why}). Nothing is left of it.") from error


def _spool(
    corpus: Corpus, tokenizer: Tokenizer, settings: Settings, folder: Path, tell: Progress
) -> tuple[SpoolWriter, Plan]:
    from keras_bert_zoo.data.pretraining.tokens import spool_corpus

    plan = make_plan(settings, tokenizer)
    documents = corpus.documents(lambda done, total: tell(READING, done, total or 0))
    spool = spool_corpus(documents, tokenizer, folder, plan.id_bytes)
    check_documents(spool.documents, corpus, settings)
    return spool, dataclasses.replace(plan, documents=spool.documents, sentences=spool.sentences)


def make_plan(settings: Settings, tokenizer: Tokenizer) -> Plan:
    """Return a plan for a corpus that is not counted yet."""
    ids = {role: getattr(tokenizer, role) for role in ("pad_id", "cls_id", "sep_id", "mask_id")}
    return Plan(settings, tokenizer.vocab_size, **ids, documents=0, sentences=0)


def _work(plan: Plan, spool: SpoolWriter, spooled: Path, folder: Path, names: tuple[str, ...], compress: bool) -> Work:
    # A rough figure: segments from elsewhere leave a quarter of each row to the next.
    rows = plan.settings.copies * (spool.documents + 1.5 * spool.tokens / plan.settings.room)
    buckets = bucket_count(int(rows) * row_dtype(plan).itemsize, len(names))
    return Work(plan, spooled, folder, names, buckets, COMPRESSIONS[compress])


def _summed(tell: Progress, what: str, total: int) -> Callable[[int], None]:
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        tell(what, done, total)

    tell(what, 0, total)
    return more


@contextmanager
def _scratch(folder: str | os.PathLike[str]) -> Iterator[Path]:
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        made = Path(tempfile.mkdtemp(prefix=".pretraining-data.", dir=path))
        stack.enter_context(cleared(lambda: shutil.rmtree(made, ignore_errors=True)))
        yield made
