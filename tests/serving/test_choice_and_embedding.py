"""Exports of the heads with several texts an example, asked by a fresh process through both loaders."""

import numpy as np
import pytest
import tensorflow as tf
import tiny
from fresh import ask_fresh

import keras_bert_zoo as kbz
from keras_bert_zoo.serving.saved_model import export_bundle

TEXTS = [
    "a good film",
    "The plot: caf\u00e9 \u5317\u4eac zz",
    "",
    "so very bad and dull and cold and poor and awful again",
]
CHOICES = [
    ["it was good", "bad", ""],
    ["", "", ""],
    ["x", "", "the end \U0001f600"],
    ["a", "b", "so and so and so " * 9],
]
HEADS = {
    "choose": kbz.heads.MultipleChoice(),
    "mean": kbz.heads.SentenceEmbedding(),
    "cls": kbz.heads.SentenceEmbedding(pooling="cls", normalize=False),
}
COLUMNS = {
    "choose": {"text": TEXTS, "choices": CHOICES},
    "mean": {"text": TEXTS},
    "cls": {"text": TEXTS},
}
IDS = {  # [B,C,T] = [1,2,4]
    "input_word_ids": [[[2, 9, 30, 3], [2, 60, 3, 0]]],
    "input_mask": [[[1, 1, 1, 1], [1, 1, 1, 0]]],
    "input_type_ids": [[[0, 0, 1, 1], [0, 0, 0, 0]]],
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
    keys = [(name, loader, kind) for name in exports for loader in ("tf2", "tf1") for kind in ("text", "ids")]
    jobs = [
        [str(exports[name]), loader, *(("serving_default", COLUMNS[name]) if kind == "text" else ("tokenized", IDS))]
        for name, loader, kind in keys
    ]
    return dict(zip(keys, ask_fresh(jobs), strict=True))


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
def test_choices(bundles, answers, loader):
    got = answers["choose", loader, "text"]
    assert set(got) == {"choice", "probabilities"}
    want = bundles["choose"].predict(TEXTS, choices=CHOICES)
    assert [len(answer["probabilities"]) for answer in want] == [2, 0, 3, 3]  # without padding
    for i, answer in enumerate(want):
        padded = answer["probabilities"] + [0] * (3 - len(answer["probabilities"]))
        assert got["choice"][i] == answer["choice"]
        assert got["probabilities"][i] == pytest.approx(padded, abs=1e-5)
        assert sum(got["probabilities"][i]) == pytest.approx(0 if i == 1 else 1)
    assert got["choice"][1] == -1
    assert got["probabilities"][2][1] == 0


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", ["mean", "cls"])
def test_vectors(bundles, answers, name, loader):
    got = answers[name, loader, "text"]
    assert list(got) == ["embedding"]
    want = [answer["embedding"] for answer in bundles[name].predict(TEXTS)]
    np.testing.assert_allclose(got["embedding"], want, atol=1e-5)


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", list(HEADS))
def test_ids_in(bundles, answers, name, loader):
    inputs = {key: np.array(rows, "int32") for key, rows in IDS.items()}
    np.testing.assert_allclose(answers[name, loader, "ids"]["logits"], bundles[name].model(inputs), atol=1e-5)


def test_no_choices_and_no_rows(exports):
    ask = tf.saved_model.load(str(exports["choose"])).signatures["serving_default"]
    nothing = ask(text=tf.constant(["a", "b"]), choices=tf.zeros([2, 0], tf.string))
    assert nothing["choice"].numpy().tolist() == [-1, -1]
    assert nothing["probabilities"].shape == (2, 0)
    nobody = ask(text=tf.constant([], tf.string), choices=tf.zeros([0, 3], tf.string))
    assert (nobody["choice"].shape, nobody["probabilities"].shape) == ((0,), (0, 3))
    embed = tf.saved_model.load(str(exports["mean"])).signatures["serving_default"]
    assert embed(text=tf.constant([], tf.string))["embedding"].shape == (0, 12)


def test_awkward_bytes_are_answered(exports):
    texts = [b"\xff\xfe good", b"\x00", b"film " * 20_000, b"x" * 100_000]
    ask = tf.saved_model.load(str(exports["choose"])).signatures["serving_default"]
    choices = [[b"\xff", b"\x00", b" "], [b"", b"\xc3", b"ok"], [b"film " * 20_000, b"a", b""], [b"x" * 10_000] * 3]
    answer = ask(text=tf.constant(texts), choices=tf.constant(choices))
    np.testing.assert_allclose(answer["probabilities"].numpy().sum(1), 1, atol=1e-5)
    embed = tf.saved_model.load(str(exports["mean"])).signatures["serving_default"]
    np.testing.assert_allclose(np.linalg.norm(embed(text=tf.constant(texts))["embedding"], axis=1), 1, atol=1e-5)


def test_neighbours_do_not_count(exports):
    ask = tf.saved_model.load(str(exports["choose"])).signatures["serving_default"]
    together = ask(text=tf.constant(TEXTS), choices=tf.constant(CHOICES))["probabilities"].numpy()
    for i, (text, choices) in enumerate(zip(TEXTS, CHOICES, strict=True)):
        alone = ask(text=tf.constant([text]), choices=tf.constant([choices]))["probabilities"].numpy()
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


def test_bfloat16(bundles, tmp_path):
    for name in ("choose", "mean"):
        folder = export_bundle(bundles[name], tmp_path / name, precision="bfloat16")
        columns = {key: tf.constant(values) for key, values in COLUMNS[name].items()}
        got = tf.saved_model.load(str(folder)).signatures["serving_default"](**columns)
        key = "probabilities" if name == "choose" else "embedding"
        want = bundles[name].predict(TEXTS, **({"choices": CHOICES} if name == "choose" else {}))
        assert got[key].dtype == tf.float32
        for row, answer in zip(got[key].numpy(), want, strict=True):
            np.testing.assert_allclose(row[: len(answer[key])], answer[key], atol=0.05)
