"""The options of `kbz train` that say how its steps are computed, and how deep they reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from keras_bert_zoo.cli.options import print_json, print_table
from keras_bert_zoo.training.recipes import PRECISIONS


class _Lengths(click.ParamType):
    """One length in tokens, or several parted by commas."""

    name = "TOKENS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            lengths = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            lengths = ()
        if not lengths or min(lengths) < 3:
            self.fail(
                f"{value!r} is no length of 3 or more, or several parted by commas, such as 32,64,128.", param, ctx
            )
        return lengths


def usual_length(length: int, pad_to: tuple[int, ...] | None) -> int:
    """Return the limit in tokens where none is given: the head's, or the longest there is room for."""
    return min(length, max(pad_to)) if pad_to else length


def print_repeats(
    out: str,
    history: Any,
    kept_figures: Mapping[str, float],
    seeds: Sequence[int],
    kept: int,
    figures: Sequence[Mapping[str, float]],
    *,
    as_json: bool,
) -> None:
    """Print what several seeds gave: the kept run's figures, and every figure's mean and deviation."""
    from keras_bert_zoo.seeds import mean_and_std

    spread = mean_and_std(figures)
    if as_json:
        told = {"folder": out, "seed": seeds[kept], "best_epoch": history.best + 1, "figures": kept_figures}
        parts = {part: {name: both[i] for name, both in spread.items()} for i, part in enumerate(("mean", "std"))}
        print_json({**told, "seeds": seeds, "all_figures": figures, **parts})
        return
    click.echo(f"{out}: seed {seeds[kept]} of {', '.join(map(str, seeds))} was kept, epoch {history.best + 1}")
    rows = [(name, f"{kept_figures[name]:.4f}", f"{mean:.4f} ± {std:.4f}") for name, (mean, std) in spread.items()]
    print_table(("figure", "kept run", "mean ± std"), rows)


def tuning_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; each is a field of `Settings` of the same name."""
    for option in reversed(
        (
            click.option(
                "--layer-decay",
                type=float,
                default=1.0,
                show_default=True,
                help="Layer-wise decay: each layer learns so many times as fast as the one above.",
            ),
            click.option(
                "--freeze-layers",
                type=click.IntRange(0),
                default=0,
                show_default=True,
                metavar="INTEGER",
                help="Keep the embeddings and so many first layers as they are.",
            ),
            click.option(
                "--precision", type=click.Choice(PRECISIONS), help="What is computed in; float32 unless given."
            ),
            click.option(
                "--gradient-accumulation",
                type=click.IntRange(1),
                default=1,
                show_default=True,
                metavar="INTEGER",
                help="Parts of a batch that follow one another, for less memory; one update.",
            ),
            click.option("--rematerialize", is_flag=True, help="Less memory for a third more compute."),
            click.option("--jit-compile", is_flag=True, help="Compile the step with XLA, once for each length."),
            click.option(
                "--pad-to", type=_Lengths(), help="Pad batches to the next of these lengths: 128 or 32,64,128."
            ),
            click.option("--drop-remainder", is_flag=True, help="Leave out an epoch's last batch if it is not full."),
            click.option("--steps-per-execution", type=click.IntRange(1), help="Steps a call; unless given, as suits."),
        )
    ):
        function = option(function)
    return function
