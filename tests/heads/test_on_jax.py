"""Every head, saved here, gives the same numbers and the same loss in a process that runs JAX, and learns there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from every_head import MADE, ROWS, features, targets

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import with_layout
from keras_bert_zoo.heads import HEADS

SCRIPT = """
import json, sys
import keras, numpy as np
from keras_bert_zoo import heads
from keras_bert_zoo.config import BertConfig
assert keras.backend.backend() == "jax"
folder, made = sys.argv[1], json.loads(sys.argv[2])
told = {}
for name, arguments in made.items():
    head = heads.make(name.split()[0], arguments)
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    given = dict(np.load(f"{folder}/{name} given.npz"))
    x = {name: given[name] for name in model.input}
    found = model(x)
    several = isinstance(found, dict)
    found = {key: np.asarray(value) for key, value in (found if several else {"": found}).items()}
    np.savez(f"{folder}/{name} found.npz", **{f"logits{key}": value for key, value in found.items()})
    losses = head.loss() if several else {"": head.loss()}
    told[name] = {key: float(np.mean(losses[key](given[f"target{key}"], found[key]))) for key in found}
    if name in ("pretraining sequences", "pretraining", "question_answering", "token_classification"):
        model.compile(keras.optimizers.SGD(1e-2), head.loss(), metrics=head.metrics())
        y = {key: given[f"target{key}"] for key in found} if several else given["target"]
        fits = [model.fit(x, y, batch_size=5, verbose=0, shuffle=False).history["loss"][0] for _ in range(3)]
        assert fits[2] < fits[0], (name, fits)
json.dump(told, open(f"{folder}/losses.json", "w"))
"""


def test_the_same_numbers(tmp_path):
    pytest.importorskip("jax", reason="JAX comes with the extra [jax]")
    assert {name.split()[0] for name in MADE} == set(HEADS)
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    random = np.random.default_rng(9)
    want, losses, there = {}, {}, {}
    for name, arguments in MADE.items():
        head = kbz.heads.make(name.split()[0], arguments)
        model = tiny.bundle(head, config=config).model
        model = with_layout(model, "padded", sequences=2) if name.endswith(" sequences") else model
        model.save(tmp_path / f"{name}.keras")
        x = features(model, random)
        sequences = model.get_layer("grid").sequences
        y = targets(head.name, x, random, sequences)
        np.savez(tmp_path / f"{name} given.npz", **x, **{f"target{key}": value for key, value in y.items()})
        found = model(x)
        want[name] = found if isinstance(found, dict) else {"": found}
        loss = head.loss() if isinstance(found, dict) else {"": head.loss()}
        losses[name] = {key: float(np.mean(loss[key](y[key], want[name][key]))) for key in y}
        there[name] = x["input_mask"].any(-1)  # of a row without a token only the choices say something
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = str(Path(kbz.__file__).parents[1])
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(MADE)], check=True, env=environment)
    for name, outputs in want.items():
        found = np.load(tmp_path / f"{name} found.npz")
        for key, values in outputs.items():
            got = found[f"logits{key}"]
            np.testing.assert_allclose(got[there[name]], values.numpy()[there[name]], atol=2e-5, err_msg=name)
    assert want["multiple_choice"][""].numpy()[2, 1] < -9e8
    assert want["pretraining sequences"]["next_sentence"].shape == (ROWS, 2, 2)
    told = json.loads((tmp_path / "losses.json").read_text())
    for name, parts in losses.items():
        assert told[name] == pytest.approx(parts, rel=1e-4), name
