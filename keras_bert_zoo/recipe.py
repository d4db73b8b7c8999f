"""The whole of fine-tuning in one call: load, attach, train, measure, and leave a folder that tells its story."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_bert_zoo.bundle import Bundle, load, write
from keras_bert_zoo.card import write_card, write_curve
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.files import check_absent, new_folder
from keras_bert_zoo.training.evaluation import evaluate
from keras_bert_zoo.training.fit import History, Settings, fit
from keras_bert_zoo.training.layouts import choose_layout
from keras_bert_zoo.training.strategy import strategy
from keras_bert_zoo.training.workers import Workers, lost_workers, weights_digest

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: its bundle with the best epoch's weights, its history, and figures on the test table if any."""

    bundle: Bundle
    history: History
    test: dict[str, float] | None


def finetune(
    source: str | Path | Bundle,
    head: Head,
    train: Table,
    validation: Table | None = None,
    *,
    test: Table | None = None,
    out: str | Path | None = None,
    settings: Settings | None = None,
    devices: str | Any = "default",
    overwrite: bool = False,
    command: str | None = None,
    data: str | None = None,
    verbose: int | str = "auto",
) -> Run:
    """Fine-tune weights on a table and, with `out`, write the run as a folder that `kbz.load` reads.

    `source` is what `load` takes, or a bundle; a head it has is replaced, see `Bundle.attach`.  The folder also holds
    `history.json`, `training.png` and a model card that cites `command` and `data`.  The same seed gives the same
    numbers on the same machine.  `devices` is a strategy or the name of one, see `strategy`; in a cluster every process
    makes this call, and the chief alone writes, to its `out`.
    Raises: ConfigError where `out` is there already and `overwrite` is false, ClusterError where workers differ or one
    is lost, and all that its parts raise.
    """
    settings = settings or Settings()
    place = strategy(devices) if isinstance(devices, str) else devices
    workers = Workers(place)
    workers.first(None if out is None else lambda: check_absent(out, overwrite=overwrite))
    keras.utils.set_random_seed(settings.seed)
    with lost_workers(workers), place.scope():
        loaded = _loaded(source, settings.precision)
        length = min(settings.length, loaded.config.max_position_embeddings)
        settings = dataclasses.replace(settings, length=length)
        layout = choose_layout(settings.trained_layout, place.num_replicas_in_sync)
        settings = dataclasses.replace(settings, layout=layout)
        bundle = dataclasses.replace(loaded.attach(head), max_length=length)
    model, tokenizer = bundle.model, bundle.tokenizer
    if model is None:
        raise ConfigError("The head gave no model.")
    if workers.count > 1:
        workers.agree(_told(settings, bundle, head, {"train": train, "validation": validation, "test": test}))
    history = fit(model, head, tokenizer, train, validation, settings, verbose=verbose if workers.is_chief else 0)
    figures = None
    if test is not None:
        size, widths = settings.batch_size, settings.widths
        figures = evaluate(model, head, tokenizer, test, batch_size=size, length=length, pad_to=widths)
    run = Run(bundle, history, figures)
    sizes = {"train": len(train), "validation": len(validation or ()), "test": len(test or ())}
    told = {"source": str(source), "command": command, "data": data or train.source, "rows": sizes}

    def write_all(folder: str | Path) -> None:
        with new_folder(folder, overwrite=overwrite) as partial:
            _write_run(run, settings, told, Path(folder).name, partial)

    workers.first(None if out is None else lambda: write_all(out))
    return run


def _loaded(source: str | Path | Bundle, precision: str | None) -> Bundle:
    """Return the bundle to begin from.  Raises: ConfigError where it computes in another precision than is wanted."""
    if not isinstance(source, Bundle):
        return load(source, dtype=precision)
    policy = source.encoder.get_layer("embeddings").dtype_policy.name
    if precision not in (None, policy):
        raise ConfigError(f"The bundle computes in {policy}, not in {precision}: load it with dtype={precision!r}.")
    return source


def _told(settings: Settings, bundle: Bundle, head: Head, tables: Mapping[str, Table | None]) -> dict[str, Any]:
    """Return what all workers of a cluster must have in common."""
    told = {
        "settings": dataclasses.asdict(settings),
        "head": {"name": head.name, **head.get_config()},
        "data": {name: None if table is None else table.digest() for name, table in tables.items()},
        "vocabulary": hashlib.sha256("\n".join(bundle.tokenizer.vocabulary).encode()).hexdigest()[:16],
        "weights": weights_digest(bundle.encoder),  # those of a new head are the chief's everywhere
    }
    return json.loads(json.dumps(told, default=repr))


def _write_run(run: Run, settings: Settings, told: Mapping[str, Any], name: str, folder: Path) -> None:
    write(run.bundle, folder)
    record = {
        "settings": dataclasses.asdict(settings),
        "epochs": run.history.epochs,
        "best_epoch": run.history.best + 1,
        "test": run.test,
        **told,
    }
    (folder / "history.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_curve(run.history, folder / "training.png")
    write_card(run.bundle, record, name, folder / "README.md")
