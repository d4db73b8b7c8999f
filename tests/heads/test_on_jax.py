"""Every head, saved here, gives the same numbers and the same loss in a process that runs JAX, and learns there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from sizes import VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import with_layout
from keras_bert_zoo.heads import HEADS

ROWS, TIME, CHOICES, PLACES = 5, 7, 3, 4
MADE = {
    "classification": {"labels": ["bad", "good", "neither"]},
    "multi_label": {"labels": ["plot", "actors"]},
    "regression": {},
    "masked_lm": {},
    "next_sentence": {},
    "pretraining": {},
    "pretraining sequences": {},
    "question_answering": {},
    "multiple_choice": {},
    "sentence_embedding": {"pooling": "mean", "loss": "similarity"},
    "sentence_embedding cls": {"pooling": "cls", "loss": "similarity"},
    "sentence_embedding max": {"pooling": "max", "loss": "similarity"},
    "token_classification": {"labels": ["O", "B-X", "I-X", "B-Y"]},
}
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


def features(model, random):
    """Rows of 2 to 7 tokens, or three of them an example; a row of a choice may have none, others two sequences."""
    shape = (ROWS, CHOICES, TIME) if len(model.input["input_mask"].shape) == 3 else (ROWS, TIME)
    mask = (np.arange(TIME) < random.integers(2, TIME + 1, (*shape[:-1], 1))).astype("int32")
    if len(shape) == 3:
        mask[2, 1] = 0  # no choice
    elif model.get_layer("grid").sequences > 1:
        mask[1:, 1:] *= 2
    made = {
        "input_word_ids": random.integers(5, VOCAB, shape),
        "input_mask": mask,
        "input_type_ids": random.integers(0, 2, shape),
        "masked_lm_positions": random.integers(0, 2, (ROWS, PLACES)),
    }
    return {name: made[name].astype("int32") for name in model.input}


def targets(name, x, random, sequences):
    real = x["input_mask"]
    masked = np.stack([random.integers(0, VOCAB, (ROWS, PLACES)), random.integers(0, 2, (ROWS, PLACES))], axis=-1)
    return {
        "classification": {"": np.array([0, 2, 1, 1, 0])},
        "multi_label": {"": np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]], "float32")},
        "regression": {"": np.array([[0.5], [-1], [2], [0], [1]], "float32")},
        "masked_lm": {"": masked.astype("float32")},
        "next_sentence": {"": np.array([0, 1, 1, 0, 1])},
        "pretraining": {
            "masked_lm": masked.astype("float32"),
            "next_sentence": np.array([1, 0, 1, 1, 0] if sequences == 1 else [[0, -1], [1, 0], [1, 1], [0, 0], [1, 0]]),
        },
        "question_answering": {"": np.array([[0, 1], [1, 1], [0, 0], [1, 1], [0, 1]])},
        "multiple_choice": {"": np.array([0, 2, 0, 1, 1])},
        "sentence_embedding": {"": np.array([0.5, 1, 0, 0.25, 0.75], "float32")},
        "token_classification": {"": np.where(real, random.integers(-1, 4, real.shape), -1)},
    }[name]


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
