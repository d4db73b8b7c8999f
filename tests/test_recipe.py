"""The whole recipe on a small model: what it leaves in the run's folder."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.recipe import finetune
from keras_bert_zoo.serving.figures import read_run
from keras_bert_zoo.training.fit import Settings

SETTINGS = Settings(epochs=2, batch_size=8, learning_rate=1e-2, length=9, seed=5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return kbz.save(tiny.bundle(), tmp_path_factory.mktemp("weights") / "encoder")


@pytest.fixture(scope="module")
def run(weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "mood"
    head = kbz.heads.Classification(["bad", "good"])
    tables = {"validation": tiny.mood_table(), "test": tiny.mood_table(2)}
    made = finetune(
        weights,
        head,
        tiny.mood_table(3),
        **tables,
        out=out,
        settings=SETTINGS,
        command="kbz train encoder --out mood",
        read={"train": "t.tsv"},
        verbose=0,
    )
    return made, out


def test_the_run_loads_and_gives_the_figures_it_tells(run):
    made, out = run
    again = kbz.load(out)
    assert again.max_length == 9
    assert again.predict(tiny.GOOD) == made.bundle.predict(tiny.GOOD)
    assert again.evaluate(tiny.mood_table(2)) == pytest.approx(made.test, abs=1e-6)


def test_history(run):
    made, out = run
    history = json.loads((out / "history.json").read_text())
    assert history["epochs"] == made.history.epochs
    assert history["best_epoch"] == made.history.best + 1
    assert history["test"] == made.test
    assert history["rows"] == {"train": 36, "validation": 12, "test": 24}
    assert history["settings"]["seed"] == 5
    assert history["settings"]["layout"] == "packed"  # what "auto" came to
    assert history["command"] == "kbz train encoder --out mood"


def test_the_history_says_which_rows_gave_its_figures(run):
    """So an export's figures can be measured on the same rows, and set beside them."""
    made, out = run
    told = read_run(out)
    assert [(part.name, part.rows) for part in told.parts] == [("test", 24), ("validation", 12)]
    assert told.part_of(tiny.mood_table(2)).figures == made.test
    best = made.history.epochs[made.history.best]
    assert told.part_of(tiny.mood_table()).figures["accuracy"] == best["val_accuracy"]
    assert told.part_of(tiny.mood_table(3)) is None
    assert told.read == {"train": "t.tsv"}


def test_the_picture_shows_something(run):
    _, out = run
    with Image.open(out / "training.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > 4 * 300  # loss and three figures, side by side
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_the_card_tells_data_figures_command_and_versions(run):
    made, out = run
    card = (out / "README.md").read_text()
    for told in (
        "# mood",
        f"| test accuracy | {made.test['accuracy']:.4f} |",
        "train 36 rows, validation 12 rows, test 24 rows",
        "`kbz train encoder --out mood`",
        f"tensorflow {__import__('tensorflow').__version__}",
        "Labels: bad, good.",
        'bundle.predict(["a text"])',
    ):
        assert told in card


def test_an_existing_run_is_refused_before_any_work(run, weights):
    _, out = run
    before = sorted((path.name, path.stat().st_mtime_ns) for path in out.iterdir())
    with pytest.raises(ConfigError, match="is there already"):
        finetune("nowhere", kbz.heads.Regression(), tiny.mood_table(), out=out, settings=SETTINGS)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in out.iterdir()) == before


def test_an_unknown_strategy_is_refused(weights):
    with pytest.raises(ConfigError, match="strategy is 'magic', it must be one of default, one_device"):
        finetune(weights, kbz.heads.Regression(), tiny.mood_table(), devices="magic")


def test_a_bundle_of_another_precision_is_refused():
    bundle = tiny.bundle()
    with pytest.raises(ConfigError, match="The bundle computes in float32, not in mixed_float16: load it with dtype"):
        finetune(bundle, kbz.heads.Regression(), tiny.mood_table(), settings=Settings(precision="mixed_float16"))
