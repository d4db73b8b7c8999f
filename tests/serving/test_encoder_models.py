"""The two SavedModels of an encoder: asked by a stranger, and held against TF.Text, NumPy and the encoder itself."""

import json
import subprocess
import sys
from pathlib import Path

import bert_oracle
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
import tensorflow_text
import tiny
from sizes import HIDDEN, LAYERS, POSITIONS

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, ExportError
from keras_bert_zoo.serving import encoder_models, fresh_process
from keras_bert_zoo.serving.encoder_models import export_encoder

LENGTH = 11
TEXTS = ["a good film", "", "The plot: bads, zz", "so very bad and dull and cold and poor and awful again"]
PAIRS = ["it was", "the end is near", "", "good good good good good good good good good good good good"]
CLS, SEP = (tiny.VOCABULARY.index(token) for token in ("[CLS]", "[SEP]"))


def ids(words):
    return [tiny.VOCABULARY.index(word) for word in words.split()]


@pytest.fixture(scope="module")
def bundle():
    return tiny.bundle()


@pytest.fixture(scope="module")
def folders(bundle, tmp_path_factory):
    return export_encoder(bundle, tmp_path_factory.mktemp("models") / "tiny", seq_length=LENGTH)


@pytest.fixture(scope="module")
def preprocessor(folders):
    return tf.saved_model.load(str(folders.preprocessor))


@pytest.fixture(scope="module")
def encoder(folders):
    return tf.saved_model.load(str(folders.encoder))


def inputs():
    return {name: tf.constant(value) for name, value in bert_oracle.inputs().items()}


