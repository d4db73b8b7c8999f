"""Every weight format to every other and back, through `kbz convert`: bit by bit, read with each format's own reader.

What both ends can express comes back whole.  Where they cannot, the command says which field; allowed, all else does.
"""

import itertools
import json
import re

import h5py
import numpy as np
import pytest
import safetensors
import tensorflow as tf
import tiny
from click.testing import CliRunner

import keras_bert_zoo as zoo
from keras_bert_zoo import weights
from keras_bert_zoo.cli import main

CONFIG = tiny.CONFIG.replace(hidden_act="gelu_tanh", initializer_range=0.02)
HEADS = {
    "encoder": None,
    "classification": zoo.heads.Classification(["a", "b", "c"]),
    "multi_label": zoo.heads.MultiLabel(["a", "b", "c"]),
    "regression": zoo.heads.Regression(),
    "token_classification": zoo.heads.TokenClassification(["O", "B-x", "I-x"]),
    "question_answering": zoo.heads.QuestionAnswering(),
    "multiple_choice": zoo.heads.MultipleChoice(),
    "masked_lm": zoo.heads.MaskedLM(),
    "next_sentence": zoo.heads.NextSentence(),
    "pretraining": zoo.heads.Pretraining(),
}
# The heads that a format must have a place for, so that none is lost unseen.
PLACES = {
    "huggingface": set(HEADS),
    "keras_hub": {"encoder", "classification", "multi_label", "regression", "masked_lm"},
    "tf1": set(HEADS) - {"token_classification", "multiple_choice"},
    "model_garden": {"encoder", "masked_lm", "next_sentence", "pretraining"},
}
# What may have to be allowed: Hugging Face's files of these heads have no pooler, others always have one, and
# KerasHub's masked LM computes otherwise than its encoder.
ALLOWED = {
    "masked_lm": {"pooler", "head_hidden_act", "head_layer_norm_eps"},
    "token_classification": {"pooler"},
    "question_answering": {"pooler"},
}


def has_place(name, format):
    return HEADS[name] is None or format in HEADS[name].places


CASES = [
    (one, other, name)
    for one, other in itertools.permutations(weights.TARGETS, 2)
    for name in HEADS
    if has_place(name, one) and has_place(name, other)
]


def tensors(folder):
    """Read every tensor of numbers in a folder with the reader of its kind of file."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safetensors.safe_open(path, "np") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            names = []
            file.visit(names.append)
            short = path.name.partition(".")[0]
            found |= {f"{short}/{name}": file[name][()] for name in names if isinstance(file[name], h5py.Dataset)}
    for path in sorted(folder.rglob("*.index")):
        checkpoint = tf.train.load_checkpoint(str(path.with_suffix("")))
        names = [name for name, kind in checkpoint.get_variable_to_dtype_map().items() if kind.is_floating]
        found |= {name: checkpoint.get_tensor(name) for name in names}
        if weights.find(folder) == "model_garden":  # its keys are numbers; the audits tell the attributes behind them
            reader = weights.named("model_garden").open_folder(folder).reader
            raw = {value.tobytes() for value in found.values()}
            found = {name: reader.read(name) for name in reader.names() if reader.dtype(name) == "float32"}
            assert {value.tobytes() for value in found.values()} == raw
    return {name: (value.dtype.name, value.shape, value.tobytes()) for name, value in found.items()}


def convert(source, target, to):
    """Convert by the command, allowing what it asks for; return the audit and what had to be allowed."""
    order = ["convert", source, target, "--to", to, "--json"]
    allowed = []
    for _ in range(3):
        extra = [word for field in allowed for word in ("--allow-change", field)]
        result = CliRunner().invoke(main, [str(word) for word in (*order, *extra)])
        if result.exit_code == 0:
            return json.loads(result.stdout), set(allowed)
        assert result.exit_code == 1, result.output
        assert not target.exists()
        asked = re.findall(r"--allow-change (\w+)", result.stderr)
        assert asked, result.stderr
        allowed += asked
    raise AssertionError(f"{order} asks for ever more: {allowed}")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder of a head in a format, written once, and the bundle."""
    root, made, bundles = tmp_path_factory.mktemp("matrix"), {}, {}

    def get(name, format):
        if name not in bundles:
            bundles[name] = tiny.bundle(HEADS[name], config=CONFIG)
        if (name, format) not in made:
            allow = sorted(ALLOWED.get(name, ()))
            made[name, format] = zoo.save(bundles[name], root / f"{name}-{format}", format=format, allow=allow)
        return made[name, format]

    return get


def test_no_place_is_lost():
    assert set(PLACES) == set(weights.TARGETS)
    for format, names in PLACES.items():
        assert {name for name in HEADS if has_place(name, format)} == names
    assert {case[:2] for case in CASES} == set(itertools.permutations(weights.TARGETS, 2))


@pytest.mark.parametrize(("one", "other", "name"), CASES)
def test_there_and_back(written, tmp_path, one, other, name):
    source = written(name, one)
    there, asked = convert(source, tmp_path / "there", other)
    back, asked_back = convert(tmp_path / "there", tmp_path / "back", one)
    assert asked | asked_back <= ALLOWED.get(name, set())
    assert bool(asked | asked_back) == bool(there["written"]["config_changes"] or back["written"]["config_changes"])

    before, after = tensors(source), tensors(tmp_path / "back")
    assert before
    new = {theirs for ours, theirs in there["read"]["matched"] if ours.startswith("pooler/")}
    if "pooler" not in asked | asked_back:
        new = set()
    left = set(there["written"]["unused"])  # a pooler that the head does not read has no place in Hugging Face's class
    assert all(ours.startswith("pooler/") for ours in left)
    lost = {theirs for ours, theirs in there["read"]["matched"] if ours in left}
    assert set(before) - lost <= set(after) <= set(before)
    assert {n for n in after if before[n] != after[n]} <= new
    if not asked | asked_back | left:
        configs = [weights.named(one).open_folder(folder).config for folder in (source, tmp_path / "back")]
        assert configs[0] == configs[1]

    # Nothing is lost on the way either: the other side holds the same numbers, in whatever order its layout has.
    shared = {ours for ours, _ in there["read"]["matched"]} & {ours for ours, _ in there["written"]["matched"]}
    theirs, middle = dict(there["read"]["matched"]), dict(there["written"]["matched"])
    on_the_way = tensors(tmp_path / "there")
    for ours in shared:
        here, beyond = before[theirs[ours]], on_the_way[middle[ours]]
        numbers = [np.sort(np.frombuffer(x[2], x[0])) for x in (here, beyond)]
        np.testing.assert_array_equal(*numbers)
    assert shared
    for step in (there, back):
        assert step["read"]["missing"] == step["read"]["misshapen"] == step["written"]["dtype_changes"] == []
