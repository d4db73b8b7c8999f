"""Recipes: what makes a run, and what makes none."""

import dataclasses
import json

import keras
import pytest

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training import layouts, recipes
from keras_bert_zoo.training.recipes import Phase, Recipe


def test_a_file_is_a_recipe_and_back(tmp_path):
    told = {
        "phases": [
            {"data": "short", "steps": 900, "batch_size": 256},
            {"data": ["long/*.gz", "more"], "steps": 100, "batch_size": 64},
        ],
        "learning_rate": 2e-4,
        "validation": "held",
    }
    (tmp_path / "recipe.json").write_text(json.dumps(told))
    recipe = Recipe.from_file(tmp_path / "recipe.json")
    assert recipe.phases == (Phase("short", 900, 256), Phase(["long/*.gz", "more"], 100, 64))
    assert (recipe.steps, recipe.validation, recipe.schedule_numbers()) == (1000, ("held",), [(2e-4, 1000, 100)])
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()


def test_the_warmup_unless_given_and_as_given():
    assert Recipe([Phase("a", 1_000_000)]).schedule_numbers() == [(1e-4, 1_000_000, 10_000)]
    assert Recipe([Phase("a", 70)], warmup=0).schedule_numbers() == [(1e-4, 70, 0)]
    own = [Phase("a", 70, learning_rate=6e-3, warmup=20), Phase("b", 50, learning_rate=4e-3)]
    assert Recipe(own).schedule_numbers() == [(6e-3, 70, 20), (4e-3, 50, 5)]


def test_layouts_are_those_of_training():
    assert layouts.CHOICES == recipes.LAYOUTS
    for name in recipes.PRECISIONS:
        assert keras.dtype_policies.get(name).variable_dtype == "float32"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "recipe: phases must be given"),
        ({"phases": []}, "recipe: A recipe needs at least one phase"),
        ({"phases": [{"data": "a"}]}, "recipe: A phase: steps must be given"),
        ({"phases": ["a"]}, "recipe: A phase: want a table of settings, got 'a'"),
        ({"phases": [{"data": "a", "steps": 0}]}, "A phase's steps is 0"),
        ({"phases": [{"data": "", "steps": 1}]}, "A phase's data are ''"),
        ({"phases": [{"data": "a", "steps": 9, "batch_size": True}]}, "A phase's batch_size is True"),
        ({"phases": [{"data": "a", "steps": 9, "batchsize": 1}]}, "there is no setting batchsize. There are: data, st"),
        ({"phases": [{"data": "a", "steps": 9, "warmup": 1}]}, "a warmup of its own but no learning_rate"),
        ({"phases": [{"data": "a", "steps": 9, "warmup": -1, "learning_rate": 1}]}, "A phase's warmup is -1"),
        ({"phases": 3}, "recipe: a value is not of its kind"),
        ({"lr": 1}, "recipe: there is no setting lr. There are: phases, validation,"),
        ({"optimizer": "adam"}, "optimizer is 'adam', it must be one of adamw, lamb"),
        ({"precision": "float16"}, "precision is 'float16', it must be one of float32, mixed_bfloat16, mixed_float16"),
        ({"masks": "no"}, "masks is 'no'"),
        ({"shapes": "no"}, "shapes is 'no'"),
        ({"layout": "no"}, "layout is 'no'"),
        ({"corrupt": "no"}, "corrupt is 'no'"),
        ({"determinism": "no"}, "determinism is 'no'"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": "high"}, "recipe: a value is not of its kind"),
        ({"warmup": 90}, "warmup is 90 updates, but there are only 90"),
        ({"warmup": 0.1}, "warmup is 0.1, it must be a whole number"),
        ({"mask_share": 1}, "mask_share is 1"),
        ({"max_predictions": 0}, "max_predictions is 0"),
        ({"clip_norm": 0}, "clip_norm is 0"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**31}, "seed is 2147483648, it must be below"),
        ({"log_every": 0}, "log_every is 0"),
        ({"log_every": 30}, "validate_every is 1000, it must be a multiple of log_every, which is 30"),
        ({"checkpoint_every": 150}, "checkpoint_every is 150, it must be a multiple of log_every"),
        ({"shuffle_block": 0}, "shuffle_block is 0"),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0"),
        ({"rematerialize": 1}, "rematerialize is 1, it must be true or false"),
        ({"jit_compile": "yes"}, "jit_compile is 'yes', it must be true or false"),
        ({"jit_compile": True, "layout": "packed"}, "layout is 'packed', but jit_compile is true: a packed batch has"),
        ({"jit_compile": True, "shapes": "trimmed"}, "XLA would compile anew for every length. Take 'fixed'."),
        ({"jit_compile": True, "pack_sequences": 8}, "pack_sequences is 8, but jit_compile is true"),
        ({"jit_compile": True, "determinism": "on"}, "TensorFlow then compiles nothing. Take 'off'."),
    ],
)
def test_what_makes_no_run(values, told):
    whole = values if not values or "phases" in values else {"phases": [{"data": "a", "steps": 90}], **values}
    with pytest.raises(ConfigError) as caught:
        Recipe.from_dict(whole)
    assert told in str(caught.value)


def test_what_auto_means_under_xla():
    plain, compiled = (Recipe([Phase("a", 90)], jit_compile=jit) for jit in (False, True))
    assert (plain.trimmed, plain.trained_layout) == (True, "auto")
    assert (compiled.trimmed, compiled.trained_layout) == (False, "padded")
    assert not Recipe([Phase("a", 90)], shapes="fixed").trimmed


def test_schedules_are_the_recipe_s_or_the_phases():
    some = [Phase("a", 70, learning_rate=6e-3), Phase("b", 50)]
    with pytest.raises(ConfigError, match="Some phases have a learning_rate and some have none"):
        Recipe(some)
    with pytest.raises(ConfigError, match="Every phase has a schedule of its own: give each its warmup"):
        Recipe(some[:1], warmup=3)
    with pytest.raises(ConfigError, match="warmup is 70 updates, but there are only 70"):
        Recipe([dataclasses.replace(some[0], warmup=70)])


def test_files_that_are_no_recipe(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    for name, told in (("none.json", "no recipe can be read"), ("broken.json", "no recipe"), ("list.json", "a table")):
        with pytest.raises(ConfigError, match=told):
            Recipe.from_file(tmp_path / name)
