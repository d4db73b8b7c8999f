"""Pretraining whole: killed and gone on with, it ends with the same bits; what it leaves can be fine-tuned."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import kills
import numpy as np
import pretrain_process
import pytest
import record_files
import safetensors.numpy
import tiny
from tensorflow.python.framework import config

import keras_bert_zoo as kbz
from keras_bert_zoo import pretraining
from keras_bert_zoo.errors import CheckpointError, ConfigError, DataError, VocabularyError
from keras_bert_zoo.training import pretrain as loop
from keras_bert_zoo.training.fit import Settings
from keras_bert_zoo.training.resume import checkpoints

CONFIG = pretrain_process.CONFIG


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
    recipe = options.pop("recipe", None)
    options = {"vocabulary": root / "vocab.txt", "verbose": 0, **options}
    if recipe is None:
        return kbz.pretrain(CONFIG, pretrain_process.recipe(root), out=out, **options)
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
    assert len(seeds) == 3  # of the embeddings, of attention and of the block
    assert int(kept.states["again"]["optimizer/0/iteration"]) == 35


def test_what_a_run_leaves(root, whole, tmp_path):
    # A bundle that loads, its history, and nothing of the work.
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
    settings = Settings(epochs=1, batch_size=8, length=9)
    head = kbz.heads.Classification(["bad", "good"])
    tuned = kbz.finetune(out, head, tiny.mood_table(2), settings=settings, verbose=0)
    assert len(tuned.history.epochs) == 1


@pytest.mark.slow
def test_killed_at_three_random_moments(root, whole, tmp_path, monkeypatch):
    run, _, kept = whole
    out = tmp_path / "torn"
    kills.at_three_random_moments(pretrain_process.__file__, root, out, calls=2)
    again = Kept(monkeypatch)
    second = pretrain(root, out)
    kept.states |= again.states
    kept.same("whole", "torn")
    assert [row["step"] for row in second.rows] == [row["step"] for row in run.rows]


def short(root, **changes):
    values = {"phases": [kbz.Phase(str(root / "short"), steps=6, batch_size=8)], "log_every": 3, "validate_every": 3}
    return kbz.Recipe(**{**values, "checkpoint_every": 3, "learning_rate": 1e-3, **changes})


@pytest.mark.slow
def test_a_signal_saves_a_checkpoint_and_the_same_call_goes_on(root, tmp_path, monkeypatch):
    out, recipe = tmp_path / "run", short(root)
    whole = pretrain(root, tmp_path / "whole", recipe=recipe)
    monkeypatch.setattr(loop, "steps_a_call", lambda every: 1)
    monkeypatch.setattr(pretraining, "steps_a_call", lambda every: 1)
    moved = loop._Between.on_train_batch_end

    def stepping(self, batch, logs=None):
        if self.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        moved(self, batch, logs)

    monkeypatch.setattr(loop._Between, "on_train_batch_end", stepping)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(loop.Stopped, match="Signal 15 stopped the training after step 4"):
        pretrain(root, out, recipe=recipe)
    assert signal.getsignal(signal.SIGTERM) == before
    assert os.listdir(out) == ["unfinished"]
    monkeypatch.setattr(loop._Between, "on_train_batch_end", moved)
    run = pretrain(root, out, recipe=recipe)
    assert [(row["step"], row["steps"]) for row in run.rows] == [(3, 3), (6, 2)]  # the last two alone, and said so
    for ours, theirs in zip(run.bundle.model.weights, whole.bundle.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)
    assert os.listdir(tmp_path) == ["whole", "run"] or os.listdir(tmp_path) == ["run", "whole"]


def test_weights_are_gone_on_with_in_lamb_half_precision_whole_words_and_fixed_rows(root, whole, tmp_path):
    _, out, _ = whole
    values = {"optimizer": "lamb", "precision": "mixed_bfloat16", "whole_words": True, "shapes": "fixed"}
    recipe = short(root, validation=str(root / "long"), masks="dynamic", layout="padded", **values)
    run = pretrain(root, None, model=out, recipe=recipe, vocabulary=None, tensorboard=tmp_path / "board")
    first = kbz.load(out)
    for ours, theirs in zip(run.bundle.model.weights, first.model.weights, strict=True):
        assert ours.dtype == "float32"
        assert np.abs(ours.numpy() - theirs.numpy()).max() < 0.3, ours.path
    assert run.rows[0]["masked_lm_loss"] < 4.5  # as it was learnt before
    assert run.bundle.model.get_layer("block_0").compute_dtype == "bfloat16"
    with pytest.raises(ConfigError, match="computes in float32, the recipe says mixed_bfloat16: load it with dtype="):
        pretrain(root, None, model=first, recipe=recipe, vocabulary=None)
    with pytest.raises(ConfigError, match="Weights bring their own vocabulary"):
        pretrain(root, None, model=first, recipe=recipe)

    import tensorflow as tf

    for part, names in (("train", {"loss", "tokens_per_second"}), ("validation", {"loss", "perplexity"})):
        found = {}
        for path in (tmp_path / "board" / part).iterdir():
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
        assert names <= set(found)
        key = "loss" if part == "train" else "val_loss"
        assert found["loss"] == pytest.approx({row["step"]: row[key] for row in run.rows}, rel=1e-6)


def test_rematerialised_blocks_are_the_same_updates(root, tmp_path, monkeypatch):
    kept = Kept(monkeypatch)
    runs = [
        pretrain(root, tmp_path / name, recipe=short(root, rematerialize=name == "less")) for name in ("all", "less")
    ]
    for one, other in zip(without_clock(runs[0].rows), without_clock(runs[1].rows), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert kept.states["all"].keys() == kept.states["less"].keys()  # so that either goes on from the other's
    for name, value in kept.states["all"].items():
        if name.startswith("seeds/"):
            np.testing.assert_array_equal(value, kept.states["less"][name])


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_losses(root, tmp_path):
    plain = CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    options = {"model": plain, "recipe": short(root, layout="padded", validation=str(root / "held"))}
    one = pretrain(root, None, **options)
    config.disable_op_determinism()  # else there is no XLA
    compiled = dataclasses.replace(options["recipe"], jit_compile=True)
    two = pretrain(root, tmp_path / "run", **{**options, "recipe": compiled})
    for ours, theirs in zip(two.rows, one.rows, strict=True):
        for name in ("loss", "perplexity", "masked_lm_loss", "val_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4), name
    settings = json.loads((tmp_path / "run/history.json").read_text())["settings"]
    assert (settings["jit_compile"], settings["shapes"]) == (True, "auto")


@pytest.mark.slow
def test_several_sequences_a_row_are_the_same_updates(root):
    plain = CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    runs = [
        pretrain(root, None, model=plain, recipe=short(root, validation=str(root / "held"), pack_sequences=number))
        for number in (1, 3)
    ]
    # The next-sentence loss is a mean over sequences either way.
    for name in ("perplexity", "masked_lm_accuracy", "next_sentence_accuracy", "val_perplexity"):
        one, several = ([row[name] for row in run.rows] for run in runs)
        assert one == pytest.approx(several, rel=2e-3), name
    for one, several in zip(*(run.bundle.model.weights for run in runs), strict=True):
        np.testing.assert_allclose(one.numpy(), several.numpy(), atol=2e-3, err_msg=one.path)


def test_an_unfinished_run_and_other_settings(root, tmp_path, monkeypatch):
    out, recipe = tmp_path / "run", short(root)

    class Ends(Exception):
        pass

    def ends(*arguments, **options):
        (work / "step-000000003.safetensors").touch()  # something that is worth keeping
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pretraining, "_settings", lambda *arguments: json.loads((work / "settings.json").read_text()))
            with pytest.raises(ConfigError, match="another process is at work on this run"):
                pretrain(root, out, recipe=recipe)
        raise Ends

    work = out / "unfinished"
    monkeypatch.setattr(pretraining, "run_phases", ends)
    with pytest.raises(Ends):
        pretrain(root, out, recipe=recipe)
    words = "holds an unfinished run with other settings: learning_rate is 0.002, was 0.001; seed is 4, was 0. Repeat"
    with pytest.raises(ConfigError, match=words):
        pretrain(root, out, recipe=short(root, learning_rate=2e-3, seed=4))
    with pytest.raises(ConfigError, match=r"config.hidden_dropout_prob is 0.3, was 0.1"):
        pretrain(root, out, recipe=recipe, model=CONFIG.replace(hidden_dropout_prob=0.3))
    (work / "mark").touch()
    with pytest.raises(Ends):  # checkpoints at other times are the same run
        pretrain(root, out, recipe=short(root, checkpoint_every=6, keep_checkpoints=5), overwrite=True)
    assert (work / "mark").exists()
    with pytest.raises(Ends):
        pretrain(root, out, recipe=short(root, seed=4), overwrite=True)
    assert json.loads((work / "settings.json").read_text())["seed"] == 4
    assert not (work / "mark").exists()
    assert os.listdir(tmp_path) == ["run"]


def test_a_loss_that_is_no_number_ends_the_run(root, tmp_path, monkeypatch):
    moved = loop._Between.on_train_batch_end

    def stepping(self, batch, logs=None):
        moved(self, batch, {**logs, "loss": float("nan")} if self.step >= 3 else logs)

    monkeypatch.setattr(loop._Between, "on_train_batch_end", stepping)
    words = (
        "The loss became nan in one of the steps 4 to 6. The last good checkpoint is .*step-000000003.safetensors. Low"
    )
    with pytest.raises(ConfigError, match=words):
        pretrain(root, tmp_path / "run", recipe=short(root))


def test_a_shard_that_is_damaged_in_the_midst_of_the_training(root, tmp_path):
    data = record_files.shards(tmp_path / "data", [9, 20, 9], 13)
    path = data / "data-00001-of-00003.tfrecord"
    path.write_bytes(path.read_bytes()[:-30])
    recipe = short(root, phases=[kbz.Phase(str(data), steps=6, batch_size=8)])
    with pytest.raises(DataError, match=f"{path}: record 20 is damaged: .*--skip-corrupt"):
        pretrain(root, None, recipe=recipe)
    with pytest.warns(UserWarning, match="data-00001-of-00003.tfrecord is damaged: only its first 19 rows are read"):
        run = pretrain(root, None, recipe=short(root, phases=recipe.phases, corrupt="skip"))
    assert run.damaged == {"0": {path.name: 19}}


def test_what_cannot_begin(root, tmp_path):
    def told(error, words, **options):
        with pytest.raises(error, match=words):
            pretrain(root, tmp_path / "run", **{"recipe": short(root), **options})
        assert not (tmp_path / "run").exists()

    told(DataError, "rows have 13 tokens, the model has 11 positions", model=CONFIG.replace(max_position_embeddings=11))
    told(
        VocabularyError,
        "The vocabulary has 99 tokens, the config's vocab_size is 98",
        model=CONFIG.replace(vocab_size=98),
    )
    told(ConfigError, "To begin from nothing takes a vocabulary", vocabulary=None)
    other = [token if token != "film" else "cinema" for token in tiny.VOCABULARY]
    told(DataError, "written with another vocabulary than the model's", vocabulary=kbz.Tokenizer(other))
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in tiny.VOCABULARY if token != "[MASK]"))
    told(VocabularyError, r"no \[MASK\] among", vocabulary=tmp_path / "vocab.txt")
    told(ConfigError, "Some of the data are of lower-cased texts", lower=False)
    told(ConfigError, "the records hold no masks, so masks must be", recipe=short(root, masks="static"))
    told(ConfigError, "recipe: phases must be given", recipe={})
    told(ConfigError, "no recipe can be read", recipe=tmp_path / "none.json")
    foreign = record_files.shards(tmp_path / "foreign", [9], 13, manifest=False)
    phases = [kbz.Phase(str(foreign), 6)]
    told(
        ConfigError,
        r"Nothing says whether the data are of lower-cased texts.*\(--uncased",
        recipe=short(root, phases=phases),
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    with pytest.raises(ConfigError, match="the folder is there already"):
        pretrain(root, tmp_path / "full", recipe=short(root))


def test_models_to_begin_with(folders, tmp_path):
    assert list(pretraining._tokenizer(folders / "encoder", None, []).vocabulary) == tiny.VOCABULARY
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG.to_huggingface()))
    assert pretraining._config(path) == CONFIG
    google = CONFIG.replace(hidden_act="gelu_tanh")
    path.write_text(json.dumps(google.to_google()))
    assert pretraining._config(str(path)) == google
    assert pretraining._config("tiny") == "tiny"
    assert pretraining._config("minilm_l6_h384_uncased") is None
    assert pretraining._sized("mini", 77).parameters == kbz.BertConfig(77, 256, 4, 4, 1024).parameters


def test_a_full_disk_at_the_end_keeps_the_checkpoints(root, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "write", full)
        with pytest.raises(
            CheckpointError, match=r"run cannot be written: .* The checkpoints are in .*unfinished: make"
        ):
            pretrain(root, tmp_path / "run", recipe=short(root))
    assert os.listdir(tmp_path / "run") == ["unfinished"]
    run = pretrain(root, tmp_path / "run", recipe=short(root))
    assert [row["step"] for row in run.rows] == [3, 6]
    assert "unfinished" not in os.listdir(tmp_path / "run")
