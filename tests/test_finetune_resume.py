"""Fine-tuning that is stopped or killed and gone on with: it ends with the same bits and figures."""

import json
import os
import signal
import subprocess
import sys
import warnings

import finetune_process
import kills
import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo import recipe as recipe_module
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.stopping import Stopped
from keras_bert_zoo.training import epochs as loop
from keras_bert_zoo.training.fit import History, Settings
from keras_bert_zoo.training.resume import checkpoints

finetune, SETTINGS = finetune_process.finetune, finetune_process.SETTINGS


def changed(**values):
    return Settings(**{**vars(SETTINGS), **values})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    kbz.save(tiny.bundle(config=finetune_process.CONFIG), root / "bert")
    return root


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """Return an uninterrupted run, and its folder."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return finetune(root, out), out


def same(run, other):
    assert run.history == other.history
    for ours, theirs in zip(run.bundle.model.weights, other.bundle.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


def stopped_at(monkeypatch, moments):
    """Have a SIGTERM come after each of these numbers of updates, once, before what is done between updates."""
    left, polled = list(moments), loop.Epochs._between

    def between(self, *, due):
        if left and self.step >= left[0]:
            left.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        polled(self, due=due)

    monkeypatch.setattr(loop.Epochs, "_between", between)


def test_what_a_run_leaves(whole):
    run, out = whole
    names = ["README.md", "config.json", "history.json", "model.safetensors", "tokenizer_config.json", "training.png"]
    assert sorted(os.listdir(out)) == [*names, "vocab.txt", "zoo.json"]
    assert os.listdir(out.parent) == ["whole"]
    assert run.history.best != len(run.history.epochs) - 1  # else the best weights are not worth a checkpoint


def test_a_killed_run_ends_as_if_it_had_not_been(root, whole, tmp_path):
    run, _ = whole
    out = tmp_path / "again"
    command = [sys.executable, finetune_process.__file__, root, out, "17"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    # Two updates a call, and eight an epoch, after which the epoch is measured first.
    names = [path.name for path in checkpoints(out / "unfinished")]
    assert names == ["step-000000018.safetensors", "step-000000016.safetensors"]
    with pytest.warns(UserWarning, match=r"step-000000018.safetensors: .* damaged .* Going on from step-000000016"):
        second = finetune(root, out)
    same(second, run)
    assert sorted(os.listdir(out)) == sorted(os.listdir(whole[1]))


@pytest.mark.slow  # tests/cli/test_train.py does this with Ctrl-C
def test_a_signal_saves_a_checkpoint_and_the_same_call_goes_on(root, whole, tmp_path, monkeypatch, capsys):
    run, _ = whole
    out = tmp_path / "run"
    before = signal.getsignal(signal.SIGTERM)
    # In the midst of an epoch, and after its last update, before it is measured.
    stopped_at(monkeypatch, [10, 16])
    for step in (10, 16):
        with pytest.raises(Stopped, match=f"Signal 15 stopped the training after step {step}"):
            finetune(root, out, verbose=2)
        assert os.listdir(out) == ["unfinished"]
        assert checkpoints(out / "unfinished")[0].name == f"step-{step:09}.safetensors"
        assert signal.getsignal(signal.SIGTERM) == before
    printed = capsys.readouterr().out
    assert "Going on after step 10 of 32.\nEpoch 2/4\n" in printed
    same(finetune(root, out, verbose=2), run)  # the figures of the epochs that were cut, too
    assert "Going on after step 16 of 32.\nEpoch 3/4\n" in capsys.readouterr().out
    assert "unfinished" not in os.listdir(out)


@pytest.mark.slow
def test_stopped_between_epochs_and_without_a_folder(root, whole, tmp_path, monkeypatch):
    run, _ = whole
    same(finetune(root, None), run)
    stopped_at(monkeypatch, [16, 16, 32, 32])
    for _ in range(4):
        with pytest.raises(Stopped):
            finetune(root, tmp_path / "run")
    same(finetune(root, tmp_path / "run"), run)


@pytest.mark.slow
def test_patience_and_no_validation_data_go_on_too(root, tmp_path, monkeypatch):
    patient = changed(patience=1, learning_rate=3e-3)
    whole = finetune(root, None, settings=patient)
    last = len(whole.history.epochs)
    stopped_at(monkeypatch, [8 * last, 8 * last])
    out = tmp_path / "patient"
    for _ in range(2):  # before the last epoch is measured, and when nothing is left to learn
        with pytest.raises(Stopped):
            finetune(root, out, settings=patient)
    same(finetune(root, out, settings=patient), whole)
    blind = {"settings": changed(epochs=2), "validation": None}
    stopped_at(monkeypatch, [12])
    with pytest.raises(Stopped):
        finetune(root, tmp_path / "blind", **blind)
    same(finetune(root, tmp_path / "blind", **blind), finetune(root, None, **blind))


@pytest.mark.slow
def test_killed_at_three_random_moments(root, whole, tmp_path):
    run, _ = whole
    out = tmp_path / "torn"
    kills.at_three_random_moments(finetune_process.__file__, root, out, calls=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the newest may be cut off
        same(finetune(root, out), run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"rematerialize": True, "layout": "padded", "gradient_accumulation": 2},
        {"precision": "mixed_float16", "freeze_layers": 1, "layer_decay": 0.7},
        {"jit_compile": True, "determinism": "auto", "pad_to": 9, "drop_remainder": True, "class_weight": "balanced"},
    ],
    ids=["rematerialised", "float16", "xla"],
)
def test_other_steps_go_on_too(root, tmp_path, monkeypatch, values):
    settings = changed(epochs=2, **values)
    whole = finetune(root, None, settings=settings)
    stopped_at(monkeypatch, [4, 10])
    for _ in range(2):
        with pytest.raises(Stopped):
            finetune(root, tmp_path / "run", settings=settings)
    same(finetune(root, tmp_path / "run", settings=settings), whole)


def test_an_unfinished_run_and_other_settings(root, tmp_path, monkeypatch):
    out = tmp_path / "run"
    kbz.save(kbz.load(root / "bert"), out)  # an older run, and a file of the user's
    (out / "notes.txt").touch()
    old = sorted(os.listdir(out))
    with pytest.raises(ConfigError, match="the folder is there already"):
        finetune(root, out)
    stopped_at(monkeypatch, [2])
    with pytest.raises(Stopped):
        finetune(root, out, overwrite=True)
    assert sorted(os.listdir(out)) == sorted([*old, "unfinished"])  # what is replaced stays until the end
    words = "holds an unfinished run with other settings: settings.learning_rate is 0.002, was 0.03; settings.seed is 4"
    with pytest.raises(ConfigError, match=words):
        finetune(root, out, settings=changed(learning_rate=2e-3, seed=4))
    with pytest.raises(ConfigError, match=r"data.validation is None, was '"):
        finetune(root, out, validation=None)

    class Ends(Exception):
        pass

    def ends(*arguments, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recipe_module, "fit", None)
            with pytest.raises(ConfigError, match="another process is at work on this run"):
                finetune(root, out)
        raise Ends

    with monkeypatch.context() as patch:
        patch.setattr(recipe_module, "fit", ends)
        with pytest.raises(Ends):  # checkpoints at other times are the same run
            finetune(root, out, settings=changed(checkpoint_every=7, keep_checkpoints=1))
        assert len(checkpoints(out / "unfinished")) == 1
        with pytest.raises(Ends):
            finetune(root, out, settings=changed(seed=4), overwrite=True)
    assert sorted(os.listdir(out)) == old  # the new run had come to nothing yet

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    again = {"settings": changed(epochs=1), "overwrite": True}
    with monkeypatch.context() as patch:
        patch.setattr(recipe_module, "write", full)
        patch.setattr(recipe_module, "fit", learnt)
        with pytest.raises(CheckpointError, match=r"cannot be written: .* The checkpoints are in .*unfinished: make"):
            finetune(root, out, **again)
    assert sorted(os.listdir(out)) == sorted([*old, "unfinished"])
    with monkeypatch.context() as patch:
        patch.setattr(recipe_module, "fit", learnt)
        finetune(root, out, **again)
    assert "notes.txt" not in os.listdir(out)
    assert json.loads((out / "history.json").read_text())["epochs"] == [{"loss": 0.5}]
    assert os.listdir(tmp_path) == ["run"]


def learnt(*arguments, folder, **options):
    """Stand for a training that got as far as a checkpoint."""
    (folder / "step-000000008.safetensors").touch()
    return History([{"loss": 0.5}], 0)


def test_a_run_that_fails_before_a_checkpoint_leaves_nothing(root, tmp_path):
    with pytest.raises(ConfigError, match="class_weight must be 'balanced' or a weight for each of"):
        finetune(root, tmp_path / "deep/run", settings=changed(class_weight="even"))
    assert os.listdir(tmp_path / "deep") == []


def test_settings_that_make_no_checkpoints():
    for name in ("checkpoint_every", "keep_checkpoints"):
        with pytest.raises(ConfigError, match=f"{name} is 0, it must be at least 1"):
            Settings(**{name: 0})
    with pytest.raises(ConfigError, match="determinism is 'yes', it must be one of auto, on, off"):
        Settings(determinism="yes")
    with pytest.raises(ConfigError, match="TensorFlow compiles nothing while it is deterministic"):
        Settings(determinism="on", jit_compile=True)
