"""Several seeds: each is the run it would be alone, the best is kept, and the figures are summed up as numpy does."""

import json

import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo import seeds as seeds_module
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.recipe import Run, finetune
from keras_bert_zoo.seeds import finetune_seeds, mean_and_std
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
