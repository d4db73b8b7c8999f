"""Rematerialised training is the same training: losses, gradients, dropout; and it keeps less."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from bert_oracle import inputs
from sizes import BATCH, HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.rematerialization import rematerialize

CONFIG = BertConfig(VOCAB, HIDDEN, LAYERS, HEADS, INNER, "gelu_erf", 0.3, 0.2, POSITIONS, TYPES)


def trained(layout, again):
    """Return the losses of three steps with dropout, and all weights and seeds after them."""
    keras.utils.set_random_seed(7)
    head = kbz.heads.Classification(["bad", "good"])
    model = head.attach(kbz.build_encoder(CONFIG, layout=layout))
    fitted = rematerialize(model) if again else model
    fitted.compile(kbz.adamw(1e-2, steps=9), head.loss())
    labels = np.arange(BATCH, dtype="int32") % 2
    losses = [fitted.train_on_batch(inputs(), labels) for _ in range(3)]
    return losses, [np.array(v) for v in model.variables]


@pytest.mark.parametrize("layout", [pytest.param("padded", marks=pytest.mark.slow), "packed"])
def test_training_is_the_same_dropout_included(layout):
    losses, variables = trained(layout, again=False)
    losses_again, variables_again = trained(layout, again=True)
    assert losses_again == pytest.approx(losses, rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)
    for one, other in zip(variables, variables_again, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-4)


@pytest.mark.slow
def test_it_keeps_one_block_of_four():
    script = """
import re, sys, numpy as np, keras_bert_zoo as kbz
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.rematerialization import rematerialize
head = kbz.heads.Classification(["bad", "good"])
model = head.attach(kbz.build_encoder(BertConfig(500, 32, 4, 4, 128)))
model = rematerialize(model) if sys.argv[1] == "again" else model
model.compile(kbz.adamw(1e-5, steps=9), head.loss())
def step(rows, length):
    ids = np.ones((rows, length), "int32")
    model.train_on_batch({"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids}, ids[:, 0])
def resident(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
step(2, 8), step(3, 9)
before = resident("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
step(64, 128)
print(resident("VmHWM") - before)
"""

    def kept(how):
        done = subprocess.run(
            [sys.executable, "-c", script, how],
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},  # freed blocks go back to the system at once
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout.splitlines()[-1])

    assert kept("again") < 0.6 * kept("plain")


def test_weights_are_shared_and_it_is_saved(tmp_path):
    encoder = kbz.build_encoder(CONFIG)
    again = rematerialize(encoder)
    assert [v.path for v in again.variables] == [v.path for v in encoder.variables]
    again.save(tmp_path / "e.keras")
    loaded = keras.saving.load_model(tmp_path / "e.keras")
    want = encoder.predict(inputs(), verbose=0)["sequence_output"]
    np.testing.assert_allclose(loaded.predict(inputs(), verbose=0)["sequence_output"], want, atol=1e-6)


def test_what_cannot_be_rematerialized(monkeypatch):
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="plain")
    with pytest.raises(ConfigError, match="Model 'plain' has no blocks to rematerialise"):
        rematerialize(plain)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="rematerialize works on TensorFlow; the backend is jax"):
        rematerialize(plain)
