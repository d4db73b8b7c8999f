"""Exports, asked by a fresh process through both loaders, against Python's own answers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny
from fake_heads import Chooser
from fresh import ask_fresh
from tensorflow_serving.apis import prediction_log_pb2

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, ExportError
from keras_bert_zoo.serving.saved_model import export_bundle, next_version

TEXTS = [
    "a good film",
    "",
    "The plot: caf\u00e9 \u5317\u4eac zz",
    "so very bad and dull and cold and poor and awful again",
]
PAIRS = ["it was", "the end is near", "", "good good good good good good good good good good good good"]
HEADS = {
    "classification": kbz.heads.Classification(["sad", "calm", "glad"]),
    "multi_label": kbz.heads.MultiLabel(["x", "y"], threshold=0.4),
    "regression": kbz.heads.Regression(pair=True),
}


def _columns(name):
    return {"text": TEXTS, "text_pair": PAIRS} if HEADS[name].pair else {"text": TEXTS}


@pytest.fixture(scope="module")
def bundles():
    return {name: tiny.bundle(head) for name, head in HEADS.items()}


@pytest.fixture(scope="module")
def exports(bundles, tmp_path_factory):
    root = tmp_path_factory.mktemp("saved_models")
    return {name: export_bundle(bundle, root / name) for name, bundle in bundles.items()}


IDS = {
    "input_word_ids": [[2, 9, 30, 3, 0], [2, 11, 8, 60, 3]],
    "input_mask": [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
    "input_type_ids": [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1]],
}


@pytest.fixture(scope="module")
def answers(exports):
    jobs = [
        [str(folder), loader, signature, columns]
        for name, folder in exports.items()
        for loader in ("tf2", "tf1")
        for signature, columns in (("serving_default", _columns(name)), ("tokenized", IDS))
    ]
    keys = [(name, loader, signature) for name in exports for loader in ("tf2", "tf1") for signature in ("text", "ids")]
    return dict(zip(keys, ask_fresh(jobs), strict=True))


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", list(HEADS))
def test_a_fresh_process_answers_as_python_does(bundles, answers, name, loader):
    got = answers[name, loader, "text"]
    columns = _columns(name)
    want = bundles[name].predict(columns.pop("text"), **columns)
    assert set(got) == set(want[0])
    for row, expected in enumerate(want):
        for key, value in expected.items():
            told = got[key][row]
            if isinstance(value, float) or (isinstance(value, list) and isinstance(value[0], float)):
                assert told == pytest.approx(value, abs=1e-5), key
            else:
                assert told == value, key


@pytest.mark.parametrize("loader", ["tf2", "tf1"])
@pytest.mark.parametrize("name", list(HEADS))
def test_ids_in_give_logits(bundles, answers, name, loader):
    inputs = {key: np.array(rows, "int32") for key, rows in IDS.items()}
    got = answers[name, loader, "ids"]
    assert list(got) == ["logits"]
    np.testing.assert_allclose(got["logits"], bundles[name].model(inputs), atol=1e-5)


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(exports):
    ask = tf.saved_model.load(str(exports["classification"])).signatures["serving_default"]
    together = ask(text=tf.constant(TEXTS))["probabilities"].numpy()
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(ask(text=tf.constant([text]))["probabilities"].numpy()[0], row, atol=1e-5)
    assert ask(text=tf.constant([], tf.string))["probabilities"].shape == (0, 3)


def test_awkward_bytes_are_answered(exports):
    ask = tf.saved_model.load(str(exports["classification"])).signatures["serving_default"]
    texts = [b"\xff\xfe good", b"\x00", b"film " * 200_000, b"x" * 1_000_000]
    assert ask(text=tf.constant(texts))["score"].shape == (4,)


def test_signatures_and_files(exports):
    folder = exports["classification"]
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "tokenized", "tokens", "examples", "classify"}
    spec = loaded.signatures["serving_default"].structured_input_signature[1]
    assert {name: (s.shape.as_list(), s.dtype) for name, s in spec.items()} == {"text": ([None], tf.string)}
    outputs = loaded.signatures["serving_default"].structured_outputs
    assert {name: s.dtype for name, s in outputs.items()} == {
        "label": tf.string,
        "score": tf.float32,
        "labels": tf.string,
        "probabilities": tf.float32,
    }
    assert sorted(path.name for path in (folder / "assets.extra").iterdir()) == [
        "operations.json",
        "tf_serving_warmup_requests",
        "zoo.json",
    ]
    assert (folder / "assets" / "vocab.txt").read_text().splitlines() == tiny.VOCABULARY
    assert sorted(path.name for path in folder.iterdir()) == [
        "assets",
        "assets.extra",
        "fingerprint.pb",
        "saved_model.pb",
        "variables",
    ]


def test_saved_model_cli_shows_it_readably(exports):
    command = [Path(sys.executable).with_name("saved_model_cli"), "show", "--dir", exports["classification"], "--all"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for told in (
        "signature_def['serving_default']",
        "inputs['text'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1)",
        "outputs['probabilities'] tensor_info:\n        dtype: DT_FLOAT\n        shape: (-1, 3)",
        "signature_def['tokenized']",
        "inputs['input_word_ids'] tensor_info:\n        dtype: DT_INT32\n        shape: (-1, -1)",
        "outputs['logits']",
        "Method name is: tensorflow/serving/predict",
    ):
        assert told in done.stdout


def test_columns_of_lists_are_served_and_warmed_up(tmp_path):
    bundle = tiny.bundle(Chooser())
    folder = export_bundle(bundle, tmp_path / "chooser")
    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    spec = function.structured_input_signature[1]
    assert {name: s.shape.as_list() for name, s in spec.items()} == {"text": [None], "choices": [None, None]}
    got = function(text=tf.constant(["a film", "it"]), choices=tf.constant([["b", "c", "d"], ["e", "", ""]]))
    want = bundle.predict(["a film", "it"], choices=[["b", "c", "d"], ["e"]])
    np.testing.assert_allclose(got["first"], [answer["first"] for answer in want], atol=1e-5)
    assert got["choices"].numpy().tolist() == [[b"b", b"c", b"d"], [b"e", b"", b""]]
    sizes = []
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        if request.model_spec.signature_name != "serving_default":
            continue
        inputs = request.inputs
        columns = {key: tf.constant(tf.make_ndarray(value)) for key, value in inputs.items()}
        rows = len(columns["text"])
        assert columns["choices"].shape == (rows, 2)
        assert all(
            choice == text for text, row in zip(columns["text"], columns["choices"], strict=True) for choice in row
        )
        assert function(**columns)["first"].shape == (rows,)
        sizes.append(rows)
    assert sizes == [1, 8, 1]


def test_versions(bundles, tmp_path):
    bundle, folder = bundles["regression"], tmp_path / "model"
    assert next_version(folder) == 1
    assert export_bundle(bundle, folder, version=7) == folder / "7"
    assert export_bundle(bundle, folder) == folder / "8"
    assert next_version(folder) == 9
    before = (folder / "7" / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(ExportError, match="this version is there already"):
        export_bundle(bundle, folder, version=7)
    assert (folder / "7" / "saved_model.pb").stat().st_mtime_ns == before
    with pytest.raises(ExportError, match="version is 0"):
        export_bundle(bundle, folder, version=0)
    assert sorted(path.name for path in folder.iterdir()) == ["7", "8"]


def test_a_failed_export_leaves_nothing_for_a_server_to_see(bundles, tmp_path, monkeypatch):
    seen = []

    def fail(*given):
        seen.extend(path.name for path in (tmp_path / "model").iterdir())
        raise OSError("disk full")

    monkeypatch.setattr("keras_bert_zoo.serving.saved_model.write_warmup", fail)
    with pytest.raises(OSError, match="disk full"):
        export_bundle(bundles["regression"], tmp_path / "model")
    assert len(seen) == 1
    assert not seen[0].isdigit()  # a server looks at numbers alone
    assert list((tmp_path / "model").iterdir()) == []


def test_limits(bundles, tmp_path):
    bundle = bundles["classification"]
    with pytest.raises(ExportError, match="max_length is 24, but the model has 23 positions"):
        export_bundle(bundle, tmp_path / "model", max_length=24)
    short = tf.saved_model.load(str(export_bundle(bundle, tmp_path / "model", max_length=4)))
    long = short.signatures["serving_default"](text=tf.constant(["a film so bad", "a film"]))["score"].numpy()
    assert long[0] == pytest.approx(long[1], abs=1e-6)  # both end after two words


def test_an_encoder_alone_is_no_model_to_serve(tmp_path):
    with pytest.raises(ExportError, match="an encoder without a head cannot answer"):
        export_bundle(tiny.bundle(), tmp_path / "model")
    with pytest.raises(ConfigError, match="is no BERT encoder"):
        kbz.heads.Regression().attach(tf.keras.Sequential(name="stranger"))
