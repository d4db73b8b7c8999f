"""Models with several texts an example, saved here, give the same numbers in a process that runs JAX."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz

SCRIPT = """
import sys
import keras, numpy as np
import keras_bert_zoo.heads.multiple_choice, keras_bert_zoo.heads.sentence_embedding
assert keras.backend.backend() == "jax"
inputs = dict(np.load(f"{sys.argv[1]}/inputs.npz"))
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras")
    np.save(f"{sys.argv[1]}/{name}.npy", np.asarray(model(inputs)))
"""
HEADS = {
    "choose": kbz.heads.MultipleChoice(),
    **{pooling: kbz.heads.SentenceEmbedding(pooling=pooling) for pooling in ("mean", "cls", "max")},
}


def test_the_same_numbers(tmp_path):
    pytest.importorskip("jax", reason="JAX comes with the extra [jax]")
    random = np.random.default_rng(9)
    mask = (np.arange(7) < random.integers(2, 8, (5, 3, 1))).astype("int32")
    mask[2, 1] = 0  # no choice
    inputs = {
        "input_word_ids": random.integers(5, 99, (5, 3, 7)).astype("int32"),
        "input_mask": mask,
        "input_type_ids": random.integers(0, 2, (5, 3, 7)).astype("int32"),
    }
    np.savez(tmp_path / "inputs.npz", **inputs)
    want = {}
    for name, head in HEADS.items():
        model = tiny.bundle(head).model
        model.save(tmp_path / f"{name}.keras")
        want[name] = model(inputs).numpy()
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), *HEADS], check=True, env=environment, timeout=900)
    for name, values in want.items():
        got = np.load(tmp_path / f"{name}.npy")
        there = mask.any(-1)  # of a row without a token only the choices say something
        np.testing.assert_allclose(got[there], values[there], atol=1e-5)
    assert want["choose"][2, 1] < -9e8
