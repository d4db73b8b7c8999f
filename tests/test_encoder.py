"""The encoder against Model Garden, against a second BERT in NumPy, and as a saved model."""

import os
import subprocess
import sys
from pathlib import Path

import bert_oracle
import keras
import numpy as np
import pytest
import tensorflow as tf
from sizes import BATCH, HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TIME, TYPES, VOCAB

from keras_bert_zoo import layers
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.encoder import build_encoder, encoder_config
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.weights.huggingface import import_weights

CONFIG = BertConfig(
    vocab_size=VOCAB,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=POSITIONS,
    type_vocab_size=TYPES,
)


def randomise(model, seed=3):
    """Give every weight its own size and sign, so that a part that is left out or swapped shows."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.normal(0, 0.3, variable.shape) + variable.path.endswith("gamma"))
    return model


def plain(outputs):
    return {
        name: [np.asarray(x, np.float32) for x in value] if isinstance(value, list) else np.asarray(value, np.float32)
        for name, value in outputs.items()
    }


@pytest.fixture(scope="module")
def encoder():
    return randomise(build_encoder(CONFIG))


@pytest.fixture(scope="module")
def features():
    return bert_oracle.inputs()


@pytest.fixture(scope="module")
def outputs(encoder, features):
    return plain(encoder(features))


def test_the_names_are_the_contract(encoder):
    assert encoder.name == "bert"
    inputs = {name: (tuple(x.shape), x.dtype) for name, x in encoder.input.items()}
    assert inputs == dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), ((None, None), "int32"))
    assert set(encoder.output) == {"sequence_output", "pooled_output", "encoder_outputs"}
    assert {v.path.replace("block_1", "block_0").replace("block_2", "block_0") for v in encoder.weights} == {
        *(f"embeddings/{name}/embeddings" for name in ("token", "position", "segment")),
        *(f"embeddings/norm/{name}" for name in ("gamma", "beta")),
        *(f"block_0/attention/{d}/{k}" for d in ("query", "key", "value", "output") for k in ("kernel", "bias")),
        *(f"block_0/{d}/{k}" for d in ("inner", "outer") for k in ("kernel", "bias")),
        *(f"block_0/{d}/{k}" for d in ("attention_norm", "output_norm") for k in ("gamma", "beta")),
        *(f"pooler/{k}" for k in ("kernel", "bias")),
    }
    assert len(encoder.weights) == 5 + LAYERS * 16 + 2


@pytest.mark.parametrize(("ours", "approximate"), [("gelu_erf", False), ("gelu_tanh", True)])
def test_against_model_garden(ours, approximate, features):
    networks = pytest.importorskip(
        "official.nlp.modeling.networks", reason="Model Garden comes with the extra [garden]", exc_type=ImportError
    )
    garden = networks.BertEncoderV2(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_layers=LAYERS,
        num_attention_heads=HEADS,
        max_sequence_length=POSITIONS,
        type_vocab_size=TYPES,
        inner_dim=INNER,
        inner_activation=lambda x: tf.nn.gelu(x, approximate=approximate),
    )
    garden(features)
    encoder = randomise(build_encoder(CONFIG.replace(hidden_act=ours)))
    weights = {variable.path: variable.numpy() for variable in encoder.weights}
    copied = set()

    def take(path):
        copied.add(path)
        return weights[path]

    def dense(variable_pair, path):
        for variable, part in zip(variable_pair, ("kernel", "bias"), strict=True):
            variable.assign(take(f"{path}/{part}").reshape(variable.shape))

    def norm(layer, path):
        layer.gamma.assign(take(f"{path}/gamma"))
        layer.beta.assign(take(f"{path}/beta"))

    garden.get_embedding_table().assign(take("embeddings/token/embeddings"))
    garden._position_embedding_layer.weights[0].assign(take("embeddings/position/embeddings"))
    garden._type_embedding_layer.embeddings.assign(take("embeddings/segment/embeddings"))
    norm(garden._embedding_norm_layer, "embeddings/norm")
    for i, block in enumerate(garden.transformer_layers):
        attention = block._attention_layer
        dense(attention._query_dense.weights, f"block_{i}/attention/query")
        dense(attention._key_dense.weights, f"block_{i}/attention/key")
        dense(attention._value_dense.weights, f"block_{i}/attention/value")
        dense(attention._output_dense.weights, f"block_{i}/attention/output")
        norm(block._attention_layer_norm, f"block_{i}/attention_norm")
        dense(block._intermediate_dense.weights, f"block_{i}/inner")
        dense(block._output_dense.weights, f"block_{i}/outer")
        norm(block._output_layer_norm, f"block_{i}/output_norm")
    dense(garden.pooler_layer.weights, "pooler")
    assert copied == set(weights)
    assert bert_oracle.difference(plain(encoder(features)), plain(garden(features)), features["input_mask"]) <= 1e-5


@pytest.mark.parametrize(
    ("changes", "pooler"),
    [
        ({}, True),
        ({"hidden_act": "gelu_new", "layer_norm_eps": 1e-3}, True),
        ({"hidden_act": "relu", "type_vocab_size": 5}, True),
        ({"hidden_act": "silu", "layer_norm_eps": 0.5}, False),
        ({"hidden_act": "tanh", "type_vocab_size": 1}, True),
        ({"hidden_act": "linear", "num_attention_heads": 1, "num_hidden_layers": 2}, False),
    ],
)
def test_against_numpy(changes, pooler, tmp_path):
    values = {**bert_oracle.CONFIG, **changes}
    weights = bert_oracle.tensors(values, pooler=pooler)
    config = BertConfig.from_huggingface(values, pooler=pooler)
    encoder = build_encoder(config)
    import_weights(encoder, bert_oracle.write_folder(tmp_path, values, weights))
    features = bert_oracle.inputs(values["type_vocab_size"])
    ours, theirs = plain(encoder(features)), bert_oracle.bert(values, weights, features)
    assert bert_oracle.difference(ours, theirs, features["input_mask"]) <= 1e-5
    assert encoder_config(encoder) == config


@pytest.mark.parametrize("padding", [0, 1, 9])
def test_padding_never_changes_a_real_token(encoder, outputs, features, padding):
    mask = np.pad(features["input_mask"], ((0, 0), (0, padding)))
    noise = np.random.default_rng(7).integers(1, 2, mask.shape)  # every padded place gets another word and segment
    changed = {
        "input_word_ids": np.where(
            mask, np.pad(features["input_word_ids"], ((0, 0), (0, padding))), VOCAB - 1 - noise
        ).astype(np.int32),
        "input_mask": mask,
        "input_type_ids": np.where(mask, np.pad(features["input_type_ids"], ((0, 0), (0, padding))), noise).astype(
            np.int32
        ),
    }
    assert padding or (changed["input_word_ids"] != features["input_word_ids"]).any()
    after = plain(encoder(changed))
    for name in ("sequence_output", "encoder_outputs"):
        after[name] = [x[:, :TIME] for x in after[name]] if isinstance(after[name], list) else after[name][:, :TIME]
    assert bert_oracle.difference(after, outputs, features["input_mask"]) <= 1e-6


def test_rows_do_not_see_one_another(encoder, outputs, features):
    one = plain(encoder({name: value[2:3] for name, value in features.items()}))
    length = bert_oracle.LENGTHS[2]
    np.testing.assert_allclose(one["sequence_output"][0, :length], outputs["sequence_output"][2, :length], atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "compute", "stored", "bound"),
    [
        ("mixed_bfloat16", "bfloat16", "float32", 0.1),  # 8 bits of mantissa, values up to 4
        ("mixed_float16", "float16", "float32", 0.015),
        ("bfloat16", "bfloat16", "bfloat16", 0.1),
        ("float16", "float16", "float16", 0.015),
    ],
)
def test_half_precision_stays_near(encoder, outputs, features, dtype, compute, stored, bound):
    half = build_encoder(CONFIG, dtype=dtype)
    for variable, exact in zip(half.weights, encoder.weights, strict=True):
        assert variable.dtype == stored
        variable.assign(exact.value)
    found = half(features)
    assert {found["sequence_output"].dtype.name, found["pooled_output"].dtype.name} == {compute}
    assert 0 < bert_oracle.difference(plain(found), outputs, features["input_mask"]) <= bound


def test_gradients_reach_every_weight(encoder, features):
    rng = np.random.default_rng(11)
    weights = tf.constant(rng.normal(size=(BATCH, TIME, HIDDEN)), tf.float32)
    with tf.GradientTape() as tape:
        found = encoder(features, training=False)
        mask = tf.cast(features["input_mask"], tf.float32)[..., None]
        loss = tf.reduce_sum(found["sequence_output"] * weights * mask)
        loss += tf.reduce_sum(found["pooled_output"] * weights[:, 0])
    assert [v.path for v in encoder.trainable_variables] == [v.path for v in encoder.weights]
    gradients = tape.gradient(loss, [v.value for v in encoder.trainable_variables])
    size = {
        v.path: float(tf.reduce_max(tf.abs(tf.convert_to_tensor(g)))) if g is not None else None
        for v, g in zip(encoder.trainable_variables, gradients, strict=True)
    }
    # Softmax does not see what is added to a whole row of scores, so the key's bias has no effect at all.
    keys = {path for path in size if path.endswith("key/bias")}
    assert len(keys) == LAYERS
    assert None not in size.values()
    assert max(size[path] for path in keys) < 1e-4
    assert min(size[path] for path in set(size) - keys) > 1e-3


def test_every_segment_learns(encoder, features):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(features)["sequence_output"] ** 3)
    table = next(v for v in encoder.weights if v.path == "embeddings/segment/embeddings")
    gradient = tf.convert_to_tensor(tape.gradient(loss, table.value))
    assert float(tf.reduce_min(tf.reduce_max(tf.abs(gradient), axis=1))) > 1e-3


def test_dropout_is_for_training_only(encoder, features):
    first, second = (plain(encoder(features))["sequence_output"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(plain(encoder(features, training=False))["sequence_output"], first)
    trained = [plain(encoder(features, training=True))["sequence_output"] for _ in range(2)]
    assert np.abs(trained[0] - first).max() > 0.1
    assert np.abs(trained[0] - trained[1]).max() > 0.1
    still = randomise(build_encoder(CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)))
    np.testing.assert_array_equal(plain(still(features, training=True))["sequence_output"], first)


def test_rows_longer_than_the_positions_are_refused(encoder):
    row = np.ones((2, POSITIONS + 1), np.int32)
    with pytest.raises(DataError, match=r"Rows of 24 tokens do not fit a model with 23 positions.*max_length"):
        encoder({"input_word_ids": row, "input_mask": row, "input_type_ids": row})
    encoder(dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), row[:, 1:]))


def test_what_is_no_encoder_is_refused():
    x = keras.Input((3,))
    with pytest.raises(ConfigError, match=r"Model 'stranger' is no BERT encoder: make one with build_encoder"):
        encoder_config(keras.Model(x, keras.layers.Dense(2, name="embeddings")(x), name="stranger"))
    with pytest.raises(ConfigError, match=r"layout is 'diagonal', it must be one of padded"):
        build_encoder(CONFIG, layout="diagonal")


def test_its_config_can_be_read_back():
    config = CONFIG.replace(hidden_act="relu", layer_norm_eps=1e-5, hidden_dropout_prob=0.3, initializer_range=0.07)
    config = config.replace(attention_probs_dropout_prob=0.4, pooler=False)
    assert encoder_config(build_encoder(config)) == config


def test_new_weights_have_the_configured_spread():
    encoder = build_encoder(CONFIG.replace(initializer_range=0.5, vocab_size=5_000))
    table = encoder.get_layer("embeddings").token.embeddings.numpy()
    assert table.std() == pytest.approx(0.5 * 0.88, rel=0.03)  # cut off at two deviations
    kernels = np.concatenate([v.numpy().ravel() for v in encoder.weights if v.path.endswith("kernel")])
    assert kernels.std() == pytest.approx(0.5 * 0.88, rel=0.05)


@pytest.fixture(scope="module")
def saved(encoder, features, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    encoder.save(folder / "encoder.keras")
    np.savez(folder / "inputs.npz", **features)
    return folder


def test_it_survives_saving(saved, outputs, features):
    again = keras.saving.load_model(saved / "encoder.keras")
    assert encoder_config(again) == CONFIG
    for name, value in plain(again(features)).items():
        np.testing.assert_array_equal(value, outputs[name])


FRESH = """
import sys
import keras, numpy as np
import keras_bert_zoo.layers
from keras_bert_zoo.encoder import build_encoder, encoder_config
from keras_bert_zoo.heads.classification import Classification
assert keras.backend.backend() == sys.argv[2]
features = dict(np.load(f"{sys.argv[1]}/inputs.npz"))
loaded = keras.saving.load_model(f"{sys.argv[1]}/encoder.keras")
built = build_encoder(encoder_config(loaded))
for ours, theirs in zip(built.weights, loaded.weights, strict=True):
    assert ours.path == theirs.path
    ours.assign(theirs.value)
