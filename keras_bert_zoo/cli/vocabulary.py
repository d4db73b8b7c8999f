"""`kbz vocabulary`: WordPiece learnt from text."""

from __future__ import annotations

from typing import Any

import click

from keras_bert_zoo.cli.options import downloading, invalid_option, json_option, print_json, print_table
from keras_bert_zoo.data.vocabulary import learn_vocabulary


@click.command()
@click.argument("corpus", nargs=-1, required=True)
@click.option("--size", type=click.IntRange(1), default=30522, show_default=True, help="Tokens, all kinds together.")
@click.option("--out", type=click.Path(), required=True, help="File to write, such as vocab.txt.")
@click.option("--uncased/--cased", "lower", default=True, show_default=True, help="Lower-case and take accents off.")
@click.option("--strip-accents/--keep-accents", default=None, help="Take accents off; as letter case unless given.")
@click.option("--split-cjk/--keep-cjk", default=True, show_default=True, help="Make every ideograph a word.")
@click.option("--unused", type=click.IntRange(0), default=0, show_default=True, help="Tokens [unused0] and on.")
@click.option(
    "--min-frequency", type=click.IntRange(1), default=2, show_default=True, help="Fewest times a token is met."
)
@click.option(
    "--limit-alphabet",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Most characters; Chinese and Japanese want 6000 or more.",
)
@click.option("--text", default="text", show_default=True, help="Column of the text in jsonl files.")
@invalid_option
@click.option("--overwrite", is_flag=True, help="Replace the file where it is there already.")
@json_option
def command(corpus: tuple[str, ...], size: int, out: str, as_json: bool, **options: Any) -> None:
    """Learn a WordPiece vocabulary from text.

    CORPUS is files and folders of plain text or jsonl, each also .gz, or the name of a corpus, such as four_books.
    The same text always gives the same tokens.

    \b
    Examples:
      kbz vocabulary four_books --size 8000 --out vocab.txt
      kbz vocabulary news/ more.jsonl.gz --cased --unused 99 --out cased/vocab.txt
    """
    with downloading(f"looking for {corpus[0]}") as (say, meter):
        learnt = learn_vocabulary(list(corpus), size=size, out=out, progress=say, meter=meter, **options)
    told = learnt.to_dict()
    if as_json:
        print_json({"out": out, **told})
        return
    click.echo(f"Wrote {len(learnt.tokens):,} tokens to {out}")
    if len(learnt.tokens) < size:
        click.echo(f"Note: the text has no more to teach; {size:,} were asked for.", err=True)
    print_table(
        ("of the corpus", "value"),
        [
            ("documents", f"{learnt.documents:,}"),
            ("words", f"{learnt.words:,}"),
            ("distinct words", f"{learnt.distinct_words:,}"),
            ("tokens a word", f"{learnt.tokens_per_word:.3f}"),
            ("words that are one token", f"{learnt.whole:.2%}"),
            ("words that cannot be spelt", f"{learnt.unknown:.4%}"),
            ("characters known", f"{learnt.characters:,}"),
            ("characters left out", f"{learnt.characters_left_out:,}"),
            ("invalid bytes replaced", f"{learnt.replaced:,}"),
        ],
    )