def check_same(got, want):
    assert {"default", *want} == set(got)
    np.testing.assert_array_equal(got["default"], got["pooled_output"])
    for key in ("pooled_output", "sequence_output"):
        np.testing.assert_allclose(got[key], want[key], atol=1e-5)
    assert len(got["encoder_outputs"]) == LAYERS
    for one, other in zip(got["encoder_outputs"], want["encoder_outputs"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


# Both, in another process


@pytest.fixture(scope="module")
def stranger(folders):
    """Return what a process with TensorFlow and TF.Text alone gets: as any TF2 code would, and from the signatures."""
    script = Path(__file__).with_name("hub_stranger.py")
    features = {name: value.tolist() for name, value in bert_oracle.inputs().items()}
    asked = {"pairs": [TEXTS, PAIRS], "columns": [{"sentences": TEXTS}, features]}
    command = [sys.executable, script, fresh_process.__file__, *folders]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_stranger_uses_them_with_tensorflow_alone(bundle, stranger):
    got = stranger["pair"]
    assert got["input_word_ids"][0] == [CLS, *ids("a good film"), SEP, *ids("it was"), SEP, 0]
    assert got["input_type_ids"][0] == [0] * 5 + [1] * 3 + [0]
    assert got["input_mask"][0] == [1] * 8 + [0]
    assert got["input_word_ids"][1] == [CLS, SEP, *bundle.tokenizer.tokenize(PAIRS[1:2]).values.numpy()[:6], SEP]
    assert got["input_word_ids"][3] == [CLS, *ids("so very bad"), SEP, *ids("good good good"), SEP]
    packed = {name: np.array(got[name], "int32") for name in bert_oracle.inputs()}
    check_same({name: got[name] for name in set(got) - set(packed)}, bundle.encoder(packed))
    assert stranger["special"] == {
        "vocab_size": len(tiny.VOCABULARY),
        "start_of_sequence_id": 2,
        "end_of_segment_id": 3,
        "padding_id": 0,
        "mask_id": 4,
    }


def test_both_loaders_run_the_signatures(bundle, stranger):
    want = bundle.encoder(bert_oracle.inputs())
    for packed, got in stranger["signatures"]:
        assert set(packed) == set(bert_oracle.inputs())
        assert packed["input_word_ids"][:2] == [[2, *ids("a good film"), 3] + [0] * 6, [2, 3] + [0] * 9]
        assert packed["input_mask"][:2] == [[1] * 5 + [0] * 6, [1] * 2 + [0] * 9]
        assert set(got) == {"pooled_output", "sequence_output"}
        for key, value in got.items():
            np.testing.assert_allclose(value, want[key], atol=1e-5)


# The preprocessor


def test_words_are_those_of_tf_text(preprocessor):
    texts = ["A good film", "", "bads, zzs!", "  ", "so-so q\u00e9 \u5317\u4eac bad", "x" * 40 + " it"]
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(tiny.VOCABULARY, tf.range(len(tiny.VOCABULARY), dtype=tf.int64)), 1
    )
    theirs = tensorflow_text.BertTokenizer(table, token_out_type=tf.int32, lower_case=True).tokenize(texts)
    got = preprocessor.tokenize(tf.constant(texts))
    assert (got.dtype, got.ragged_rank, got.shape.as_list()) == (tf.int32, 2, [6, None, None])
    assert got.to_list() == theirs.to_list()
    assert got.to_list()[2] == [ids("bad ##s"), ids("[UNK]"), ids("z ##z ##s"), ids("[UNK]")]
    assert preprocessor.tokenize(tf.constant([], tf.string)).to_list() == []


def test_ids_are_our_tokenizers_where_tf_text_errs(bundle, preprocessor):
    texts = ["\u0391\u03a3 caf\u00e9 \ufb01lm \u2460 \uac00", b"\xff good\x00", "film " * 3000, "a" * 201]
    flat = preprocessor.tokenize(tf.constant(texts)).merge_dims(1, 2)
    assert flat.to_list() == bundle.tokenizer.tokenize(texts).to_list()


@pytest.mark.parametrize("segments", [1, 2])
@pytest.mark.parametrize("rank", [1, 2])
def test_packing_is_that_of_tf_text(preprocessor, rank, segments):
    rng = np.random.default_rng(9)
    for length in (3, 4, 7, 8, 20):
        lengths = [rng.integers(0, 9, 13) for _ in range(segments)]
        rows = [tf.RaggedTensor.from_row_lengths(rng.integers(5, 99, sum(n)).astype("int32"), n) for n in lengths]
        trimmed = tensorflow_text.RoundRobinTrimmer(length - segments - 1).trim(rows)
        joined, types = tensorflow_text.combine_segments(trimmed, start_of_sequence_id=CLS, end_of_segment_id=SEP)
        want_ids, want_mask = tensorflow_text.pad_model_inputs(joined, length, pad_value=0)
        want_types, _ = tensorflow_text.pad_model_inputs(types, length, pad_value=0)
        if rank == 2:  # each piece a word
            ones = [tf.ones_like(row.values, tf.int64) for row in rows]
            words = [tf.RaggedTensor.from_row_lengths(row.values, one) for row, one in zip(rows, ones, strict=True)]
            rows = [row.with_values(word) for row, word in zip(rows, words, strict=True)]
        got = preprocessor.bert_pack_inputs(rows, seq_length=tf.constant(length))
        want = {"input_word_ids": want_ids, "input_mask": want_mask, "input_type_ids": want_types}
        assert set(got) == set(want)
        for name, value in want.items():
            assert got[name].dtype == tf.int32
            np.testing.assert_array_equal(got[name], value)


def test_a_whole_text_and_its_length(preprocessor):
    whole = preprocessor(tf.constant(TEXTS))
    tokens = preprocessor.tokenize(tf.constant(TEXTS))
    for got in (preprocessor.bert_pack_inputs([tokens]), preprocessor.bert_pack_inputs([tokens], seq_length=LENGTH)):
        for name, value in whole.items():
            assert value.shape == (len(TEXTS), LENGTH)
            np.testing.assert_array_equal(got[name], value)
    spec = preprocessor.signatures["serving_default"].structured_outputs
    assert {name: value.shape.as_list() for name, value in spec.items()} == {
        name: [None, LENGTH] for name in ("input_word_ids", "input_mask", "input_type_ids")
    }
    assert preprocessor(tf.constant([], tf.string))["input_mask"].shape == (0, LENGTH)


def test_in_a_data_pipeline(preprocessor):
    data = tf.data.Dataset.from_tensor_slices(TEXTS).batch(3).map(preprocessor)
    got = [batch["input_word_ids"].shape.as_list() for batch in data]
    assert got == [[3, LENGTH], [1, LENGTH]]


def test_no_room(preprocessor):
    tokens = preprocessor.tokenize(tf.constant(TEXTS))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"seq_length has no room for \[CLS\] and \[SEP\].* take 3"
    ):
        preprocessor.bert_pack_inputs([tokens, tokens], seq_length=tf.constant(2))
    least = preprocessor.bert_pack_inputs([tokens], seq_length=tf.constant(2))
    assert least["input_word_ids"].numpy().tolist() == [[2, 3]] * len(TEXTS)


# The encoder


