"""What a finished run tells a reader: a picture of the training and a short model card."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo._version import __version__
from keras_bert_zoo.bundle import Bundle
from keras_bert_zoo.training.fit import History
from keras_bert_zoo.training.progress import span

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head


def write_curve(history: History, path: Path) -> None:
    """Draw every figure over the epochs, training and validation together, the kept epoch marked: a PNG."""
    points = [{"epoch": number, **epoch} for number, epoch in enumerate(history.epochs, start=1)]
    _draw(points, "epoch", path, kept=history.best + 1)


def write_steps_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw every figure of a pretraining over its steps, training and held-out rows together: a PNG."""
    _draw([{name: value for name, value in row.items() if name not in _NOT_DRAWN} for row in rows], "step", path)


def _draw(points: Sequence[Mapping[str, float]], x: str, path: Path, kept: int | None = None) -> None:
    from matplotlib.figure import Figure  # not pyplot: no screen, no global state
    from matplotlib.ticker import MaxNLocator

    told = dict.fromkeys(name for point in points for name in point)
    names = [name for name in told if not name.startswith("val_") and name not in (x, "learning_rate")]
    names += [n[4:] for n in told if n.startswith("val_") and n[4:] not in names]
    marker = "o" if len(points) <= _FEW else None
    figure = Figure(figsize=(3.6 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label, colour in ((name, "training", "#8a8a8a"), (f"val_{name}", "validation", "#1f5fbf")):
            there = [point for point in points if key in point]
            if there:
                where = [point[x] for point in there]
                axes.plot(where, [point[key] for point in there], marker=marker, label=label, color=colour)
        if kept is not None:
            axes.axvline(kept, color="#c0392b", linestyle=":", label="kept epoch")
        if name == "perplexity":
            axes.set_yscale("log")
        axes.set(title=name, xlabel=x)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)


def write_card(bundle: Bundle, record: Mapping[str, Any], name: str, path: Path) -> None:
    """Write a model card in Markdown: what the model does, its figures, data, command and versions."""
    head, config = bundle.head, bundle.config
    labels = getattr(head, "labels", None)
    best = record["epochs"][record["best_epoch"] - 1]
    rows = [(key, f"{value:.4f}") for key, value in best.items() if key.startswith("val_")]
    rows += [(f"test {key}", f"{value:.4f}") for key, value in (record["test"] or {}).items()]
    settings = {key: value for key, value in record["settings"].items() if value is not None}
    arguments = ['["a text"]', *_more_columns(head)]
    parts = ", ".join(f"{part} {count:,} rows" for part, count in record["rows"].items() if count)
    lines = [
        f"# {name}",
        "",
        f"BERT ({config.num_hidden_layers} layers, hidden size {config.hidden_size}) with the head"
        f" `{head.name if head else 'none'}`, reading {', '.join(f'`{c}`' for c in head.columns) if head else ''},"
        f" at most {bundle.max_length} tokens.",
        *(["", f"Labels: {', '.join(labels)}."] if labels else []),
        "",
        "## Figures",
        "",
        f"Epoch {record['best_epoch']} of {len(record['epochs'])} was kept. ![Training](training.png)",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {key} | {value} |" for key, value in rows or [("training " + k, f"{v:.4f}") for k, v in best.items()]),
        "",
        "## How it was made",
        "",
        f"- Weights: `{record['source']}`",
        f"- Data: {record['data']} ({parts})",
        f"- Settings: {', '.join(f'{key} {value}' for key, value in settings.items())}",
        *([f"- Command: `{record['command']}`"] if record["command"] else []),
        _versions(),
        "",
        "## Use",
        "",
        "```python",
        "import keras_bert_zoo as kbz",
        "",
        f'bundle = kbz.load("{name}")  # this folder',
        f"bundle.predict({', '.join(arguments)})",
        "```",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def seeds_section(spread: Mapping[str, tuple[float, float]], seeds: Sequence[int], kept: int) -> str:
    """Return the part of a model card, in Markdown, that tells figures over several runs: mean ± deviation."""
    lines = [
        "",
        f"## Over {len(seeds)} seeds",
        "",
        f"Seeds {', '.join(map(str, seeds))}: the mean and the sample standard deviation. Seed {kept} was kept.",
        "",
        "| figure | mean ± std |",
        "| --- | --- |",
        *(f"| {name.replace('_', ' ', 1)} | {mean:.4f} ± {std:.4f} |" for name, (mean, std) in spread.items()),
        "",
    ]
    return "\n".join(lines)


def write_pretraining_card(bundle: Bundle, record: Mapping[str, Any], name: str, path: Path) -> None:
    """Write a pretrained model's card in Markdown: its figures, data, command and versions."""
    config, last = bundle.config, record["rows"][-1]
    figures = {key: value for key, value in last.items() if key not in (*_NOT_DRAWN, "step", "learning_rate")}
    settings = {key: value for key, value in record["settings"].items() if value is not None}
    phases = [
        f"- Phase {number}: {phase['steps']:,} updates of {phase['batch_size']:,} rows, of {rows:,} in"
        f" {', '.join(f'`{part}`' for part in phase['data'])}"
        for number, (phase, rows) in enumerate(zip(settings.pop("phases"), record["instances"], strict=True), start=1)
    ]
    missing = sum(len(files) for files in record["damaged"].values())
    lines = [
        f"# {name}",
        "",
        f"BERT ({config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.vocab_size:,} tokens)"
        f" pretrained on hidden tokens and following texts, rows of at most {bundle.max_length} tokens.",
        "",
        "## Figures",
        "",
        f"After {last['step']:,} updates in {span(record['seconds'])}. ![Training](training.png)",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {key} | {value:.4f} |" for key, value in figures.items()),
        "",
        "## How it was made",
        "",
        f"- Began from: `{record['source']}`",
        *phases,
        *([f"- Damaged shards, read in part: {missing}"] if missing else []),
        f"- Settings: {', '.join(f'{key} {value}' for key, value in settings.items())}",
        *([f"- Command: `{record['command']}`"] if record["command"] else []),
        _versions(),
        "",
        "## Use",
        "",
        "```shell",
        f"kbz train {name} --train train.tsv --out runs/tuned  # this folder",
        "```",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _versions() -> str:
    return (
        f"- Versions: keras-bert-zoo {__version__}, {', '.join(f'{name} {version(name)}' for name in _PACKAGES)},"
        f" Python {platform.python_version()}"
    )


def _more_columns(head: Head | None) -> list[str]:
    columns = head.columns[1:] if head else ()
    return [f'{name}=[["…", "…"]]' if head and head.ranks.get(name, 1) == 2 else f'{name}=["…"]' for name in columns]


_FEW = 60  # points that are marked one by one
_NOT_DRAWN = ("phase", "steps", "tokens_per_second")
_PACKAGES = ("keras", "tensorflow", "tensorflow-text")
