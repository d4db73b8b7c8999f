"""The same fine-tuning with several seeds: how much of a figure is luck."""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bert_zoo.bundle import Bundle, load
from keras_bert_zoo.card import seeds_section
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import new_file, read_json
from keras_bert_zoo.recipe import Run, finetune, settings_told
from keras_bert_zoo.training.epochs import watched
from keras_bert_zoo.training.fit import History, Settings
from keras_bert_zoo.training.strategy import strategy
from keras_bert_zoo.training.workers import Workers
from keras_bert_zoo.training.workplace import FREE, UNFINISHED, check_free, finish, workplace

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head


@dataclasses.dataclass(frozen=True)
class Repeats:
    """Runs with several seeds: each one's figures in the order of the seeds, and the run that is kept.

    `kept` is its place among the seeds.  A run's figures are those of its best epoch, and those on the test table with
    "test_" before their names.
    """

    seeds: tuple[int, ...]
    figures: list[dict[str, float]]
    kept: int
    run: Run


def finetune_seeds(
    source: str | Path,
    head: Head,
    train: Table,
    validation: Table | None = None,
    *,
    seeds: Sequence[int],
    test: Table | None = None,
    out: str | Path | None = None,
    settings: Settings | None = None,
    devices: str | Any = "default",
    overwrite: bool = False,
    **options: Any,
) -> Repeats:
    """Fine-tune once for each seed, as `finetune` does, and keep the run that is best on `validation`.

    Without a validation table the first is kept.  A seed draws the head's first weights, the order of the rows and
    dropout.  `out` is the kept run's folder, with `seeds.json` and every figure's mean and deviation in its card.  A
    run that was stopped or killed goes on where it was, with the seeds that are left; `options` are `finetune`'s.
    Raises: ConfigError where the seeds are not two or more different ones, or `source` is a bundle, whose weights the
    first run would change; and all that `finetune` raises.
    """
    seeds, settings = tuple(seeds), settings or Settings()
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds are {list(seeds)}, they must be two or more different ones.")
    if isinstance(source, Bundle):
        raise ConfigError("Several runs begin from the same weights: give their name or folder, not a bundle.")
    place = strategy(devices) if isinstance(devices, str) else devices  # one for all runs
    workers = Workers(place)
    folder = None if out is None else Path(out).expanduser()
    workers.first(None if folder is None else lambda: check_free(folder, overwrite))
    told = settings_told(settings, head, {"train": train, "validation": validation, "test": test})
    for name in (*FREE, "seed"):
        del told["settings"][name]
    told |= {"source": str(source), "seeds": list(seeds)}
    with ExitStack() as stack:
        work = workers.first(lambda: stack.enter_context(workplace(folder, told, overwrite)))
        runs = _Runs(seeds, workers, work, Path("run" if folder is None else folder.name))
        if runs.figures and workers.is_chief and options.get("verbose", "auto") != 0:
            print(f"Going on after {len(runs.figures)} of {len(seeds)} seeds.", flush=True)
        value = functools.partial(_value, settings=settings, head=head, validated=validation is not None)
        for seed in seeds[len(runs.figures) :]:
            finished = runs.finished(seed)
            run = None
            if finished is None:
                run = finetune(
                    source,
                    head,
                    train,
                    validation,
                    test=test,
                    out=runs.folder(seed),
                    settings=dataclasses.replace(settings, seed=seed),
                    devices=place,
                    overwrite=overwrite,
                    **options,
                )
                finished = run.history, run.test
            runs.add(run, *finished, value(*finished))
        kept = runs.run or _loaded_run(source, head, settings, workers, runs)
        repeats = Repeats(seeds, runs.figures, runs.kept, kept)
        best = runs.folder(seeds[repeats.kept])
        if folder is not None and best is not None:
            fill = functools.partial(_write, repeats, best)
        workers.first(None if folder is None or best is None else lambda: finish(folder, fill))
    return repeats


