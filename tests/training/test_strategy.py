"""Strategies: two logical devices train as one does, the norm that gradients are clipped by included."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError


def test_mirrored_training_equals_one_device():
    script = Path(__file__).with_name("mirrored.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["apart"] <= 2e-6
    assert told["packed_apart"] <= 2e-6
    assert set(told["one"]) == {"loss", "accuracy", "f1", "f1_macro", "mcc"}
    for name, values in told["one"].items():
        assert told["two"][name] == pytest.approx(values, abs=1e-5), name
        assert told["packed"][name] == pytest.approx(values, abs=1e-5), name
    assert told["one"]["loss"][1] < told["one"]["loss"][0]


def test_names():
    assert kbz.strategy().num_replicas_in_sync == 1
    with pytest.raises(ConfigError, match="strategy is 'cloud', it must be one of default, mirrored"):
        kbz.strategy("cloud")