for name, model in (("loaded", loaded), ("built", built)):
    found = model(features)
    blocks = {f"block_{i}": np.asarray(x) for i, x in enumerate(found.pop("encoder_outputs"))}
    task = Classification(labels=["a", "b", "c"]).attach(model)
    head = task.get_layer("head_logits")
    head.kernel.assign(np.linspace(-1, 1, head.kernel.shape[0] * 3).reshape(-1, 3))
    blocks["logits"] = np.asarray(task(features))
    np.savez(f"{sys.argv[1]}/{sys.argv[2]}_{name}.npz", **blocks, **{k: np.asarray(v) for k, v in found.items()})
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_gives_the_same(backend, saved, outputs, features):
    if backend == "jax":
        pytest.importorskip("jax", reason="JAX comes with the extra [jax]")
    root = Path(__file__).parents[1]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", FRESH, str(saved), backend], check=True, env=environment, timeout=900)
    for how in ("loaded", "built"):
        found = dict(np.load(saved / f"{backend}_{how}.npz"))
        found["encoder_outputs"] = [found.pop(f"block_{i}") for i in range(LAYERS)]
        logits = outputs["pooled_output"] @ np.linspace(-1, 1, HIDDEN * 3).reshape(HIDDEN, 3)
        np.testing.assert_allclose(found.pop("logits"), logits, atol=1e-5)
        assert bert_oracle.difference(found, outputs, features["input_mask"]) <= 1e-5


def test_the_layers_are_public():
    assert layers.__all__ == [
        "Block",
        "ChoiceLogits",
        "Embeddings",
        "Fold",
        "Grid",
        "MaskedLMBias",
        "MaskedLMTransform",
        "Norm",
        "Pooler",
        "RealTokensOnly",
        "SelfAttention",
        "SentencePooling",
        "ToGrid",
        "Unfold",
    ]
