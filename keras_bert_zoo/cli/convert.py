"""`kbz convert`: weights in another format."""

from __future__ import annotations

from typing import Any

import click

from keras_bert_zoo.cli.options import fetched, json_option, print_json, told_warnings, working
from keras_bert_zoo.files import check_absent
from keras_bert_zoo.weights import FORMATS, TARGETS


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path())
@click.option("--to", "to", type=click.Choice(TARGETS), required=True, help="Format to write.")
@click.option("--from", "format", type=click.Choice(list(FORMATS)), help="Format of SOURCE; its files tell.")
@click.option(
    "--allow-change",
    "allow",
    multiple=True,
    metavar="FIELD",
    help="A field of the config that may change where the format has no word for it; may be repeated.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Precision to write; that of SOURCE unless given.",
)
@click.option("--uncased/--cased", "lower", default=None, help="Whether texts are lower-cased; SOURCE usually tells.")
@click.option("--encoder-only", is_flag=True, help="Leave the head out; name its tensors with --unused.")
@click.option(
    "--unused", multiple=True, metavar="PATTERN", help="Tensors of SOURCE that may be left over, such as 'cls.*'."
)
@click.option(
    "--missing",
    multiple=True,
    metavar="PATTERN",
    help="Weights that SOURCE may lack and begin new, such as 'pooler/*'.",
)
@click.option("--max-shard-size", metavar="SIZE", help="Most bytes of one file of huggingface, such as 5GB.")
@click.option("--overwrite", is_flag=True, help="Replace TARGET where it is there already.")
@json_option
def command(
    source: str,
    target: str,
    to: str,
    as_json: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Convert weights to another format.

    SOURCE is a preset, a folder of any format known here, or hf://organisation/name; TARGET is a new folder. What is
    printed accounts for every tensor, read and written.

    \b
    Examples:
      kbz convert runs/mood mood-in-keras-hub --to keras_hub --allow-change hidden_act
      kbz convert bert_tiny_preset bert-tiny --to huggingface --dtype bfloat16
    """
    check_absent(target, overwrite=overwrite)
    fetched(source)
    with told_warnings(), working(f"converting {source}"):
        from keras_bert_zoo.conversion import convert

        done = convert(source, target, to=to, overwrite=overwrite, **options)
    if as_json:
        print_json(done.to_dict())
    else:
        click.echo(str(done))
