"""What models answer, without Keras: the heads' own outputs are the oracle for names, types and padding."""

import subprocess
import sys
import typing

import every_head
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_zoo as kbz
from keras_bert_zoo.answers import KINDS, fields, head_of, plain, trim
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.heads import HEADS

ROWS = 7


def test_every_head_has_a_kind_of_its_own():
    assert list(KINDS) == list(HEADS)
    assert len({fields(kind) for kind in KINDS.values()}) == len(HEADS)
    assert [head_of(fields(kind)) for kind in KINDS.values()] == list(HEADS)
    assert head_of(["label", "score"]) is None
    assert trim({"z": 1, "a": [2]}) == {"z": 1, "a": [2]}


def test_no_keras_is_needed():
    script = "import sys, keras_bert_zoo.answers; print([n for n in ('keras', 'tensorflow') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def made(name):
    return kbz.heads.make(name, every_head.MADE[name])


def decoded(head, logits):
    """Return the answers that a head gives for logits, as a server's client has them."""
    outputs = {name: plain(values.numpy()) for name, values in head.decode(tf.constant(logits), {}).items()}
    return [trim({name: values[i] for name, values in outputs.items()}) for i in range(len(logits))]


LOGITS = [("classification", (3,)), ("multi_label", (2,)), ("regression", (1,)), ("next_sentence", (2,))]


@pytest.mark.parametrize(("name", "shape"), LOGITS)
def test_answers_tell_the_logits_that_figures_need(name, shape):
    """The figures of logits are the head's own; those of its answers must be the same."""
    head, random = made(name), np.random.default_rng(5)
    logits = (random.normal(size=(ROWS, *shape)) * 4).astype("float32")
    targets = {
        "classification": random.integers(0, 3, ROWS),
        "multi_label": random.integers(0, 2, (ROWS, 2)).astype("float32"),
        "regression": random.normal(size=(ROWS, 1)).astype("float32"),
        "next_sentence": random.integers(0, 2, ROWS),
    }[name]
    told = decoded(head, logits)
    assert [list(answer) for answer in told] == [list(KINDS[name].__annotations__)] * ROWS  # in the head's order
    found = head.logits_of(told)
    assert found.shape == logits.shape
    want = head.report(targets, logits)
    assert len(want) > 1
    assert head.report(targets, found) == pytest.approx(want, abs=2e-5)


def test_sure_answers_have_finite_logits():
    sure = made("classification").logits_of([{"probabilities": [0.0, 1.0, 0.0]}])
    assert np.isfinite(sure).all()
    assert sure[0, 1] == 0
    assert sure[0, 0] == np.float32(np.log(np.finfo("float32").tiny))
    assert np.isfinite(made("multi_label").logits_of([{"probabilities": [0.0, 1.0]}])).all()


def test_vectors_of_pairs():
    head, random = made("sentence_embedding"), np.random.default_rng(6)
    vectors = random.normal(size=(ROWS, 2, 5)).astype("float32")
    first, second = ([{"embedding": row[side].tolist()} for row in vectors] for side in (0, 1))
    np.testing.assert_array_equal(head.logits_of([*first, *second]), vectors)


def test_other_heads_tell_no_logits():
    with pytest.raises(ConfigError, match="answers of the head 'masked_lm' do not tell its logits"):
        made("masked_lm").logits_of([])


# What is trimmed: padded as the class says, "" and -1 and 0.

PADDED = {
    "token_classification": (
        {
            "entity": ["a", "b", ""],
            "label": ["X", "Y", ""],
            "start": [0, 4, -1],
            "end": [1, 5, -1],
            "score": [1, 0.5, 0],
        },
        {"entity": ["a", "b"], "label": ["X", "Y"], "start": [0, 4], "end": [1, 5], "score": [1, 0.5]},
    ),
    "multiple_choice": (
        {"choice": 2, "probabilities": [0.1, 0.0, 0.9, 0.0, 0.0]},
        {"choice": 2, "probabilities": [0.1, 0.0, 0.9]},
    ),
    "masked_lm": (
        {"tokens": [["a", "b"], ["", ""]], "scores": [[0.7, 0.2], [0, 0]], "filled": "a"},
        {"tokens": [["a", "b"]], "scores": [[0.7, 0.2]], "filled": "a"},
    ),
    "pretraining": (
        {"tokens": [["", ""]], "scores": [[0, 0]], "filled": "a", "filled_pair": "b", "probability": 0.3},
        {"tokens": [], "scores": [], "filled": "a", "filled_pair": "b", "probability": 0.3},
    ),
    "question_answering": (
        {
            **{"answer": "a", "start": 3, "end": 4, "score": 0.6, "no_answer_score": -1.0},
            **{"answers": ["a", "", "", ""], "starts": [3, -1, -1, -1], "ends": [4, -1, -1, -1]},
            **{"scores": [0.6, 0.4, 0, 0], "start_logits": [1, 2, 0, 0], "end_logits": [3, 4, 0, 0]},
        },
        {
            **{"answer": "a", "start": 3, "end": 4, "score": 0.6, "no_answer_score": -1.0},
            **{"answers": ["a", ""], "starts": [3, -1], "ends": [4, -1]},
            **{"scores": [0.6, 0.4], "start_logits": [1, 2], "end_logits": [3, 4]},
        },
    ),
}


@pytest.mark.parametrize("name", PADDED)
def test_padding_goes(name):
    padded, want = PADDED[name]
    shuffled = dict(sorted(padded.items()))  # as a server's JSON may have it
    assert trim(shuffled) == want == made(name).trim(dict(padded))
    assert list(trim(shuffled)) == list(KINDS[name].__annotations__)


def suits(value, hint):
    """Tell whether a value has the type that a field promises."""
    if typing.get_origin(hint) is list:
        return type(value) is list and all(suits(each, typing.get_args(hint)[0]) for each in value)
    return type(value) is hint or (hint is float and type(value) is int)


@pytest.mark.parametrize(("name", "shape"), [*LOGITS, ("multiple_choice", None), ("token_classification", None)])
def test_a_value_has_the_type_of_its_field(name, shape):
    answer = PADDED[name][1] if shape is None else decoded(made(name), np.ones((1, *shape), "float32"))[0]
    for field, hint in typing.get_type_hints(KINDS[name]).items():
        assert suits(answer[field], hint), field
    assert fields(KINDS[name]) == set(answer)
    assert not suits(1.5, int)
    assert not suits([1, "a"], list[int])
