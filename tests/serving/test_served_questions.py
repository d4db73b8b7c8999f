"""Questions asked of an export, by a fresh process through both loaders."""

import numpy as np
import pytest
import tensorflow as tf
import tiny
from fresh import ask_fresh

import keras_bert_zoo as kbz
from keras_bert_zoo.serving.saved_model import export_bundle

SETTINGS = {"doc_stride": 4, "max_query_length": 6, "max_answer_length": 5, "n_best": 3}
HEADS = {
    "always": kbz.heads.QuestionAnswering(**SETTINGS),
    "with_none": kbz.heads.QuestionAnswering(no_answer=True, null_threshold=0.1, **SETTINGS),
}
LONG = (
    "The film of  café 北京 🎬 is a good story, and e\u0301 the plot was  not funny but warm " * 3
)  # six windows and more
COLUMNS = {
    "question": ["what is it", "who was in the film and the story of the plot or the end of it", "", "what"],
    "context": [LONG, "a good  film of 北京", "a film", ""],
}


@pytest.fixture(scope="module")
def bundles():
    return {name: tiny.bundle(head) for name, head in HEADS.items()}


@pytest.fixture(scope="module")
def exports(bundles, tmp_path_factory):
    root = tmp_path_factory.mktemp("saved_models")
    return {name: export_bundle(bundle, root / name) for name, bundle in bundles.items()}


@pytest.fixture(scope="module")
def answers(exports):
    keys = [(name, loader) for name in exports for loader in ("tf2", "tf1")]
    jobs = [[str(exports[name]), loader, "serving_default", COLUMNS] for name, loader in keys]
    return dict(zip(keys, ask_fresh(jobs), strict=True))


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", list(HEADS))
def test_a_fresh_process_answers_as_python_does(bundles, answers, name, loader):
    head, got = HEADS[name], answers[name, loader]
    want = bundles[name].predict(COLUMNS["question"], context=COLUMNS["context"])
    for row, expected in enumerate(want):
        told = head.trim({key: values[row] for key, values in got.items()})
        assert set(told) == set(expected)
        for key, value in expected.items():
            numbers = key in ("score", "no_answer_score", "scores", "start_logits", "end_logits")
            assert told[key] == (pytest.approx(value, abs=1e-4) if numbers else value), key
        context = COLUMNS["context"][row]
        for text, start, end in zip(told["answers"], told["starts"], told["ends"], strict=True):
            assert text == (context[start:end] if start >= 0 else "")
    assert all(len(row) == 3 + head.no_answer for row in got["answers"])
    assert len(want[0]["answers"]) == 3 + head.no_answer
    assert want[2]["answers"] == want[3]["answers"] == []
    assert want[2]["answer"] == want[3]["answer"] == ""


def test_signature(exports):
    loaded = tf.saved_model.load(str(exports["with_none"])).signatures
    spec = loaded["serving_default"].structured_input_signature[1]
    assert {name: (s.shape.as_list(), s.dtype) for name, s in spec.items()} == {
        "question": ([None], tf.string),
        "context": ([None], tf.string),
    }
    floats = ("score", "no_answer_score", "scores", "start_logits", "end_logits")
    assert {name: s.dtype for name, s in loaded["serving_default"].structured_outputs.items()} == {
        **dict.fromkeys(("answer", "answers"), tf.string),
        **dict.fromkeys(("start", "end", "starts", "ends"), tf.int32),
        **dict.fromkeys(floats, tf.float32),
    }
    assert loaded["tokenized"].structured_outputs["logits"].shape.as_list() == [None, None, 2]


def test_the_rest_of_a_batch_does_not_matter(exports):
    ask = tf.saved_model.load(str(exports["always"])).signatures["serving_default"]
    together = ask(**{name: tf.constant(values) for name, values in COLUMNS.items()})
    for row in range(4):
        alone = ask(**{name: tf.constant(values[row : row + 1]) for name, values in COLUMNS.items()})
        for name, values in alone.items():
            if values.dtype == tf.float32:
                np.testing.assert_allclose(values[0], together[name][row], atol=1e-4)
            else:
                np.testing.assert_array_equal(values[0], together[name][row], err_msg=name)
    nothing = ask(question=tf.constant([], tf.string), context=tf.constant([], tf.string))
    assert nothing["answer"].shape == (0,)
    assert nothing["answers"].shape == (0, 3)


def test_a_book_and_awkward_bytes(exports):
    """Hundreds of windows beside short contexts: the model reads them in parts."""
    ask = tf.saved_model.load(str(exports["with_none"])).signatures["serving_default"]
    contexts = [LONG.encode() * 40, b"\xff\xfe good \xc3", b"\x00", b"x" * 100_000, b"film"]
    told = ask(question=tf.constant([b"what \xff"] * 5), context=tf.constant(contexts))
    for context, texts, starts, ends in zip(
        contexts, told["answers"].numpy(), told["starts"].numpy(), told["ends"].numpy(), strict=True
    ):
        clean = context.decode("utf-8", "ignore")
        assert [text.decode() for text in texts] == [
            clean[start:end] if start >= 0 else "" for start, end in zip(starts, ends, strict=True)
        ]
    assert told["ends"].numpy()[0].max() > 0
    assert told["answers"].numpy()[3].tolist().count(b"x" * 100_000) == 1  # one unknown word
