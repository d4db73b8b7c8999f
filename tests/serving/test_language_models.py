"""Exports of the heads of pretraining, asked by a fresh process through both loaders."""

import numpy as np
import pytest
import tensorflow as tf
import tiny
from fresh import ask_fresh

import keras_bert_zoo as kbz
from keras_bert_zoo.serving.saved_model import export_bundle

HEADS = {
    "masked_lm": kbz.heads.MaskedLM(top_k=3),
    "next_sentence": kbz.heads.NextSentence(),
    "pretraining": kbz.heads.Pretraining(top_k=2),
}
TEXTS = [
    "a good [MASK].",
    "",
    "[MASK][MASK] and so [MASK]",
    "no mask",
    "so [MASK] " * 20,
    "caf\u00e9 [MASK] \u5317\u4eac",
]
PAIRS = ["it was", "[MASK]", "", "the end", "[MASK] film", "so very bad"]
IDS = {
    "input_word_ids": [[2, 4, 30, 3, 0], [2, 11, 4, 60, 3]],
    "input_mask": [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
    "input_type_ids": [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1]],
    "masked_lm_positions": [[1, 0], [2, 3]],
}


def columns(name):
    return {"text": TEXTS} if name == "masked_lm" else {"text": TEXTS, "text_pair": PAIRS}


def ids(name):
    return {key: value for key, value in IDS.items() if key in HEADS[name].inputs}


@pytest.fixture(scope="module")
def bundles():
    return {name: tiny.bundle(head) for name, head in HEADS.items()}


@pytest.fixture(scope="module")
def exports(bundles, tmp_path_factory):
    root = tmp_path_factory.mktemp("language_models")
    return {name: export_bundle(bundle, root / name) for name, bundle in bundles.items()}


@pytest.fixture(scope="module")
def answers(exports):
    asked = [
        (name, loader, signature)
        for name in HEADS
        for loader in ("tf2", "tf1")
        for signature in ("serving_default", "tokenized")
    ]
    jobs = [
        [str(exports[name]), loader, signature, columns(name) if signature == "serving_default" else ids(name)]
        for name, loader, signature in asked
    ]
    return dict(zip(asked, ask_fresh(jobs), strict=True))


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", list(HEADS))
def test_a_fresh_process_answers_as_python_does(bundles, answers, name, loader):
    got = answers[name, loader, "serving_default"]
    given = columns(name)
    want = bundles[name].predict(given.pop("text"), **given)
    assert set(got) == set(want[0])
    for row, expected in enumerate(want):
        trimmed = {key: values[row] for key, values in got.items()}
        if "scores" in expected:
            width = len(got["scores"][row])
            masks = len(expected["tokens"])
            k = HEADS[name].top_k
            assert trimmed["tokens"][masks:] == [[""] * k] * (width - masks)  # padded
            assert trimmed["scores"][masks:] == [[0.0] * k] * (width - masks)
            trimmed = HEADS[name].trim(trimmed)
            for scores, told in zip(trimmed.pop("scores"), expected.pop("scores"), strict=True):
                assert scores == pytest.approx(told, abs=1e-5)
        if "probability" in expected:
            assert trimmed.pop("probability") == pytest.approx(expected.pop("probability"), abs=1e-5)
        assert trimmed == expected


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", list(HEADS))
def test_ids_in_give_logits(bundles, answers, name, loader):
    got = answers[name, loader, "tokenized"]
    want = bundles[name].model({key: np.array(rows, "int32") for key, rows in ids(name).items()})
    want = want if isinstance(want, dict) else {"logits": want}
    assert set(got) == set(want)
    for key, logits in want.items():
        np.testing.assert_allclose(got[key], logits, atol=1e-5)


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(exports):
    ask = tf.saved_model.load(str(exports["masked_lm"])).signatures["serving_default"]
    together = ask(text=tf.constant(TEXTS))
    for row, text in enumerate(TEXTS):
        alone = ask(text=tf.constant([text]))
        masks = alone["scores"].shape[1]
        np.testing.assert_allclose(alone["scores"][0], together["scores"][row, :masks], atol=1e-5)
        assert alone["filled"][0] == together["filled"][row]
    none = ask(text=tf.constant([], tf.string))
    assert none["tokens"].shape == (0, 0, 3)


def test_awkward_bytes_are_answered(exports):
    ask = tf.saved_model.load(str(exports["masked_lm"])).signatures["serving_default"]
    texts = [b"\xff\xfe [MASK]\x80", b"\x00[MASK]", b"[MASK]" * 100_000, b"x" * 500_000 + b"[MASK]"]
    answer = ask(text=tf.constant(texts))
    assert answer["tokens"].shape == (4, 21, 3)  # 23 positions, two of them special
    assert answer["filled"][2].numpy().count(b"[MASK]") == 100_000 - 21
    assert answer["filled"][0].numpy().startswith(b"\xff\xfe")
    assert answer["filled"][3].numpy() in [
        texts[3].replace(b"[MASK]", token.removeprefix("##").encode()) for token in tiny.VOCABULARY
    ]


def test_weights_are_stored_once(bundles, exports):
    for name, folder in exports.items():
        stored = sum(path.stat().st_size for path in (folder / "variables").iterdir())
        weights = sum(weight.numpy().nbytes for weight in bundles[name].model.trainable_variables)
        assert weights <= stored <= 1.02 * weights + 10_000  # names and offsets weigh as much in so small a model


def test_bfloat16(bundles, tmp_path):
    ask = tf.saved_model.load(str(export_bundle(bundles["masked_lm"], tmp_path / "fast", precision="bfloat16")))
    got = ask.signatures["serving_default"](text=tf.constant(["a good [MASK]"]))
    (want,) = bundles["masked_lm"].predict(["a good [MASK]"])
    assert got["scores"].dtype == tf.float32
    np.testing.assert_allclose(got["scores"][0], want["scores"], atol=0.02)
