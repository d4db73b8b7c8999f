"""The same fine-tuning with several seeds: how much of a figure is luck."""

from __future__ import annotations

import dataclasses
import gc
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo.bundle import Bundle
from keras_bert_zoo.card import seeds_section
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.files import check_absent, new_folder
from keras_bert_zoo.recipe import Run, finetune
from keras_bert_zoo.training.fit import Settings, watched
from keras_bert_zoo.training.strategy import strategy
from keras_bert_zoo.training.workers import Workers

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
    dropout.  `out` is the kept run's folder, with `seeds.json` and every figure's mean and deviation in its card;
    `options` are `finetune`'s.
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
    options = {**options, "devices": place}
    workers.first(None if out is None else lambda: check_absent(out, overwrite=overwrite))
    if out is None or not workers.is_chief:
        return _repeat(source, head, train, validation, seeds, test, settings, None, options)
    with new_folder(out, overwrite=overwrite) as partial:
        work = partial / "seeds"
        repeats = _repeat(source, head, train, validation, seeds, test, settings, work / Path(out).name, options)
        for path in (work / Path(out).name).iterdir():
            shutil.move(path, partial)
        shutil.rmtree(work)
        spread = mean_and_std(repeats.figures)
        record = {
            "seeds": seeds,
            "kept": seeds[repeats.kept],
            "figures": repeats.figures,
            "mean": {name: mean for name, (mean, _) in spread.items()},
            "std": {name: std for name, (_, std) in spread.items()},
        }
        (partial / "seeds.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        with (partial / "README.md").open("a", encoding="utf-8") as card:
            card.write(seeds_section(spread, seeds, seeds[repeats.kept]))
    return repeats


def mean_and_std(figures: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the mean and the sample standard deviation (over n - 1) of each figure that all runs have."""
    names = [name for name in figures[0] if all(name in other for other in figures)]
    columns = {name: [run[name] for run in figures] for name in names}
    return {name: (statistics.fmean(values), statistics.stdev(values)) for name, values in columns.items()}


def _repeat(
    source: str | Path,
    head: Head,
    train: Table,
    validation: Table | None,
    seeds: tuple[int, ...],
    test: Table | None,
    settings: Settings,
    folder: Path | None,
    options: Mapping[str, Any],
) -> Repeats:
    """Run once for each seed; `folder` holds the best run there has been."""
    figures: list[dict[str, float]] = []
    best: tuple[float, int, Run] | None = None
    for place, seed in enumerate(seeds):
        one = dataclasses.replace(settings, seed=seed)
        aside = None if folder is None else folder.with_name(f"{folder.name}-new") / folder.name
        run = finetune(source, head, train, validation, test=test, out=aside, settings=one, **options)
        own = run.history.epochs[run.history.best]
        figures.append({**own, **{f"test_{name}": value for name, value in (run.test or {}).items()}})
        value = 0.0 if validation is None else watched(own, settings.monitor or head.best_by(_validated(own)))
        better = best is None or value > best[0]
        if better:
            best = value, place, run
        if folder is not None and aside is not None:
            if better:
                shutil.rmtree(folder, ignore_errors=True)
                aside.rename(folder)
            shutil.rmtree(aside.parent)
        gc.collect()  # a model and its graphs refer to one another
    assert best is not None, "there is a seed"
    return Repeats(seeds, figures, best[1], best[2])


def _validated(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("val_"): value for name, value in figures.items() if name.startswith("val_")}
