"""The options of `kbz train`, and some of `kbz pretrain`, that say how steps are computed and how deep they reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from keras_bert_zoo.cli.options import choice_option, print_json, print_table, together
from keras_bert_zoo.training.recipes import DETERMINISM, PRECISIONS


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


def _count(name: str, default: int, text: str, *, least: int = 1) -> Any:
    kind = click.IntRange(least)
    return click.option(name, type=kind, default=default, show_default=True, metavar="INTEGER", help=text)


# Each is a field of `Settings` of the same name.
tuning_options = together(
    click.option(
        "--layer-decay",
        type=float,
        default=1.0,
        show_default=True,
        help="Layer-wise decay: each layer learns so many times as fast as the one above.",
    ),
    _count("--freeze-layers", 0, "Keep the embeddings and so many first layers as they are.", least=0),
    click.option("--precision", type=click.Choice(PRECISIONS), help="What is computed in; float32 unless given."),
    _count("--gradient-accumulation", 1, "Parts of a batch that follow one another, for less memory; one update."),
    click.option("--pad-to", type=_Lengths(), help="Pad batches to the next of these lengths: 128 or 32,64,128."),
    click.option("--drop-remainder", is_flag=True, help="Leave out an epoch's last batch if it is not full."),
    click.option("--steps-per-execution", type=click.IntRange(1), help="Steps a call; unless given, as suits."),
)

# How steps are computed, and how a run outlives its process: fields of `Settings` and of `Recipe`.
compiling_options = together(
    click.option("--rematerialize", is_flag=True, help="Less memory for a third more compute."),
    click.option("--jit-compile", is_flag=True, help="Compile the step with XLA, once for each length."),
    choice_option("--determinism", DETERMINISM, "Same bits every time; auto: where there is no GPU and no XLA."),
)
checkpoint_options = together(
    _count("--checkpoint-every", 1000, "Updates between checkpoints."),
    _count("--keep-checkpoints", 2, "Checkpoints that are kept."),
)
