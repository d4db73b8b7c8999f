"""Checkpoints of any compiled model: all that the next step depends on, whole or not at all."""

import errno
import json

import keras
import numpy as np
import pytest
import safetensors

from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.training import resume
from keras_bert_zoo.training.resume import checkpoints, restore_checkpoint, save_checkpoint
from keras_bert_zoo.training.workplace import differences


def model(width=5, *, seed=1):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((3,)), keras.layers.Dense(width, name="dense"), keras.layers.Dropout(0.3, name="dropout")]
    made = keras.Sequential([*layers, keras.layers.Dense(2, name="out", dtype="bfloat16")], name="model")
    made.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError())
    return made


def train(made, steps, first=0):
    random = np.random.default_rng(4)
    x, y = random.normal(size=(9, 4, 3)).astype("float32"), random.normal(size=(9, 4, 2)).astype("float32")
    for step in range(first, first + steps):
        made.train_on_batch(x[step], y[step])


def weights(made):
    return {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in resume.training_state(made).items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_a_model_goes_on_from_its_checkpoint(tmp_path):
    whole = model()
    train(whole, 7)
    first = model()
    train(first, 3)
    path = save_checkpoint(first, tmp_path / "deep/work", 3, {"rows": [{"loss": 0.5}], "name": "ü"})
    assert path.name == "step-000000003.safetensors"
    second = model(seed=8)  # in the same process Keras numbers its optimizer and seeds anew
    told = restore_checkpoint(second, tmp_path / "deep/work")
    assert (told.step, told.kept) == (3, {"rows": [{"loss": 0.5}], "name": "ü"})
    same(weights(first), weights(second))
    train(second, 4, first=3)
    same(weights(whole), weights(second))
    assert not np.array_equal(weights(first)["model/dense/kernel"], weights(second)["model/dense/kernel"])
    with safetensors.safe_open(path, "np") as file:
        assert sorted(file.keys()) == sorted(weights(first))
        assert file.get_tensor("model/out/kernel").dtype.name == "bfloat16"
    assert {name for name in weights(first) if name.startswith("seeds/")} == {"seeds/0"}


def test_the_newest_are_kept_and_nothing_else_is_touched(tmp_path):
    made = model()
    (tmp_path / "step-1.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    for step in (5, 9, 12, 1_000_000_000):
        save_checkpoint(made, tmp_path, step, keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == [
        "step-1000000000.safetensors",
        "step-000000012.safetensors",
    ]
    assert len(list(tmp_path.iterdir())) == 4
    assert checkpoints(tmp_path / "none") == []
    assert restore_checkpoint(made, tmp_path / "none") is None


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "told"])
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, damage):
    made = model()
    save_checkpoint(made, tmp_path, 2, {"a": 1})
    newest = save_checkpoint(made, tmp_path, 4, {"a": 2})
    data = bytearray(newest.read_bytes())
    if damage == "changed":
        data[-7] ^= 1
    if damage == "told":  # the header, well-formed but not as written
        place = data.index(b'{\\"a\\": 2}')
        data[place : place + 10] = b'{\\"a\\": 3}'
    newest.write_bytes({"cut": data[:-9], "empty": b""}.get(damage, data))
    with pytest.warns(UserWarning, match="step-000000004.* damaged .* Going on from step-000000002"):
        assert restore_checkpoint(made, tmp_path).step == 2
    checkpoints(tmp_path)[1].write_bytes(b"nothing")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(CheckpointError, match="There is no older one: delete"),
    ):
        restore_checkpoint(made, tmp_path)


def test_a_checkpoint_of_another_model_or_optimizer(tmp_path):
    save_checkpoint(model(), tmp_path, 2)
    with pytest.raises(
        CheckpointError, match=r"another model .* 9 variables differ, such as 'model/dense/bias', \(\(5,\), 'fl"
    ):
        restore_checkpoint(model(6), tmp_path)
    other = model()
    other.compile(keras.optimizers.SGD(0.01), keras.losses.MeanSquaredError())
    with pytest.raises(CheckpointError, match=r"'optimizer/0/model_dense_bias_momentum', .* in the file, none in"):
        restore_checkpoint(other, tmp_path)


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    made = model()
    before = save_checkpoint(made, tmp_path, 2)
    told = before.read_bytes()

    def full(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume.safetensors.numpy, "save_file", full)
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(made, tmp_path, 4)
    assert str(caught.value) == (
        f"{tmp_path}/step-000000004.safetensors: the checkpoint cannot be written: [Errno 28] No space left on device."
        " The last good checkpoint is step-000000002.safetensors. Make room, and run it again."
    )
    assert list(tmp_path.iterdir()) == [before]
    assert before.read_bytes() == told


def test_what_is_no_number_is_not_kept(tmp_path):
    made = model()
    made.layers[0].bias.assign([0, 1, np.nan, 2, 3])
    with pytest.raises(CheckpointError, match=r"After step 7 1 of 15 variables hold NaN.*dense/bias.*no checkpoint"):
        save_checkpoint(made, tmp_path, 7)
    assert list(tmp_path.iterdir()) == []


def test_layers_of_one_name_are_refused():
    inputs = keras.Input((3,))
    inner = [keras.Sequential([keras.layers.Dense(2, name="same")], name=name) for name in ("a", "b")]
    made = keras.Model(inputs, [each(inputs) for each in inner])
    made.compile(keras.optimizers.SGD(), ["mse", "mse"])
    if len({w.path for w in made.weights}) == len(made.weights):
        made.weights[0]._path = made.weights[2].path
    with pytest.raises(CheckpointError, match="several variables are called"):
        resume.training_state(made)


def test_differences_are_told_by_name():
    now = {"seed": 3, "phases": {"0": {"steps": 7, "data": "x"}}, "new": 1}
    then = json.loads(json.dumps({"seed": 4, "phases": {"0": {"steps": 9, "data": "x"}}, "old": None}))
    assert list(differences(now, then)) == [
        "seed is 3, was 4",
        "phases.0.steps is 7, was 9",
        "new is 1, was 'not there'",
        "old is 'not there', was None",
    ]
    assert list(differences(now, now)) == []