def mean_and_std(figures: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the mean and the sample standard deviation (over n - 1) of each figure that all runs have."""
    names = [name for name in figures[0] if all(name in other for other in figures)]
    columns = {name: [run[name] for run in figures] for name in names}
    return {name: (statistics.fmean(values), statistics.stdev(values)) for name, values in columns.items()}


class _Runs:
    """What the seeds so far gave: each one's figures, and the best run's place, value, and run.

    With `work`, the chief's, all but the run is kept there too, beside the best run's folder, so that another process
    can go on.  `run` is None where the best run was another process's.
    """

    def __init__(self, seeds: Sequence[int], workers: Workers, work: Path | None, name: Path) -> None:
        self.seeds, self.workers, self.work, self.name = seeds, workers, work, name
        path = None if work is None else work / _RECORD
        told = read_json(path, CheckpointError) if path is not None and path.exists() else {}
        told = workers.chiefs(told)
        self.figures: list[dict[str, float]] = told.get("figures", [])
        self.kept: int = told.get("kept", 0)
        self.value: float = told.get("value", 0.0)
        self.run: Run | None = None

    def folder(self, seed: int) -> Path | None:
        """Return the folder of one seed's run."""
        return None if self.work is None else self.work / f"seed-{seed}" / self.name

    def finished(self, seed: int) -> tuple[History, dict[str, float] | None] | None:
        """Return what a run gave that was finished but not added when its process ended."""
        folder = self.folder(seed)
        path = None if folder is None or (folder / UNFINISHED).exists() else folder / "history.json"
        told = read_json(path, CheckpointError) if path is not None and path.exists() else None
        told = self.workers.chiefs(told)
        return None if told is None else (History(told["epochs"], told["best_epoch"] - 1), told["test"])

    def add(self, run: Run | None, history: History, test: Mapping[str, float] | None, value: float) -> None:
        """Note what the next seed gave; the first of several equals is the best."""
        self.figures.append(
            {**history.epochs[history.best], **{f"test_{name}": number for name, number in (test or {}).items()}}
        )
        place = len(self.figures) - 1
        if place == 0 or value > self.value:
            self.kept, self.value, self.run = place, value, run
        if self.work is not None:
            with new_file(self.work / _RECORD) as aside:
                aside.write_text(json.dumps({"figures": self.figures, "kept": self.kept, "value": self.value}))
            for seed in self.seeds[: place + 1]:
                if seed != self.seeds[self.kept]:
                    shutil.rmtree(self.work / f"seed-{seed}", ignore_errors=True)
        gc.collect()  # a model and its graphs refer to one another


_RECORD = "figures.json"


def _value(
    history: History, test: Mapping[str, float] | None, *, settings: Settings, head: Head, validated: bool
) -> float:
    """Return what tells the best run."""
    own = history.epochs[history.best]
    measured = {name.removeprefix("val_"): value for name, value in own.items() if name.startswith("val_")}
    return watched(own, settings.monitor or head.best_by(measured)) if validated else 0.0


def _loaded_run(source: str | Path, head: Head, settings: Settings, workers: Workers, runs: _Runs) -> Run:
    """Return the kept run of another process: the chief reads it, the others get its weights."""
    seed = runs.seeds[runs.kept]
    history, test = runs.finished(seed) or (History([], 0), None)
    folder = runs.folder(seed)
    with workers.strategy.scope():
        bundle = load(folder or source, dtype=settings.precision)
        bundle = bundle if folder else bundle.attach(head)
    for weight in bundle.model.weights if workers.count > 1 and bundle.model is not None else ():
        weight.assign(workers.chiefs_array(np.array(weight.numpy())))
    length = min(settings.length, bundle.config.max_position_embeddings)
    return Run(dataclasses.replace(bundle, max_length=length), history, test)


def _write(repeats: Repeats, run: Path, partial: Path) -> None:
    """Fill a folder with the kept run, and what all seeds gave."""
    shutil.copytree(run, partial, dirs_exist_ok=True)  # not moved: whoever is killed now must find it again
    spread = mean_and_std(repeats.figures)
    seed = repeats.seeds[repeats.kept]
    record = {
        "seeds": repeats.seeds,
        "kept": seed,
        "figures": repeats.figures,
        "mean": {name: mean for name, (mean, _) in spread.items()},
        "std": {name: std for name, (_, std) in spread.items()},
    }
    (partial / "seeds.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    with (partial / "README.md").open("a", encoding="utf-8") as card:
        card.write(seeds_section(spread, repeats.seeds, seed))
