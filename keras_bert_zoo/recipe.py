"""The whole of fine-tuning in one call: load, attach, train, measure, and leave a folder that tells its story."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_bert_zoo.bundle import Bundle, load, write
from keras_bert_zoo.card import write_card, write_curve
from keras_bert_zoo.data.pretraining.manifest import vocabulary_sha256
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.stopping import told_to_stop
from keras_bert_zoo.training.evaluation import evaluate
from keras_bert_zoo.training.fit import History, Settings, fit
from keras_bert_zoo.training.layouts import choose_layout
from keras_bert_zoo.training.resume import be_deterministic
from keras_bert_zoo.training.strategy import strategy
from keras_bert_zoo.training.workers import Workers, lost_workers, weights_digest
from keras_bert_zoo.training.workplace import FREE, check_free, finish, workplace

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
    read: Mapping[str, Any] | None = None,
    verbose: int | str = "auto",
) -> Run:
    """Fine-tune weights on a table and, with `out`, write the run as a folder that `kbz.load` reads.

    `source` is what `load` takes, or a bundle; a head it has is replaced, see `Bundle.attach`.  The folder also holds
    `history.json`, `training.png` and a model card that cites `command` and `data`; the history keeps `read`, which
    tells how the tables are read again, see `data.reading.read_part`.  With `out`, or `determinism="on"`, the same seed
    gives the same bits on the same machine.  With `out` the run can be killed at any moment: the same call goes on
    where the newest checkpoint stands, and ends with the same weights as if nothing had happened.  Ctrl-C and SIGTERM
    save a checkpoint first, then raise `stopping.Stopped`.  `devices` is a strategy or the name of one, see `strategy`;
    in a cluster every process makes this call, and the chief alone writes, to its `out`.
    Raises: ConfigError where `out` holds something else and `overwrite` is false, ClusterError where workers differ or
    one is lost, CheckpointError, and all that its parts raise.
    """
    settings = settings or Settings()
    place = strategy(devices) if isinstance(devices, str) else devices
    workers = Workers(place)
    folder = None if out is None else Path(out).expanduser()
    workers.first(None if folder is None else lambda: check_free(folder, overwrite))
    keras.utils.set_random_seed(settings.seed)
    kept = workers.chiefs(folder is not None)
    # Nobody goes on with a run that is not kept, so the rest of the process keeps its ways.
    free = settings.jit_compile or (settings.determinism == "auto" and not kept)
    be_deterministic("off" if free else settings.determinism)
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
    told: dict[str, Any] = {}
    if workers.count > 1 or kept:
        tables = {"train": train, "validation": validation, "test": test}
        told = settings_told(settings, head, tables) | _weights_told(bundle)
        workers.agree(told)
    for name in FREE:
        told.get("settings", {}).pop(name, None)
    with ExitStack() as stack:
        work = workers.first(lambda: stack.enter_context(workplace(folder, told, overwrite)))
        shown = verbose if workers.is_chief else 0
        # Without a folder Ctrl-C is what it was, for nothing could be saved.
        say = "Stopping after a checkpoint. Once more to end at once."
        with told_to_stop(say) if kept else nullcontext() as stopping:
            history = fit(
                model, head, tokenizer, train, validation, settings, folder=work, stopping=stopping, verbose=shown
            )
        figures = None
        if test is not None:
            size, widths = settings.batch_size, settings.widths
            figures = evaluate(model, head, tokenizer, test, batch_size=size, length=length, pad_to=widths)
        run = Run(bundle, history, figures)
        sizes = {"train": len(train), "validation": len(validation or ()), "test": len(test or ())}
        measured = {"validation": validation, "test": test}
        digests = {part: table.digest() for part, table in measured.items() if table is not None}
        record: dict[str, Any] = {"source": str(source), "command": command, "data": data or train.source}
        record |= {"rows": sizes, "read": read, "digests": digests}
        if folder is not None:
            fill = functools.partial(_write_run, run, settings, record, folder.name)
        workers.first(None if folder is None else lambda: finish(folder, fill))
    return run


def _loaded(source: str | Path | Bundle, precision: str | None) -> Bundle:
    """Return the bundle to begin from.  Raises: ConfigError where it computes in another precision than is wanted."""
    if not isinstance(source, Bundle):
        return load(source, dtype=precision)
    policy = source.encoder.get_layer("embeddings").dtype_policy.name
    if precision not in (None, policy):
        raise ConfigError(f"The bundle computes in {policy}, not in {precision}: load it with dtype={precision!r}.")
    return source


def settings_told(settings: Settings, head: Head, tables: Mapping[str, Table | None]) -> dict[str, Any]:
    """Return what decides a run beside the weights it begins from, as JSON knows it."""
    told = {
        "settings": dataclasses.asdict(settings),
        "head": {"name": head.name, **head.get_config()},
        "data": {name: None if table is None else table.digest() for name, table in tables.items()},
    }
    return json.loads(json.dumps(told, default=repr))


def _weights_told(bundle: Bundle) -> dict[str, str]:
    """Return what a run begins from; the weights of a new head come from its seed, and in a cluster from the chief."""
    return {
        "vocabulary": vocabulary_sha256(bundle.tokenizer.vocabulary)[:16],
        "weights": weights_digest(bundle.encoder),
    }


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