def test_outputs_are_the_encoders_and_numpys(bundle, encoder, tmp_path):
    got = encoder(inputs())
    check_same(got, bundle.encoder(bert_oracle.inputs()))
    kbz.save(bundle, tmp_path / "hf")
    values = safetensors.numpy.load_file(tmp_path / "hf" / "model.safetensors")
    want = bert_oracle.bert(bert_oracle.CONFIG, values, bert_oracle.inputs())
    ours = {name: value for name, value in got.items() if name != "default"}
    assert bert_oracle.difference(ours, want, bert_oracle.inputs()["input_mask"]) <= 1e-5


def test_variables_have_model_gardens_names_and_shapes(bundle, encoder):
    networks = pytest.importorskip("official.nlp.modeling.networks")
    config = bundle.config
    theirs = networks.BertEncoder(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        inner_dim=config.intermediate_size,
        max_sequence_length=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
    )
    want = [(variable.name, variable.shape) for variable in theirs.variables]
    assert [(variable.name, variable.shape) for variable in encoder.variables] == want
    assert [variable.name for variable in encoder.trainable_variables] == [name for name, _ in want]
    assert all(variable.trainable for variable in encoder.trainable_variables)
    assert encoder.regularization_losses == []
    assert encoder.do_lower_case.numpy()
    assert Path(encoder.vocab_file.asset_path.numpy().decode()).read_text().splitlines() == tiny.VOCABULARY


