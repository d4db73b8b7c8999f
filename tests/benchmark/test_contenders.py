"""Ours and the tokenizers, in this process and on a tiny model: each way answers, and each turn tells its work."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.benchmark.contenders import CONTENDERS, ceiling, ours
from keras_bert_zoo.benchmark.plan import Plan, Setup
from keras_bert_zoo.benchmark.report import SECTIONS

SMALL = {
    "vocab_size": 99, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37,
}  # fmt: skip


@pytest.fixture(scope="module")
def ready(folders, tmp_path_factory):
    """Return a setup whose classifier is written."""
    plan = Plan(repeats=1, calls=2, batch_size=2, encoder=SMALL, grid=(2, 7), gemm=(8,))
    texts = ["a good film", "so very dull", "a long story of the plot and the actor"]
    made = Setup(
        folder=str(tmp_path_factory.mktemp("work")),
        source=str(folders / "encoder"),
        plan=plan,
        workloads={"short": texts, "mixed": texts * 2},
        lines=texts,
        rows=(texts * 2, [0, 1] * 3),
        probe=texts[:2],
    )
    # "long" is four tokens of the tiny vocabulary; [CLS] and [SEP] count.
    assert ours.make(made) == {"short": [pytest.approx((5 + 5 + 14) / 3), 14], "mixed": [pytest.approx(8), 14]}
    return made


@pytest.mark.slow
def test_ours(ready, monkeypatch):
    assert ready.length == tiny.CONFIG.max_position_embeddings  # below the plan's limit
    bundle = kbz.load(ready.model)
    expected = [answer["probabilities"] for answer in bundle.predict(ready.probe)]
    amounts = {
        "serving": [3, 3, 6, 6],
        "latency": [1],
        "training": [6],
        "encoder": [pytest.approx(2 * 2 * 14 * 3 * (4 * 144 + 2 * 12 * 37 + 2 * 7 * 12) / 1e9)],
        "tokenizer": [sum(map(len, ready.lines)) / 1e6],
    }
    assert set(amounts) == set(CONTENDERS["ours"].sections)
    for section, told in amounts.items():
        if section != "serving":  # the other precision is the same code, and takes long to trace
            monkeypatch.setattr(ours, "DTYPES", {"fp32": "float32"})
        ways = [way for way in getattr(ours, section)(ready) if not way.missing]
        for way in ways:
            done = [turn() for turn in way.turns.values()]
            assert [took.amount for took in done] == told, (section, way.name)
            assert min(took.seconds for took in done) > 0
            assert way.settings
        if section in ("serving", "latency"):
            assert ways[0].answer(ready.probe) == pytest.approx(np.array(expected), abs=1e-6)
        if section == "tokenizer":
            ids = [[bundle.tokenizer.token_id(token) for token in text.split()] for text in ready.probe]
            assert ways[0].answer(ready.probe) == ids


def test_the_head_gives_answers_that_differ(ready):
    one, other = (answer["score"] for answer in kbz.load(ready.model).predict(ready.probe))
    assert abs(one - other) > 1e-3


def test_the_tokenizers(ready):
    hugging_face = import_module(CONTENDERS["tokenizers"].module)
    (own,) = ours.tokenizer(ready)
    for way in hugging_face.tokenizer(ready):
        assert way.answer(ready.probe) == own.answer(ready.probe)
        (turn,) = way.turns.values()
        assert turn().amount == sum(map(len, ready.lines)) / 1e6


def test_peers_get_what_our_model_gets(ready):
    from keras_bert_zoo.benchmark.contenders.peers import Tokenizing, softmax

    inputs = Tokenizing(ready)(ready.workloads["mixed"])
    texts = ready.workloads["mixed"]
    bundle = kbz.load(ready.model)
    features, _ = bundle.head.pack(bundle.tokenizer, ready.length)({"text": texts})
    names = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
    for theirs, own in names.items():
        assert inputs[theirs].tolist() == features[own].numpy().tolist()
    assert softmax([[0.0, np.log(3)]]) == pytest.approx(np.array([[0.25, 0.75]]))


def test_the_ceiling(ready):
    ways = {way.name: way for way in ceiling.encoder(ready)}
    assert list(ways) == ["big 8, fp32", "BERT's shapes, fp32", "big 8, bf16", "BERT's shapes, bf16"]
    (turn,) = ways["big 8, fp32"].turns.values()
    assert turn().amount == pytest.approx(50 * 2 * 8**3 / 1e9)
    assert "14 x 12 x 36, 14 x 12 x 12, 14 x 12 x 37, 14 x 37 x 12" in ways["BERT's shapes, bf16"].settings


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_module_has_a_function_for_each_of_its_sections(name):
    contender = CONTENDERS[name]
    path = Path(find_spec(contender.module).origin)
    functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert functions & set(SECTIONS) == set(contender.sections)
    assert ("make" in functions) == bool(contender.makes)
