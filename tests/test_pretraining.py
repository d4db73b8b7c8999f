"""Pretraining whole: killed and gone on with, it ends with the same bits; what it leaves can be fine-tuned."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretrain_process
import pytest
import record_files
import safetensors.numpy
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo import pretraining
from keras_bert_zoo.errors import CheckpointError, ConfigError, DataError, VocabularyError
from keras_bert_zoo.training import pretrain as loop
from keras_bert_zoo.training.resume import checkpoints

CONFIG = pretrain_process.CONFIG


@pytest.fixture(scope="module", autouse=True)
def _determinism_ends_here():
    yield
    from tensorflow.python.framework import config

    config.disable_op_determinism()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder with shards of two lengths, some held out, and their vocabulary."""
    root = tmp_path_factory.mktemp("data")
    record_files.shards(root / "short", [40, 33, 27], 13)
    record_files.shards(root / "long", [21, 9], 19, kind="masked", names="model_garden", compression="GZIP")
    record_files.shards(root / "held", [17], 13, seed=9)
    record_files.vocabulary(root / "vocab.txt")
    return root


def pretrain(root, out, **options):
    recipe = options.pop("recipe", None) or pretrain_process.recipe(root)
    options = {"vocabulary": root / "vocab.txt", "verbose": 0, **options}
    return kbz.pretrain(options.pop("model", CONFIG), recipe, out=out, **options)


class Kept:
    """The last checkpoint of each run, by its folder: the end of a run takes it away."""

    def __init__(self, monkeypatch):
        self.states = {}
        save = loop.save_checkpoint

        def saving(model, folder, step, kept, **options):
            path = save(model, folder, step, kept, **options)
            self.states[folder.parent.name] = safetensors.numpy.load_file(path)
            return path

        monkeypatch.setattr(loop, "save_checkpoint", saving)

    def same(self, one, other):
        assert self.states[one].keys() == self.states[other].keys()
        for name, value in self.states[one].items():
            np.testing.assert_array_equal(value, self.states[other][name], err_msg=name)


def without_clock(rows):
    return [{name: value for name, value in row.items() if name != "tokens_per_second"} for row in rows]


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """Return an uninterrupted run, its folder, and its last state."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        kept = Kept(patch)
        run = pretrain(root, out)
    return run, out, kept


def killed(root, out, step):
    command = [sys.executable, pretrain_process.__file__, root, out, str(step)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_run_ends_as_if_it_had_not_been(root, whole, tmp_path, monkeypatch):
    run, _, kept = whole
    killed(root, tmp_path / "again", 24)  # while the checkpoint of step 26, in the second phase, is written
    names = [path.name for path in checkpoints(tmp_path / "again/unfinished")]
    assert names == ["step-000000026.safetensors", "step-000000022.safetensors"]
    again = Kept(monkeypatch)
    with pytest.warns(UserWarning, match=r"step-000000026.safetensors: .* damaged .* Going on from step-000000022"):
        second = pretrain(root, tmp_path / "again")
    kept.states |= again.states
    kept.same("whole", "again")
    assert without_clock(second.rows) == without_clock(run.rows)
    seeds = [value for name, value in kept.states["whole"].items() if name.startswith("seeds/")]
    assert len(seeds) == 7  # one of the embeddings, two of each block
    assert int(kept.states["again"]["optimizer/0/iteration"]) == 35


def test_three_steps_of_the_finish(root, whole, tmp_path):
    """What a run leaves: a bundle that loads, its history, and nothing of the work."""
    run, out, _ = whole
    names = ["README.md", "config.json", "history.json", "model.safetensors", "tokenizer_config.json", "training.png"]
    assert sorted(os.listdir(out)) == [*names, "vocab.txt", "zoo.json"]
    assert os.listdir(out.parent) == ["whole"]
    history = json.loads((out / "history.json").read_text())
    assert history["rows"] == run.rows
    assert [row["step"] for row in run.rows] == [4, 8, 12, 16, 20, 22, 26, 30, 34, 35]
    assert [row["steps"] for row in run.rows] == [4, 4, 4, 4, 4, 2, 4, 4, 4, 1]
    assert [row["step"] for row in run.rows if "val_perplexity" in row] == [12, 22, 34, 35]
    assert history["instances"] == [100, 30]
    for row in run.rows:
        assert row["masked_lm_loss"] == pytest.approx(np.log(row["perplexity"]))
    # Warmed up over 3 of 35 updates, then falling: the rate of each row's last update.
    rates = [3e-3 * (35 - (row["step"] - 1)) / 32 for row in run.rows]
    assert [row["learning_rate"] for row in run.rows] == pytest.approx(rates, rel=1e-5)
    card = (out / "README.md").read_text()
    assert "- Phase 2: 13 updates of 5 rows, of 30 in `" in card
    bundle = kbz.load(out)
    assert (bundle.head.name, bundle.max_length) == ("pretraining", 19)
    for ours, theirs in zip(bundle.model.weights, run.bundle.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


def test_it_can_be_fine_tuned_at_once(whole, tmp_path):
    _, out, _ = whole
    settings = kbz.recipe.Settings(epochs=1, batch_size=8, length=9)
    head = kbz.heads.Classification(["bad", "good"])
    tuned = kbz.finetune(out, head, tiny.mood_table(2), settings=settings, verbose=0)
    assert len(tuned.history.epochs) == 1


@pytest.mark.slow
def test_killed_at_three_random_moments(root, whole, tmp_path, monkeypatch):
    run, _, kept = whole
    out = tmp_path / "torn"
    moments = random.Random(11)
    command = [sys.executable, pretrain_process.__file__, root, out]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            lines = moments.randrange(1, 5)
            for _ in range(lines):  # so many steps, and then some more, or some of what is between them
                assert process.stdout.readline().startswith("step ")
            try:
                process.wait(timeout=moments.random() / 2)
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == -signal.SIGKILL
    again = Kept(monkeypatch)
    second = pretrain(root, out)
    kept.states |= again.states
    kept.same("whole", "torn")
    assert [row["step"] for row in second.rows] == [row["step"] for row in run.rows]
