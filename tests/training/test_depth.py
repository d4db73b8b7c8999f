"""Layer-wise learning-rate decay and frozen layers, against Keras's AdamW with one optimizer a layer."""

import keras
import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import serving_copy
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.depth import frozen, layer_scales
from keras_bert_zoo.training.fit import Settings, fit
from keras_bert_zoo.training.lamb import Lamb
from keras_bert_zoo.training.optimizer import AdamW

HEAD = kbz.heads.Classification(["bad", "good"], dropout=0.0)
# Of three blocks: the last one decays once, the embeddings four times.
STEPS = {"embeddings": 4, "block_0": 3, "block_1": 2, "block_2": 1, "pooler": 0, "head_logits": 0}


def _layer(variable):
    return variable.path.split("/")[0]


def test_scales_go_down_layer_by_layer():
    paths = ["embeddings/token/embeddings", "block_10/inner/kernel", "block_0/inner/kernel", "head_logits/bias"]
    assert layer_scales(paths, 0.5) == [0.5**12, 0.5, 0.5**11, 1]
    assert layer_scales(paths, 1.0) == [1, 1, 1, 1]
    assert layer_scales(["dense/kernel"], 0.5) == [1]
    variables = tiny.bundle(HEAD).model.trainable_variables
    found = {
        _layer(v): scale for v, scale in zip(variables, layer_scales([v.path for v in variables], 0.7), strict=True)
    }
    assert found == pytest.approx({layer: 0.7**steps for layer, steps in STEPS.items()})


@pytest.mark.parametrize("kind", [AdamW, Lamb])
def test_each_layer_trains_at_its_own_rate(kind):
    ours, theirs = tiny.bundle(HEAD).model, tiny.bundle(HEAD).model
    common = {"weight_decay": 0.3, "epsilon": 1e-6}
    optimizer = kind(0.02, layer_decay=0.6, **common)
    # The oracle: one optimizer for each layer.  LAMB has no other than itself here.
    reference = keras.optimizers.AdamW if kind is AdamW else Lamb
    each = {layer: reference(0.02 * 0.6**steps, **common) for layer, steps in STEPS.items()}
    if kind is AdamW:
        for one in each.values():
            one.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    groups = {layer: [v for v in theirs.trainable_variables if _layer(v) == layer] for layer in STEPS}
    random = np.random.default_rng(1)
    for _ in range(3):
        draws = {v.path: random.normal(size=v.shape).astype("float32") for v in ours.trainable_variables}
        optimizer.apply(
            [keras.ops.convert_to_tensor(draws[v.path]) for v in ours.trainable_variables], ours.trainable_variables
        )
        for layer, group in groups.items():
            each[layer].apply([keras.ops.convert_to_tensor(draws[v.path]) for v in group], group)
    for mine, other in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-6, err_msg=mine.path)


def test_it_is_saved_with_the_optimizer_and_refused_out_of_range():
    made = kbz.adamw(1e-3, steps=5, layer_decay=0.8)
    assert keras.optimizers.deserialize(keras.optimizers.serialize(made)).layer_decay == 0.8
    for wrong in (0, 1.1):
        with pytest.raises(ConfigError, match=f"layer_decay is {wrong}, it must be above 0 and at most 1"):
            kbz.adamw(1e-3, steps=5, layer_decay=wrong)
    with pytest.raises(ConfigError, match="layer_decay is 2"):
        Settings(layer_decay=2)


def test_frozen_layers_stay_and_the_others_learn():
    bundle = tiny.bundle(HEAD)
    before = {v.path: v.numpy() for v in bundle.model.trainable_variables}
    settings = Settings(epochs=1, batch_size=7, length=9, learning_rate=1e-2, freeze_layers=2, layout="padded")
    fit(bundle.model, HEAD, bundle.tokenizer, tiny.mood_table(), None, settings, verbose=0)
    assert all(layer.trainable for layer in bundle.model.layers)
    for variable in bundle.model.trainable_variables:
        moved = np.abs(variable.numpy() - before[variable.path]).max() > 0
        assert moved == (_layer(variable) in ("block_2", "pooler", "head_logits")), variable.path
    kept = len([path for path in before if path.startswith(("block_2", "pooler", "head_logits"))])
    assert len(bundle.model.optimizer.variables) == 1 + 2 * kept  # the count, and two moments a weight


def test_a_model_with_frozen_layers_is_served_whole():
    model = tiny.bundle(HEAD).model
    ids = np.arange(5, 26, dtype="int32").reshape(3, 7)
    inputs = {"input_word_ids": ids, "input_mask": np.ones_like(ids), "input_type_ids": np.zeros_like(ids)}
    want = model(inputs)
    with frozen(model, 2):
        assert not model.get_layer("block_1").trainable
        np.testing.assert_allclose(serving_copy(model, "float32")(inputs), want, atol=1e-5)


def test_what_cannot_be_frozen():
    model = tiny.bundle(HEAD).model
    with (
        pytest.raises(ConfigError, match="freeze_layers is 4, it must be from 0 to the model's 3 blocks"),
        frozen(model, 4),
    ):
        pass
    with pytest.raises(ConfigError, match="freeze_layers is -1, it must be 0 or more"):
        Settings(freeze_layers=-1)
    with pytest.raises(ConfigError, match="steps_per_execution is 0, it must be at least 1"):
        Settings(steps_per_execution=0)
    with frozen(model, 0):
        assert all(layer.trainable for layer in model.layers)
