"""What all weight formats share: how a folder's format is found, and what happens to a config it cannot say."""

import dataclasses

import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo import bundle as bundles
from keras_bert_zoo import weights
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.weights.formats import Weights, expressed, expressed_head
from keras_bert_zoo.weights.transfer import common_dtype

KNOWN = {"hidden_act": ("gelu_tanh", "relu"), "layer_norm_eps": (1e-12,), "pooler": (True,)}


def test_a_folder_is_of_the_format_its_files_say(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert weights.find(tmp_path) == "huggingface"
    (tmp_path / "config.json").write_text('{"registered_name": "somebody>Else"}')
    with pytest.raises(CheckpointError, match=r"is of no weight format known here \(huggingface.*format="):
        weights.find(tmp_path)
    (tmp_path / "config.json").write_text('{"registered_name": "keras_hub>BertBackbone"}')
    assert weights.find(tmp_path) == "keras_hub"
    with pytest.raises(CheckpointError, match="absent: there is no such folder"):
        weights.find(tmp_path / "absent")


def test_a_folder_of_two_formats(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(weights.FORMATS, "twin", weights.FORMATS["huggingface"])
    with pytest.raises(CheckpointError, match="is of several weight formats: huggingface, twin"):
        weights.find(tmp_path)


def test_an_unknown_format():
    with pytest.raises(ConfigError, match=r"no weight format 'stone'. There are: huggingface"):
        weights.named("stone")
    with pytest.raises(ConfigError, match="no weight format 'stone'"):
        kbz.load(".", format="stone")


def test_a_config_that_a_format_can_say_stays():
    config = dataclasses.replace(tiny.CONFIG, hidden_act="relu", layer_norm_eps=1e-12, pooler=True)
    assert expressed(config, KNOWN, format="stone", allow=()) == (config, ())


def test_a_config_that_a_format_cannot_say_changes_only_where_it_may():
    config = BertConfig(hidden_act="gelu_erf", layer_norm_eps=1e-5)
    with pytest.raises(ConfigError) as told:
        expressed(config, KNOWN, format="stone", allow=["hidden_act"])
    assert str(told.value) == (
        "The format 'stone' has no word for layer_norm_eps 1e-05 (only 1e-12). The answers would change: allow it with"
        " allow=['layer_norm_eps'] (--allow-change layer_norm_eps)."
    )
    changed, changes = expressed(config, KNOWN, format="stone", allow=["hidden_act", "layer_norm_eps"])
    assert changed == config.replace(hidden_act="gelu_tanh", layer_norm_eps=1e-12)
    assert changes == ("hidden_act 'gelu_erf' -> 'gelu_tanh'", "layer_norm_eps 1e-05 -> 1e-12")


def test_how_a_head_computes_changes_only_where_it_may():
    config = BertConfig(hidden_act="gelu_tanh")
    known = {"layer_norm_eps": 1e-5}
    plain = kbz.heads.MaskedLM()
    assert expressed_head(plain, config, {}, format="stone", allow=()) == (
        {"hidden_act": None, "layer_norm_eps": None},
        (),
    )
    with pytest.raises(ConfigError) as told:
        expressed_head(plain, config, known, format="stone", allow=())
    assert str(told.value) == (
        "The format 'stone' has no word for head_layer_norm_eps 1e-12 (only 1e-05) in the head 'masked_lm'. The answers"
        " would change: allow it with allow=['head_layer_norm_eps'] (--allow-change head_layer_norm_eps)."
    )
    assert expressed_head(plain, config, known, format="stone", allow=["head_layer_norm_eps"]) == (
        {"hidden_act": None, "layer_norm_eps": 1e-5},
        ("head_layer_norm_eps 1e-12 -> 1e-05",),
    )
    assert expressed_head(kbz.heads.Regression(), config, known, format="stone", allow=()) == ({}, ())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"hidden_act": "gelu"}, "MaskedLM: hidden_act is 'gelu', it must be one of gelu_erf, gelu_tanh"),
        ({"layer_norm_eps": 0}, "MaskedLM: layer_norm_eps is 0, it must be a number above 0"),
        ({"layer_norm_eps": True}, "MaskedLM: layer_norm_eps is True, it must be a number above 0"),
        ({"layer_norm_eps": "1"}, "MaskedLM: layer_norm_eps is '1', it must be a number above 0"),
    ],
)
def test_a_head_that_cannot_compute(arguments, told):
    with pytest.raises(ConfigError, match=told):
        kbz.heads.MaskedLM(**arguments)


def test_the_widest_of_some_dtypes():
    assert common_dtype(["bfloat16", "bfloat16"]) == "bfloat16"
    assert common_dtype(["float16", "bfloat16"]) == common_dtype(["float16", "float32"]) == "float32"
    assert common_dtype(["float64", "float16"]) == "float64"


def test_weights_of_a_task_model_and_the_rest_of_its_encoder():
    encoder = kbz.build_encoder(tiny.CONFIG)
    model = kbz.heads.TokenClassification(labels=["O", "B-x", "I-x"]).attach(encoder)  # it reads no pooler
    paths = [weight.path for weight in Weights(encoder, model).weights]
    assert len(paths) == len(set(paths))
    assert set(paths) == {weight.path for part in (encoder, model) for weight in part.weights}
    assert {"pooler/kernel", "head_logits/kernel"} <= set(paths)


@pytest.mark.parametrize("head", [None, "masked_lm", "next_sentence", "pretraining"])
def test_from_format_to_format_and_back_to_the_bit(tmp_path, head):
    made = kbz.heads.make(head, {}) if head else None
    bundle = first = tiny.bundle(made, config=tiny.CONFIG.replace(hidden_act="gelu_tanh"))
    # Hugging Face's class of masked words has no pooler, Model Garden's encoder always has one
    third = "tf1" if head == "masked_lm" else "huggingface"
    for i, format in enumerate(["tf1", "model_garden", third, "model_garden", "tf1"]):
        folder = tmp_path / f"{i}"
        folder.mkdir()
        bundles.write(bundle, folder, format=format)
        assert weights.find(folder) == format
        bundle = kbz.load(folder)
    assert (bundle.head and bundle.head.name) == head
    assert bundle.config == first.config
    last, before = (Weights(it.encoder, it.model).weights for it in (bundle, first))
    for ours, theirs in zip(last, before, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.value, theirs.value)
