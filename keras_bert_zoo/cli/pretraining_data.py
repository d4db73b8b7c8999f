"""`kbz pretraining-data`: examples to pretrain on, from a corpus."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_bert_zoo.cli.options import (
    check_there,
    choice_option,
    downloading,
    given,
    invalid_option,
    json_option,
    print_json,
    print_table,
)
from keras_bert_zoo.data.corpus import UNITS, Corpus, read_corpus
from keras_bert_zoo.data.pretraining.settings import MASKS, NAMES, PAIRS, Settings
from keras_bert_zoo.files import check_absent

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

_STAGES = {"reading": "reading text", "pairing": "making pairs", "writing": "writing examples"}
_READING = ("text", "unit", "invalid", "language")
_UNKNOWN = 0.02  # a larger share of [UNK] than in text that a vocabulary is made for


@click.command()
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "--vocabulary", required=True, metavar="PATH", help="A vocab.txt, or a model's folder with its tokenizer."
)
@click.option(
    "--uncased/--cased", "lower", default=True, help="Whether texts are lower-cased (they are); a folder tells itself."
)
@click.option("--out", required=True, type=click.Path(), help="New folder for the shards and pretraining.json.")
@choice_option("--masks", MASKS, "Drawn anew each epoch of training, or once and stored, as the original does.")
@choice_option("--pairs", PAIRS, "Two segments of which half are random, or one.")
@click.option("--max-length", default=128, show_default=True, help="Tokens a row, special ones included.")
@click.option("--max-predictions", type=int, help="Masks a row at most; the share of the length unless given.")
@click.option("--mask-share", default=0.15, show_default=True, help="Tokens that are masked.")
@click.option("--whole-words", is_flag=True, help="Mask all pieces of a word or none; for static masks.")
@click.option("--max-ngram", default=1, show_default=True, help="Words masked as one; needs --whole-words.")
@click.option("--short-share", default=0.1, show_default=True, help="Documents cut into shorter rows.")
@click.option("--dupe-factor", type=int, help="Times the corpus is used; 1, or 10 with static masks, unless given.")
@click.option("--seed", default=12345, show_default=True, help="The same seed gives the same bytes.")
@choice_option("--names", NAMES, "input_ids and segment_ids, or input_word_ids and input_type_ids.")
@click.option("--name", default="pretraining", show_default=True, help="How the files' names begin.")
@click.option("--shards", default=8, show_default=True, help="Files to write.")
@click.option("--compress", is_flag=True, help="Write .gz, about a third of the size.")
@click.option("--workers", type=int, help="Processes; as many as there are cores unless given.")
@click.option("--scratch", type=click.Path(), help="Folder on another disk for what is spooled meanwhile.")
@click.option("--beam", metavar="OPTIONS", help="Run as a Beam pipeline, such as '--runner=FlinkRunner'; see docs.")
@choice_option(
    "--unit", UNITS, "A sentence a line with blank lines between documents, or running text to cut into sentences."
)
@click.option("--language", default="en", show_default=True, help="Of running text.")
@click.option("--text", default="text", show_default=True, help="Field of the text in .jsonl files.")
@invalid_option
@click.option("--overwrite", is_flag=True, help="Replace the folder where it is there already.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    corpus: tuple[str, ...],
    vocabulary: str,
    lower: bool,
    out: str,
    as_json: bool,
    workers: int | None,
    overwrite: bool,
    beam: str | None,
    **options: Any,
) -> None:
    """Write examples to pretrain on.

    CORPUS is files and folders of plain text or jsonl, each also .gz, or the name of a corpus, such as four_books: a
    sentence a line, with blank lines between documents. Shards of TFRecords in random order and pretraining.json go to
    a new folder; memory does not grow with the corpus.

    \b
    Examples:
      kbz pretraining-data corpus/ --vocabulary vocab.txt --out records
      kbz pretraining-data corpus/ --vocabulary vocab.txt --out phase2 --max-length 512 --seed 2
      kbz pretraining-data wiki.txt --vocabulary vocab.txt --masks static --compress --out as-google-does
    """
    # All that can be wrong is found out before TensorFlow is imported; a pipeline's files may be out of sight here.
    check_there(vocabulary)
    source: Corpus | tuple[str, ...] = corpus
    if beam is None:
        check_absent(out, overwrite=overwrite)
        with downloading(f"looking for {corpus[0]}") as (say, _):
            source = read_corpus(corpus, progress=say, **{name: options[name] for name in _READING})
    fields = Settings.__dataclass_fields__
    Settings(**{name: value for name, value in options.items() if name in fields})
    with _shown() as progress:
        from keras_bert_zoo.data.pretraining import write_pretraining_data

        tokenizer = _tokenizer(vocabulary, lower, told=given(ctx, "lower"))
        share = workers if workers is not None else len(os.sched_getaffinity(0))
        pipeline = None if beam is None else shlex.split(beam)
        account = write_pretraining_data(
            source, out, tokenizer, workers=share, overwrite=overwrite, progress=progress, beam=pipeline, **options
        )
    for note in _notes(account["counts"]):
        click.echo(f"Note: {note}", err=True)
    if as_json:
        print_json({"out": out, **account})
        return
    counts = account["counts"]
    rows = [
        ("examples", f"{account['instances']:,}"),
        ("shards", f"{len(account['shards']):,}"),
        ("documents", f"{counts['documents']:,}"),
        ("sentences", f"{counts['sentences']:,}"),
        ("tokens of text", f"{counts['corpus_tokens']:,}"),
        ("tokens a row", f"{counts['tokens'] / account['instances']:.1f} of {account['max_length']}"),
    ]
    if account["settings"]["pairs"] == "next_sentence":
        rows.append(("random next", f"{counts['random_next'] / account['instances']:.1%}"))
    if account["kind"] == "masked":
        rows.append(("masks a row", f"{counts['masked'] / account['instances']:.1f} of {account['max_predictions']}"))
    print_table(("what", "how many"), rows)
    click.echo(f"Written to {out}.")


def _tokenizer(path: str, lower: bool, *, told: bool) -> Tokenizer:
    from keras_bert_zoo.text.tokenizer import Tokenizer

    place = Path(path).expanduser()
    if place.is_dir():
        return Tokenizer.from_folder(place, **({"lower": lower} if told else {}))
    return Tokenizer.from_file(place, lower=lower)


def _notes(counts: dict[str, int]) -> Iterator[str]:
    if counts["replaced"]:
        yield f"{counts['replaced']:,} invalid bytes were replaced by U+FFFD (--invalid refuse tells where)."
    if counts["cut"]:
        yield f"{counts['cut']:,} documents were too long and were cut in two."
    if counts["unknown"] > _UNKNOWN * counts["corpus_tokens"]:
        share = counts["unknown"] / counts["corpus_tokens"]
        yield f"{share:.1%} of the tokens are [UNK]. Is the vocabulary made for this text, its casing too?"


@contextmanager
def _shown() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the work is and how long it will take, on a terminal's standard error alone."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("left:", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks: dict[str, TaskID] = {}
        first = shown.add_task("starting", total=None, count="")

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                shown.update(first, visible=False)
                tasks[stage] = shown.add_task(_STAGES[stage], total=total, count="")
            shown.update(tasks[stage], completed=done, total=total, count=_count(stage, done, total))

        yield tell


def _count(stage: str, done: int, total: int) -> str:
    if stage == "reading":
        return f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB"
    if stage == "pairing":
        return f"{done:,} of {total:,} blocks"
    return f"{done:,} of {total:,}"
