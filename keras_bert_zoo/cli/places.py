"""Options that say where a model is trained, and how such a command ends when it is stopped."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from keras_bert_zoo.cli.options import together, told_warnings, working
from keras_bert_zoo.stopping import Stopped
from keras_bert_zoo.training.strategy import STRATEGIES

strategy_options = together(
    click.option(
        "--strategy",
        type=click.Choice(STRATEGIES),
        default="default",
        show_default=True,
        metavar="NAME",
        help="default; one_device; mirrored, all GPUs of this host; multi_worker, processes that TF_CONFIG,"
        " Slurm or Kubernetes tell; tpu.",
    ),
    click.option(
        "--device", multiple=True, help="GPU:1 for one_device, several for mirrored; a TPU's name or address."
    ),
    click.option(
        "--worker-timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="How long workers wait for one another; 300 unless given.",
    ),
)


def chosen_strategy(name: str, device: tuple[str, ...], worker_timeout: float | None) -> Any:
    """Return the strategy that the options name.

    Raises: UsageError on an option that it has no use for, and what `strategy` raises.
    """
    if device and name not in ("one_device", "mirrored", "tpu"):
        raise click.UsageError(f"--device is for the strategies one_device, mirrored and tpu, not for {name}.")
    if len(device) > 1 and name != "mirrored":
        raise click.UsageError(f"--strategy {name} takes one --device.")
    if worker_timeout is not None and name not in ("multi_worker", "tpu"):
        raise click.UsageError(f"--worker-timeout is for the strategies multi_worker and tpu, not for {name}.")
    if name == "default":
        return name
    what = "waiting for the other workers" if name == "multi_worker" else "starting TensorFlow"
    with working(what), told_warnings():
        from keras_bert_zoo.training.strategy import strategy

        options: dict[str, Any] = {"timeout": worker_timeout}
        if device:
            options |= {"tpu": device[0]} if name == "tpu" else {"devices": list(device)}
        return strategy(name, **options)


def is_chief(place: Any) -> bool:
    """Tell whether this process is the one that speaks: in a cluster the chief alone does."""
    if isinstance(place, str):
        return True
    from keras_bert_zoo.training.workers import Workers

    return Workers(place).is_chief


def end_stopped(stopped: Stopped, place: Any) -> NoReturn:
    """Say where a signal stopped a training, and end with the code that a shell gives for that signal.

    At once: an orderly end would wait for TensorFlow's threads, some of which then crash.
    """
    if is_chief(place):
        click.echo(f"Stopped after step {stopped.step:,}. The same command goes on from there.", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(128 + stopped.signal)
