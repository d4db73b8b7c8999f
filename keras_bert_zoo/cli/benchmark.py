"""`kbz benchmark`: ours and the peers that are installed, side by side."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from keras_bert_zoo.benchmark.contenders import CEILING, CONTENDERS, OURS
from keras_bert_zoo.benchmark.report import SECTIONS
from keras_bert_zoo.cli.options import fetched, json_option, print_json, print_table, working

PEERS = [name for name in CONTENDERS if name not in (OURS, CEILING)]


class _Names(click.ParamType):
    """Names out of a list, parted by commas."""

    name = "names"

    def __init__(self, known: list[str]) -> None:
        self.known = known

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(self.known)
        for name in names:
            if name not in self.known:
                self.fail(f"'{name}' is none of {', '.join(self.known)}.", param, ctx)
        return [name for name in self.known if name in names]


@click.command()
@click.option("--only", "sections", type=_Names([*SECTIONS]), help=f"Sections, of {', '.join(SECTIONS)}.")
@click.option("--peers", type=_Names(PEERS), help=f"Peers, of {', '.join(PEERS)}; all that are installed unless given.")
@click.option("--no-peers", is_flag=True, help="Ours alone.")
@click.option("--source", default="minilm_l6_h384_uncased", show_default=True, help="Preset or folder of the encoder.")
@click.option("--file", help="Texts to ask, one a line up to a tab; movie_snippets unless given.")
@click.option("--mixed-file", help="Short and long texts, mixed; drawn and joined from the texts unless given.")
@click.option("--train-file", help="Lines of a text, a tab and 0 or 1 to learn from; movie_snippets unless given.")
@click.option("--repeats", type=click.IntRange(1), help="Counted turns of each side; 5 unless given.")
@click.option("--quick", is_flag=True, help="Small and short: to see that all works.")
@click.option("--picture", type=click.Path(dir_okay=False), help="Write the ratios as a PNG.")
@click.option("--markdown", type=click.Path(dir_okay=False), help="Write the tables as Markdown.")
@json_option
def command(
    sections: list[str] | None,
    peers: list[str] | None,
    no_peers: bool,
    source: str,
    file: str | None,
    mixed_file: str | None,
    train_file: str | None,
    repeats: int | None,
    quick: bool,
    picture: str | None,
    markdown: str | None,
    as_json: bool,
) -> None:
    """Measure ours beside the peers that are installed.

    Sides take turns, each in a process of its own, so that a busy machine slows all alike: read the ratios.
    Peers get the best settings we know; the tables say which.

    \b
    Examples:
      kbz benchmark --quick
      kbz benchmark --only serving,latency --file reviews.txt --picture ratios.png
    """
    if no_peers and peers:
        raise click.UsageError("Give --peers or --no-peers, not both.")
    if no_peers and picture:
        raise click.UsageError("A picture shows ratios to peers: leave out --no-peers or --picture.")
    fetched(source)
    with working("benchmark") as say:
        from keras_bert_zoo.benchmark.run import benchmark

        report = benchmark(
            source,
            sections=sections or [*SECTIONS],
            peers=[] if no_peers else peers or PEERS,
            file=file,
            mixed_file=mixed_file,
            train_file=train_file,
            repeats=repeats,
            quick=quick,
            command=shlex.join(["kbz", *sys.argv[1:]]),
            say=say,
        )
    from keras_bert_zoo.benchmark.tables import heading, settings_table, tables, write_markdown

    if picture:
        from keras_bert_zoo.benchmark.picture import write_picture

        write_picture(report, Path(picture))
    if markdown:
        write_markdown(report, Path(markdown))
    if as_json:
        print_json(report.to_dict())
        return
    for line in heading(report):
        click.echo(line)
    for title, header, rows in [*tables(report), settings_table(report)]:
        click.echo(f"\n{title}")
        print_table(header, rows)
