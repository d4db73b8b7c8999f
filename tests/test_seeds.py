"""Several seeds: each is the run it would be alone, the best is kept, and the figures are summed up as numpy does."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo import seeds as seeds_module
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.recipe import Run, finetune
from keras_bert_zoo.seeds import finetune_seeds, mean_and_std
from keras_bert_zoo.stopping import Stopped
from keras_bert_zoo.training import epochs
from keras_bert_zoo.training.fit import History, Settings

HEAD = kbz.heads.Classification(["bad", "good"])
SETTINGS = Settings(epochs=1, batch_size=8, length=9, learning_rate=3e-3, monitor="-loss", seed=77)


def test_mean_and_std():
    figures = [{"loss": 0.25, "f1": 0.5}, {"loss": 0.75, "f1": 0.6}, {"loss": 0.35, "f1": 0.9, "more": 1.0}]
    spread = mean_and_std(figures)
    assert list(spread) == ["loss", "f1"]
    for name, (mean, std) in spread.items():
        values = [one[name] for one in figures]
        assert (mean, std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))


@pytest.mark.slow
def test_the_best_of_several_seeds_is_kept(folders, tmp_path):
    table, out = tiny.mood_table(), tmp_path / "runs" / "mood"
    options = {"test": table.select(range(3, 9)), "settings": SETTINGS, "verbose": 0}
    repeats = finetune_seeds(folders / "encoder", HEAD, table, table, seeds=[4, 9], out=out, **options)
    losses = [figures["val_loss"] for figures in repeats.figures]
    assert losses[0] != losses[1]
    assert repeats.kept == int(np.argmin(losses))
    seed = (4, 9)[repeats.kept]
    alone = finetune(
        folders / "encoder", HEAD, table, table, **{**options, "settings": Settings(**{**vars(SETTINGS), "seed": seed})}
    )
    assert alone.history.epochs[0] == {k: v for k, v in repeats.figures[repeats.kept].items() if k[:5] != "test_"}
    assert alone.test == {k[5:]: v for k, v in repeats.figures[repeats.kept].items() if k[:5] == "test_"}
    loaded = kbz.load(out)
    for got, want in zip(loaded.model.get_weights(), alone.bundle.model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)

    record, told = (json.loads((out / name).read_text()) for name in ("history.json", "seeds.json"))
    assert record["settings"]["seed"] == told["kept"] == seed
    assert told["seeds"] == [4, 9]
    assert told["figures"] == repeats.figures
    assert told["mean"]["val_loss"] == pytest.approx(np.mean(losses))
    assert told["std"]["val_loss"] == pytest.approx(np.std(losses, ddof=1))
    card = (out / "README.md").read_text()
    assert card.startswith("# mood\n")
    assert f"| val loss | {np.mean(losses):.4f} ± {np.std(losses, ddof=1):.4f} |" in card
    assert f"Seed {seed} was kept." in card
    assert [path.name for path in out.parent.iterdir()] == ["mood"]
    assert not (out / "seeds").exists()


def _faked(monkeypatch, accuracies):
    """Have runs take no time: each has one of these accuracies on its validation table."""
    left = iter(accuracies)
    used = []

    def run(source, head, train, validation, *, settings, **options):
        used.append(settings.seed)
        own = {} if validation is None else {"val_accuracy": next(left)}
        return Run(settings.seed, History([{"loss": 0.5, **own}], 0), None)

    monkeypatch.setattr(seeds_module, "finetune", run)
    return used


def test_which_run_is_kept(monkeypatch):
    table = tiny.mood_table()
    used = _faked(monkeypatch, [0.5, 0.8, 0.8, 0.1])
    repeats = finetune_seeds("a folder", HEAD, table, table, seeds=range(3, 7))
    assert used == [3, 4, 5, 6]
    assert (repeats.kept, repeats.run.bundle) == (1, 4)  # the first of two equals
    assert [figures["val_accuracy"] for figures in repeats.figures] == [0.5, 0.8, 0.8, 0.1]
    assert finetune_seeds("a folder", HEAD, table, seeds=[8, 2]).kept == 0  # nothing tells which is better


class Ends(Exception):
    pass


def test_a_run_that_ends_goes_on_with_the_seeds_that_are_left(tmp_path, monkeypatch, capsys):
    table, out = tiny.mood_table(), tmp_path / "mood"
    used, losses = [], {3: 0.5, 4: 0.2, 5: 0.7, 6: 0.4}
    moments = [(4, "before"), (5, "after"), (6, "before")]  # of which seed's run, and whether it is finished then

    def run(source, head, train, validation, *, out, settings, **options):
        used.append(settings.seed)
        if moments and moments[0] == (settings.seed, "before"):
            moments.pop(0)
            (out / "unfinished").mkdir(parents=True, exist_ok=True)  # with checkpoints, say
            raise Ends
        epochs = [{"val_loss": 9.0}, {"val_loss": losses[settings.seed]}]
        out.mkdir(parents=True, exist_ok=True)
        (out / "history.json").write_text(json.dumps({"epochs": epochs, "best_epoch": 2, "test": {"loss": 0.1}}))
        (out / "README.md").write_text(f"# {out.name}, seed {settings.seed}\n")
        (out / "unfinished").exists() and (out / "unfinished").rmdir()
        if moments and moments[0] == (settings.seed, "after"):
            moments.pop(0)
            raise Ends
        return Run(kbz.Bundle, History(epochs, 1), {"loss": 0.1})

    monkeypatch.setattr(seeds_module, "finetune", run)
    monkeypatch.setattr(seeds_module, "load", lambda source, dtype: (loaded.append(source), tiny.bundle())[1])
    loaded = []

    def repeats(**options):
        return finetune_seeds(
            "a folder", HEAD, table, table, seeds=range(3, 7), out=out, **{"settings": SETTINGS, **options}
        )

    for _ in range(3):
        with pytest.raises(Ends):
            repeats()
    assert os.listdir(out) == ["unfinished"]
    with pytest.raises(ConfigError, match=r"unfinished run with other settings: settings.epochs is 7, was 1. Repeat"):
        repeats(settings=Settings(**{**vars(SETTINGS), "epochs": 7}))
    made = repeats(settings=Settings(**{**vars(SETTINGS), "seed": 1, "checkpoint_every": 4}))  # neither counts
    assert used == [3, 4, 4, 5, 6, 6]  # the fifth seed's run was finished, and is not made again
    assert [figures["val_loss"] for figures in made.figures] == [0.5, 0.2, 0.7, 0.4]
    assert made.figures[2]["test_loss"] == 0.1
    assert (made.kept, made.run.history.best, made.run.test) == (1, 1, {"loss": 0.1})
    assert [path.relative_to(out).as_posix() for path in loaded] == ["unfinished/seed-4/mood"]
    assert made.run.bundle.max_length == 9
    assert sorted(os.listdir(out)) == ["README.md", "history.json", "seeds.json"]
    assert (out / "README.md").read_text().startswith("# mood, seed 4\n")
    assert json.loads((out / "seeds.json").read_text())["kept"] == 4
    assert os.listdir(tmp_path) == ["mood"]
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["Going on after 1 of 4 seeds.", "Going on after 2 of 4 seeds.", "Going on after 3 of 4 seeds."]


@pytest.mark.slow
def test_seeds_that_a_signal_stops_end_as_if_it_had_not_come(folders, tmp_path, monkeypatch):
    table, polled, sent = tiny.mood_table(), epochs.Epochs._between, []

    def between(self, *, due):
        if self.settings.seed == 9 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        polled(self, due=due)

    settings = dataclasses.replace(SETTINGS, determinism="on")  # "auto" would leave runs that are not kept as they are
    options = {"seeds": [4, 9], "settings": settings, "verbose": 0}
    whole = finetune_seeds(folders / "encoder", HEAD, table, table, **options)
    monkeypatch.setattr(epochs.Epochs, "_between", between)
    with pytest.raises(Stopped):
        finetune_seeds(folders / "encoder", HEAD, table, table, out=tmp_path / "run", **options)
    again = finetune_seeds(folders / "encoder", HEAD, table, table, out=tmp_path / "run", **options)
    assert (again.figures, again.kept) == (whole.figures, whole.kept)
    for one in (again.run.bundle, kbz.load(tmp_path / "run")):
        for got, want in zip(one.model.get_weights(), whole.run.bundle.model.get_weights(), strict=True):
            np.testing.assert_array_equal(got, want)


def test_what_cannot_be_repeated(tmp_path):
    table = tiny.mood_table()
    for wrong in ([3], [2, 5, 2]):
        with pytest.raises(ConfigError, match=r"seeds are \[.*\], they must be two or more different ones"):
            finetune_seeds("x", HEAD, table, seeds=wrong)
    with pytest.raises(ConfigError, match="give their name or folder, not a bundle"):
        finetune_seeds(tiny.bundle(), HEAD, table, seeds=[1, 2])
    (tmp_path / "mine").touch()
    with pytest.raises(ConfigError, match="the folder is there already"):
        finetune_seeds("x", HEAD, table, seeds=[1, 2], out=tmp_path)
