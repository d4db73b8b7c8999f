"""BertConfig: checked at birth, and in and out of the two JSON files."""

import dataclasses

import pytest

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError

MINILM = {
    "_name_or_path": "nreimers/MiniLM-L6-H384-uncased",
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 384,
    "initializer_range": 0.02,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 6,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "transformers_version": "4.8.2",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 30522,
}


def test_the_defaults_are_bert_base():
    assert BertConfig() == BertConfig(
        30522, 768, 12, 12, 3072, "gelu_erf", 0.1, 0.1, 512, 2, 0.02, 1e-12, pad_token_id=0, pooler=True
    )
    assert BertConfig().head_size == 64


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BertConfig().hidden_size = 5


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"vocab_size": 0}, ["vocab_size is 0", "whole number of at least 1"]),
        ({"hidden_size": 12.0}, ["hidden_size is 12.0"]),
        ({"num_hidden_layers": True}, ["num_hidden_layers is True"]),
        ({"type_vocab_size": -1}, ["type_vocab_size is -1"]),
        ({"max_position_embeddings": "512"}, ["max_position_embeddings is '512'"]),
        ({"hidden_dropout_prob": 1}, ["hidden_dropout_prob is 1", "from 0 up to"]),
        ({"attention_probs_dropout_prob": -0.1}, ["attention_probs_dropout_prob is -0.1"]),
        ({"attention_probs_dropout_prob": None}, ["attention_probs_dropout_prob is None"]),
        ({"initializer_range": 0}, ["initializer_range is 0", "above 0"]),
        ({"layer_norm_eps": float("nan")}, ["layer_norm_eps is nan"]),
        ({"pad_token_id": None}, ["pad_token_id is None", "whole number"]),
        ({"pooler": 1}, ["pooler is 1", "true or false"]),
        ({"hidden_act": "gelu"}, ["'gelu'", "Say gelu_erf (Hugging Face's gelu) or gelu_tanh (Google's)"]),
        ({"hidden_act": "swiglu"}, ["'swiglu'", "one of gelu_erf, gelu_tanh, relu"]),
        ({"hidden_size": 770}, ["hidden_size 770", "num_attention_heads 12"]),
    ],
)
def test_a_value_that_makes_no_model_is_refused(changes, facts):
    with pytest.raises(ConfigError) as caught:
        BertConfig(**changes)
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_its_own_dict_goes_round():
    config = BertConfig(hidden_act="silu", layer_norm_eps=1e-5, pooler=False, type_vocab_size=3)
    assert BertConfig.from_dict(config.to_dict()) == config
    assert config.replace(pooler=True, vocab_size=7) == dataclasses.replace(config, pooler=True, vocab_size=7)
    with pytest.raises(ConfigError, match=r"BertConfig: unknown keys hiden_size, layers\. Nothing is ignored silently"):
        BertConfig.from_dict({"hiden_size": 3, "layers": 2})


def test_a_published_hugging_face_file():
    config = BertConfig.from_huggingface(MINILM, pooler=False)
    assert config == BertConfig(30522, 384, 6, 12, 1536, pooler=False)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu", "gelu_erf"), ("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh"), ("swish", "silu")],
)
def test_the_words_of_hugging_face(theirs, ours):
    assert BertConfig.from_huggingface({**MINILM, "hidden_act": theirs}).hidden_act == ours


@pytest.mark.parametrize(
    "config",
    [BertConfig(hidden_act=act) for act in ("gelu_erf", "gelu_tanh", "relu", "silu", "tanh", "linear")]
    + [BertConfig(97, 12, 3, 4, 37, "relu", 0.2, 0.3, 23, 5, 0.05, 1e-6, pad_token_id=9)],
)
def test_hugging_face_json_goes_round(config):
    written = config.to_huggingface()
    assert BertConfig.from_huggingface(written) == config
    assert written["model_type"] == "bert"
    assert "pooler" not in written


def test_the_words_that_are_written_are_the_usual_ones():
    assert BertConfig().to_huggingface()["hidden_act"] == "gelu"
    assert BertConfig(hidden_act="gelu_tanh").to_huggingface()["hidden_act"] == "gelu_new"
    assert BertConfig(hidden_act="silu").to_huggingface()["hidden_act"] == "silu"


def test_a_pad_token_that_is_null_is_the_default():
    assert BertConfig.from_huggingface({**MINILM, "pad_token_id": None}).pad_token_id == 0


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"model_type": "roberta"}, ["f/config.json", "model_type is 'roberta'", "only 'bert'"]),
        ({"is_decoder": True}, ["f/config.json", "is_decoder is True", "False only"]),
        ({"position_embedding_type": "relative_key"}, ["'relative_key'", "'absolute' only"]),
        ({"pruned_heads": {"0": [1]}}, ["pruned_heads is {'0': [1]}"]),
        ({"embedding_size": 128}, ["f/config.json: unknown key embedding_size."]),
        ({"hidden_act": "quick_gelu"}, ["f/config.json", "'quick_gelu'", "gelu_new"]),
        ({"num_attention_heads": 7}, ["f/config.json: BertConfig: hidden_size 384", "num_attention_heads 7"]),
    ],
)
def test_a_hugging_face_file_that_is_no_plain_bert_is_refused(changes, facts):
    with pytest.raises(ConfigError) as caught:
        BertConfig.from_huggingface({**MINILM, **changes}, "f/config.json")
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_google_json():
    published = {  # uncased_L-2_H-128_A-2/bert_config.json
        "hidden_size": 128,
        "hidden_act": "gelu",
        "initializer_range": 0.02,
        "vocab_size": 30522,
        "hidden_dropout_prob": 0.1,
        "num_attention_heads": 2,
        "type_vocab_size": 2,
        "max_position_embeddings": 512,
        "num_hidden_layers": 2,
        "intermediate_size": 512,
        "attention_probs_dropout_prob": 0.1,
    }
    config = BertConfig.from_google(published)
    assert config == BertConfig(30522, 128, 2, 2, 512, "gelu_tanh")
    assert config.to_google() == published
    with pytest.raises(ConfigError, match=r"bert_config\.json: unknown key layer_norm_eps"):
        BertConfig.from_google({**published, "layer_norm_eps": 1e-12})
    with pytest.raises(ConfigError, match=r"hidden_act is 'silu', it must be one of gelu, relu, tanh, linear"):
        BertConfig.from_google({**published, "hidden_act": "silu"})


def test_what_google_json_cannot_say():
    with pytest.raises(ConfigError, match=r"hidden_act 'gelu_erf' cannot be said in bert_config\.json"):
        BertConfig().to_google()
    with pytest.raises(ConfigError, match=r"layer_norm_eps 1e-05 cannot be said .*1e-12 only"):
        BertConfig(hidden_act="relu", layer_norm_eps=1e-5).to_google()
