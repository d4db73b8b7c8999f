"""Real weights: the preset gives the numbers that sentence-transformers recorded, and is written back bit by bit."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import tensorflow as tf

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import build_encoder, encoder_config
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.text.tokenizer import Tokenizer
from keras_bert_zoo.weights.huggingface import import_weights, read_config, write_config, write_weights
from keras_bert_zoo.zoo import fetch

GOLDEN = json.loads((Path(__file__).parent / "golden" / "minilm_l6_reference.json").read_text(encoding="utf-8"))
LIMIT = 256


@pytest.fixture(scope="module")
def folder():
    return fetch("minilm_l6_h384_uncased")  # fails, not skips, where the preset cannot be had


@pytest.fixture(scope="module")
def encoder(folder):
    encoder = build_encoder(read_config(folder)[0])
    import_weights(encoder, folder)
    return encoder


def features(rows, segments=None):
    longest = max(map(len, rows))
    ids, mask, types = (np.zeros((len(rows), longest), np.int32) for _ in range(3))
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    if segments is not None:
        types[:] = segments
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}


@pytest.fixture(scope="module")
def outputs(encoder):
    return encoder(features(GOLDEN["input_ids"]))


def test_the_sentence_embeddings(outputs):
    mask = features(GOLDEN["input_ids"])["input_mask"][..., None]  # [B,T,1]
    mean = (np.asarray(outputs["sequence_output"], np.float64) * mask).sum(1) / mask.sum(1)  # [B,D]
    found = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    want = np.array(GOLDEN["embeddings"])
    assert found.shape == want.shape == (8, 384)
    assert np.abs(found - want).max() <= 1e-5


def test_the_recorded_outputs(outputs):
    # Sums of thousands of float32 numbers around 1: recorded in float32, so only their rounding may differ.
    for i, want in enumerate(GOLDEN["sequence_output_sum_first2"]):
        found = np.asarray(outputs["sequence_output"], np.float64)[i, : len(GOLDEN["input_ids"][i])].sum()
        assert found == pytest.approx(want, abs=2e-4)
    want = np.array(GOLDEN["pooled_output_first2"])
    assert np.abs(np.asarray(outputs["pooled_output"])[:2, : want.shape[1]] - want).max() <= 1e-5


def test_the_pair(encoder):
    found = encoder(features([GOLDEN["pair_input_ids"]], [GOLDEN["pair_token_type_ids"]]))["pooled_output"]
    want = np.array(GOLDEN["pair_pooled_output"])
    assert np.abs(np.asarray(found)[0, : len(want)] - want).max() <= 1e-5


def test_the_recorded_ids(folder):
    tokenizer = Tokenizer.from_folder(folder)
    pieces = tokenizer.tokenize(GOLDEN["sentences"]).to_list()
    for ids, want in zip(pieces, GOLDEN["input_ids"], strict=True):
        assert [tokenizer.cls_id, *ids[: LIMIT - 2], tokenizer.sep_id] == want
    assert max(map(len, pieces)) > LIMIT  # one of them is cut
    first, second = pieces[:2]
    pair = [tokenizer.cls_id, *first, tokenizer.sep_id, *second, tokenizer.sep_id]
    assert pair == GOLDEN["pair_input_ids"]


def test_it_is_written_back_bit_by_bit(folder, encoder, tmp_path):
    config, _ = read_config(folder)
    write_weights(encoder, tmp_path, prefix=False)
    write_config(encoder_config(encoder), tmp_path, architecture="BertModel", extra={})
    assert read_config(tmp_path)[0] == config
    with (
        safetensors.safe_open(folder / "model.safetensors", "np") as theirs,
        safetensors.safe_open(tmp_path / "model.safetensors", "np") as ours,
    ):
        assert ours.metadata() == theirs.metadata() == {"format": "pt"}
        assert set(theirs.keys()) - set(ours.keys()) == {"embeddings.position_ids"}
        assert len(ours.keys()) == 103
        for name in ours.keys():  # noqa: SIM118
            one, other = ours.get_tensor(name), theirs.get_tensor(name)
            assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), name


def test_sentence_vectors_from_raw_strings(folder, tmp_path):
    bundle = kbz.load("minilm_l6_h384_uncased")
    assert bundle.max_length == LIMIT
    assert bundle.head.get_config() == kbz.heads.SentenceEmbedding().get_config()
    bundle = bundle.attach(kbz.heads.SentenceEmbedding())
    want = np.array(GOLDEN["embeddings"])
    in_python = np.array([answer["embedding"] for answer in bundle.predict(GOLDEN["sentences"])])
    assert np.abs(in_python - want).max() <= 1e-5
    ask = tf.saved_model.load(str(export_bundle(bundle, tmp_path / "served"))).signatures["serving_default"]
    assert np.abs(ask(text=tf.constant(GOLDEN["sentences"]))["embedding"].numpy() - want).max() <= 1e-5
    kbz.save(bundle, tmp_path / "saved")
    for name in ("modules.json", "sentence_bert_config.json"):
        assert json.loads((tmp_path / "saved" / name).read_text()) == json.loads((folder / name).read_text())
    with (
        safetensors.safe_open(folder / "model.safetensors", "np") as theirs,
        safetensors.safe_open(tmp_path / "saved/model.safetensors", "np") as ours,
    ):
        assert set(theirs.keys()) - set(ours.keys()) == {"embeddings.position_ids"}
        for name in ours.keys():  # noqa: SIM118
            assert ours.get_tensor(name).tobytes() == theirs.get_tensor(name).tobytes(), name
