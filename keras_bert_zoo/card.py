"""What a finished run tells a reader: a picture of the training and a short model card."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo._version import __version__
from keras_bert_zoo.bundle import Bundle
from keras_bert_zoo.training.fit import History

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head


def write_curve(history: History, path: Path) -> None:
    """Draw every figure over the epochs, training and validation together, the kept epoch marked: a PNG."""
    from matplotlib.figure import Figure  # not pyplot: no screen, no global state
    from matplotlib.ticker import MaxNLocator

    names = [name for name in history.epochs[0] if not name.startswith("val_") and name != "learning_rate"]
    names += [n[4:] for n in history.epochs[0] if n.startswith("val_") and n[4:] not in names]
    epochs = range(1, len(history.epochs) + 1)
    figure = Figure(figsize=(3.6 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label, colour in ((name, "training", "#8a8a8a"), (f"val_{name}", "validation", "#1f5fbf")):
            if key in history.epochs[0]:
                axes.plot(epochs, [epoch[key] for epoch in history.epochs], marker="o", label=label, color=colour)
        axes.axvline(history.best + 1, color="#c0392b", linestyle=":", label="kept epoch")
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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
        f"- Versions: keras-bert-zoo {__version__}, {', '.join(f'{name} {version(name)}' for name in _PACKAGES)},"
        f" Python {platform.python_version()}",
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


def _more_columns(head: Head | None) -> list[str]:
    columns = head.columns[1:] if head else ()
    return [f'{name}=[["…", "…"]]' if head and head.ranks.get(name, 1) == 2 else f'{name}=["…"]' for name in columns]


_PACKAGES = ("keras", "tensorflow", "tensorflow-text")