def test_dropout_is_for_training(encoder):
    quiet = [encoder(inputs(), training=False)["sequence_output"].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    loud = [encoder(inputs(), training=True)["sequence_output"].numpy() for _ in range(200)]
    assert np.abs(loud[0] - loud[1]).max() > 0.1
    first = np.stack([x[0, 0] for x in loud])
    assert np.abs(first.mean(0) - quiet[0][0, 0]).max() < 0.6  # about the same without it


def test_gradients_are_the_encoders_own(bundle, encoder):
    def gradients(model, variables):
        with tf.GradientTape() as tape:
            found = model(inputs(), training=False)
            loss = tf.reduce_sum(found["pooled_output"] ** 2) + tf.reduce_sum(found["sequence_output"] ** 3)
        return [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(loss, variables)]

    got = gradients(encoder, encoder.trainable_variables)
    want = gradients(bundle.encoder, [weight.value for weight in bundle.encoder.weights])
    for one, other in zip(got, want, strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one.reshape(other.shape), other, atol=1e-4 * max(1, np.abs(other).max()))


def test_it_learns(folders):
    encoder = tf.saved_model.load(str(folders.encoder))
    want = tf.constant(np.random.default_rng(0).uniform(-0.8, 0.8, (5, HIDDEN)), tf.float32)

    def step(rate):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((encoder(inputs(), training=True)["pooled_output"] - want) ** 2)
        for variable, gradient in zip(
            encoder.trainable_variables, tape.gradient(loss, encoder.trainable_variables), strict=True
        ):
            variable.assign_sub(rate * tf.convert_to_tensor(gradient))
        return loss.numpy()

    losses = [step(0.1) for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_rows_longer_than_the_positions(encoder):
    long = {name: tf.ones([2, POSITIONS + 1], tf.int32) for name in bert_oracle.inputs()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"longer than the {POSITIONS} positions of the"):
        encoder(long)
    assert encoder({name: value[:, 1:] for name, value in long.items()})["pooled_output"].shape == (2, HIDDEN)


def test_with_keras_layers_of_tensorflow_hub(bundle, folders):
    hub = pytest.importorskip("tensorflow_hub")
    import tf_keras

    texts = tf_keras.Input((), dtype=tf.string)
    packed = hub.KerasLayer(str(folders.preprocessor))(texts)
    layer = hub.KerasLayer(str(folders.encoder), trainable=True)
    pooled = layer(packed)["pooled_output"]
    assert pooled.shape.as_list() == [None, HIDDEN]
    model = tf_keras.Model(texts, tf_keras.layers.Dense(1)(pooled))
    assert len(layer.trainable_weights) == len(bundle.encoder.weights)
    features = {name: value.numpy() for name, value in hub.load(str(folders.preprocessor))(tf.constant(TEXTS)).items()}
    got = tf_keras.Model(texts, pooled).predict(tf.constant(TEXTS), verbose=0)
    np.testing.assert_allclose(got, bundle.encoder(features)["pooled_output"], atol=1e-5)
    model.compile(tf_keras.optimizers.Adam(0.02), "mse")
    before = layer.get_weights()
    model.fit(tf.constant(TEXTS), tf.constant([1.0, -1.0, 2.0, 0.0]), verbose=0)
    moved = [np.abs(one - other).max() > 0 for one, other in zip(before, layer.get_weights(), strict=True)]
    assert sum(moved) > 0.9 * len(before)  # the bias of a key moves nothing


# On disk


def test_weights_are_stored_once(bundle, folders):
    stored = sum(path.stat().st_size for path in (folders.encoder / "variables").glob("*.data-*"))
    weights = sum(weight.numpy().nbytes for weight in bundle.encoder.weights)
    assert weights <= stored <= weights + 300 * len(bundle.encoder.weights)  # the graph of objects comes with them


def test_files(folders):
    for folder in folders:
        assert folder.name == "1"
        assert (folder / "assets" / "vocab.txt").read_text().splitlines() == tiny.VOCABULARY
        there = {path.name for path in folder.iterdir()} - {"zoo.json"}
        assert there == {"assets", "fingerprint.pb", "saved_model.pb", "variables"}
    assert folders.preprocessor.parent.name == "preprocessor"
    assert folders.encoder.parent.name == "encoder"


def test_versions_and_the_default_length(bundle, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(encoder_models, "_save", lambda model, signature, tokenizer, folder: saved.append(model))
    monkeypatch.setattr(encoder_models, "_encoder", lambda bundle, serving_version: (tf.Module(), None))
    first = export_encoder(bundle, tmp_path)
    assert saved[0].__call__(tf.constant(TEXTS))["input_mask"].shape == (4, POSITIONS)  # fewer than 128
    assert first == (tmp_path / "preprocessor/1", tmp_path / "encoder/1")
    (tmp_path / "encoder/6").mkdir()
    assert export_encoder(bundle, tmp_path).preprocessor.name == "7"
    with pytest.raises(ExportError, match=r"preprocessor/7: this version is there already. Leave version out"):
        export_encoder(bundle, tmp_path, version=7)
    with pytest.raises(ExportError, match="version is 0, TensorFlow Serving wants"):
        export_encoder(bundle, tmp_path, version=0)
    with pytest.raises(ExportError, match=r"serving_version is '2\.11', it must be one of 2\.12"):
        export_encoder(bundle, tmp_path, serving_version="2.11")
    assert encoder_models._SEQ_LENGTH == 128


@pytest.mark.parametrize("length", [2, POSITIONS + 1])
def test_lengths_without_room(bundle, tmp_path, length):
    with pytest.raises(ExportError, match=f"seq_length is {length}, it must be from 3.* to {POSITIONS}, the model's"):
        export_encoder(bundle, tmp_path, seq_length=length)
    assert list(tmp_path.iterdir()) == []


def test_no_pooler(tmp_path):
    with pytest.raises(ExportError, match="has no pooler, but TF Hub's interface promises pooled_output"):
        export_encoder(tiny.bundle(config=tiny.CONFIG.replace(pooler=False)), tmp_path)
    with pytest.raises(ConfigError, match="is no BERT encoder"):
        export_encoder(kbz.Bundle(tf.keras.Sequential(name="stranger"), tiny.tokenizer()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_nothing(bundle, tmp_path, monkeypatch):
    def fail(bundle, serving_version):
        assert len(list(tmp_path.glob("preprocessor/.1.*/saved_model.pb"))) == 1  # the other is written by now
        raise OSError("disk full")

    monkeypatch.setattr(encoder_models, "_encoder", fail)
    with pytest.raises(OSError, match="disk full"):
        export_encoder(bundle, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "preprocessor"]
    assert [list(path.iterdir()) for path in tmp_path.iterdir()] == [[], []]


def test_a_cased_packed_encoder_under_a_head(tmp_path):
    """A head is left out; the layout of the exported encoder is its own."""
    made = tiny.bundle(kbz.heads.Classification(["x", "y"]), config=tiny.CONFIG.replace(hidden_act="relu"))
    cased = kbz.Tokenizer(tiny.VOCABULARY, lower=False)
    packed = kbz.Bundle(kbz.with_layout(made.encoder, "packed"), cased, made.head, made.model)
    folders = export_encoder(packed, tmp_path)
    encoder = tf.saved_model.load(str(folders.encoder))
    check_same(encoder(inputs()), made.encoder(bert_oracle.inputs()))
    assert not encoder.do_lower_case.numpy()
    got = tf.saved_model.load(str(folders.preprocessor)).tokenize(tf.constant(["a Good"])).to_list()
    assert got == [[ids("a"), ids("[UNK]")]]
