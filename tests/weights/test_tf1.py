"""Google's TF1 checkpoints: read, written, and refused with a reason."""

import json
import shutil

import bert_oracle
import language_oracle
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tf1_oracle as google
import tiny
from sizes import BATCH, HIDDEN, LAYERS, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo import bundle as bundles
from keras_bert_zoo import weights
from keras_bert_zoo.errors import CheckpointError, ConfigError, VocabularyError
from keras_bert_zoo.weights import tf1
from keras_bert_zoo.weights.formats import Weights
from keras_bert_zoo.weights.transfer import import_rows

CONFIG = kbz.BertConfig.from_google(google.CONFIG)
PREFIX, INDEX, DATA = "bert_model.ckpt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"


def folder_of(path, variables, **more):
    return google.write_folder(path, variables, tiny.VOCABULARY, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function that gives a folder with some head, written once; nobody may change it."""
    root, there = tmp_path_factory.mktemp("google"), {}

    def make(head=None):
        if head not in there:
            there[head] = folder_of(root / str(head), google.named(google.tensors(head)))
        return there[head]

    return make


@pytest.fixture
def folder(made, tmp_path):
    """Return a bare encoder's folder to change."""
    return shutil.copytree(made(), tmp_path / "copy")


def features():
    positions = np.random.default_rng(2).integers(0, np.array(bert_oracle.LENGTHS)[:, None], (BATCH, 3), dtype="int32")
    return {**bert_oracle.inputs(), "masked_lm_positions": positions}


def check_encoder(encoder, values):
    inputs = bert_oracle.inputs()
    bert = {name.removeprefix("bert."): value for name, value in values.items() if name.startswith("bert.")}
    want = bert_oracle.bert(google.NUMPY, bert, inputs)
    assert bert_oracle.difference(encoder(inputs), want, inputs["input_mask"]) <= 1e-5
    return want


def audit_of(folder, **more):
    opened = tf1.open_folder(folder)
    return import_rows(kbz.build_encoder(opened.config), opened.reader, opened.rows, **more)


# Reading


def test_an_encoder_gives_what_numpy_does(made):
    folder, values = made(), google.tensors()
    assert weights.find(folder) == "tf1"
    bundle = kbz.load(folder, lower=True)
    assert bundle.head is None
    assert bundle.config == CONFIG
    assert (bundle.config.hidden_act, bundle.config.layer_norm_eps) == ("gelu_tanh", 1e-12)
    assert bundle.tokenizer.vocabulary == tuple(tiny.VOCABULARY)
    assert bundle.tokenizer.lower
    assert not kbz.load(folder, lower=False).tokenizer.lower
    check_encoder(bundle.encoder, values)
    found = {weight.path: np.asarray(weight.value) for weight in bundle.encoder.weights}
    key = values["bert.encoder.layer.2.attention.self.key.weight"]
    np.testing.assert_array_equal(found["block_2/attention/key/kernel"], key.T)
    audit = audit_of(folder)
    assert audit.where == str(folder / PREFIX)
    assert len(audit.matched) == 5 + LAYERS * 16 + 2 == len(values)
    assert ("block_1/inner/kernel", "bert/encoder/layer_1/intermediate/dense/kernel") in audit.matched
    assert audit.missing == audit.unused == audit.misshapen == audit.dtype_changes == audit.config_changes == ()


def test_the_heads_of_pretraining(made):
    values, inputs = google.tensors("pretraining"), features()
    bundle = kbz.load(made("pretraining"), lower=True)
    assert bundle.head.name == "pretraining"
    check_encoder(bundle.encoder, values)
    got = bundle.model(inputs)
    want = language_oracle.logits(values, inputs, inputs["masked_lm_positions"], google.NUMPY)
    assert {*got} == {*want} == {"masked_lm", "next_sentence"}
    for name in want:
        np.testing.assert_allclose(got[name], want[name], atol=2e-5)
    one = kbz.load(made("pretraining"), lower=True, head=kbz.heads.MaskedLM())
    np.testing.assert_allclose(one.model(inputs), want["masked_lm"], atol=2e-5)
    other = kbz.load(made("pretraining"), lower=True, head=kbz.heads.NextSentence())
    np.testing.assert_allclose(other.model(bert_oracle.inputs()), want["next_sentence"], atol=2e-5)
    with pytest.raises(CheckpointError, match=r"unused: 'cls/predictions/output_bias'"):
        kbz.load(made("pretraining"), lower=True, encoder_only=True)
    assert kbz.load(made("pretraining"), lower=True, encoder_only=True, unused=["cls/*"]).head is None


@pytest.mark.parametrize(("left", "head"), [("predictions", "masked_lm"), ("seq_relationship", "next_sentence")])
def test_one_head_of_pretraining(tmp_path, left, head):
    values = google.named(google.tensors("pretraining"))
    kept = {name: value for name, value in values.items() if not name.startswith("cls") or left in name}
    assert kbz.load(folder_of(tmp_path, kept), lower=True).head.name == head


def test_a_classifier(made):
    values = google.tensors("classification")
    bundle = kbz.load(made("classification"), lower=True)
    assert (bundle.head.name, bundle.head.labels) == ("classification", tuple(f"LABEL_{i}" for i in range(5)))
    pooled = check_encoder(bundle.encoder, values)["pooled_output"]
    want = pooled @ values["classifier.weight"].T + values["classifier.bias"]
    np.testing.assert_allclose(bundle.model(bert_oracle.inputs()), want, atol=1e-5)
    assert kbz.load(made("regression"), lower=True).head.name == "regression"


def test_question_answering(made):
    values = google.tensors("question_answering")
    bundle = kbz.load(made("question_answering"), lower=True)
    assert bundle.head.name == "question_answering"
    x = check_encoder(bundle.encoder, values)["sequence_output"]
    want = x @ values["qa_outputs.weight"].T + values["qa_outputs.bias"]
    real = bert_oracle.inputs()["input_mask"].astype(bool)
    np.testing.assert_allclose(np.asarray(bundle.model(bert_oracle.inputs()))[real], want[real], atol=1e-5)


def test_two_heads_are_none_of_ours(tmp_path):
    variables = {**google.named(google.tensors("classification")), **google.named(google.tensors("pretraining"))}
    assert tf1.open_folder(folder_of(tmp_path, variables)).head is None


def test_what_the_optimizer_left_is_accounted_for(tmp_path):
    variables = google.named(google.tensors())
    slots = google.adam(variables)
    folder = folder_of(tmp_path, {**variables, **slots})
    audit = audit_of(folder)
    assert set(audit.unused) == set(slots)
    assert len(audit.matched) == len(variables)
    bundle = kbz.load(folder, lower=True)
    check_encoder(bundle.encoder, google.tensors())
    stray = {"bert/elsewhere/adam_m": np.zeros(2, "float32")}  # of no weight that is there
    with pytest.raises(CheckpointError, match=r"unused: 'bert/elsewhere/adam_m'\."):
        kbz.load(folder_of(tmp_path, {**variables, **slots, **stray}), lower=True)


def test_without_a_pooler(tmp_path):
    values = {name: value for name, value in google.tensors().items() if "pooler" not in name}
    bundle = kbz.load(folder_of(tmp_path / "theirs", google.named(values)), lower=True)
    assert bundle.config == CONFIG.replace(pooler=False)
    check_encoder(bundle.encoder, values)
    (tmp_path / "ours").mkdir()
    assert bundles.write(bundle, tmp_path / "ours", format="tf1").config_changes == ()
    assert set(google.read(tmp_path / "ours" / PREFIX)) == set(google.named(values))


@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")])
def test_half_precision_is_cast_and_told(tmp_path, dtype, name):
    half = {key: value.astype(dtype) for key, value in google.tensors().items()}
    folder = folder_of(tmp_path, google.named(half))
    audit = audit_of(folder)
    assert f"changed in dtype: {len(half)} of {name} -> float32" in str(audit)
    assert f"'bert/pooler/dense/bias' {name} -> float32" in audit.dtype_changes
    check_encoder(kbz.load(folder, lower=True).encoder, {key: value.astype("float32") for key, value in half.items()})


def test_numbers_that_are_none_are_warned_about(tmp_path):
    variables = google.named(google.tensors())
    variables["bert/pooler/dense/bias"] = np.full(HIDDEN, np.nan, "float32")
    variables["bert/embeddings/LayerNorm/beta"] = np.full(HIDDEN, np.inf, "float32")
    with pytest.warns(UserWarning, match=r"LayerNorm/beta', 'bert/pooler/dense/bias' holds numbers") as told:
        kbz.load(folder_of(tmp_path, variables), lower=True)
    assert len(told) == 1


# Which checkpoint


def test_a_checkpoint_of_any_name_in_a_folder_of_any_name(tmp_path):
    folder = folder_of(tmp_path / "déjà vu 中文 + a b", google.named(google.tensors()), prefix="model.ckpt-343")
    bundle = kbz.load(folder, lower=True)
    check_encoder(bundle.encoder, google.tensors())
    kbz.save(bundle, tmp_path / "as ours")
    (tmp_path / "noch einmal é").mkdir()
    bundles.write(bundle, tmp_path / "noch einmal é", format="tf1")
    check_encoder(kbz.load(tmp_path / "noch einmal é").encoder, google.tensors())


def test_a_path_that_tensorflow_takes_for_a_pattern(folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"a\[1\]/bert_model\.ckpt: TensorFlow takes \*, .* for a pattern"):
        kbz.load(folder.rename(tmp_path / "a[1]"), lower=True)


def test_several_checkpoints(folder):
    other = {name: value * 0 for name, value in google.named(google.tensors()).items()}
    google.save(folder / "model.ckpt-7", other)
    with pytest.raises(
        CheckpointError,
        match=r"several checkpoints: bert_model\.ckpt, model\.ckpt-7\. Leave one, or name it in a file 'checkpoint'",
    ):
        kbz.load(folder, lower=True)
    (folder / "checkpoint").write_text('model_checkpoint_path: "/gone/since/bert_model.ckpt"\n')
    check_encoder(kbz.load(folder, lower=True).encoder, google.tensors())
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-8"\n')
    with pytest.raises(CheckpointError, match=r"checkpoint names model\.ckpt-8, but that is not there\. There: bert_m"):
        kbz.load(folder, lower=True)
    (folder / "checkpoint").write_text('model_checkpoint_path "')
    with pytest.raises(CheckpointError, match=r"checkpoint cannot be read\. It should say model_checkpoint_path"):
        kbz.load(folder, lower=True)


def test_no_checkpoint(folder):
    (folder / DATA).unlink()
    for load in (lambda: kbz.load(folder, format="tf1", lower=True), lambda: tf1.open_folder(folder)):
        with pytest.raises(
            CheckpointError, match=r"copy has no checkpoint: no <prefix>\.index with its <prefix>\.data"
        ):
            load()
    with pytest.raises(CheckpointError, match=r"is of no weight format known here"):
        kbz.load(folder)
    (folder / "checkpoint").write_text('model_checkpoint_path: "bert_model.ckpt"\n')
    with pytest.raises(CheckpointError, match=r"that is not there\. There: no checkpoint\."):
        tf1.open_folder(folder)
    with pytest.raises(CheckpointError, match=r"absent: there is no such folder"):
        tf1.open_folder(folder / "absent")


def test_other_programs_have_files_named_index_too(folders, tmp_path):
    folder = shutil.copytree(folders / "encoder", tmp_path / "copy")
    (folder / "faiss.index").write_bytes(b"IxFI")
    assert weights.find(folder) == "huggingface"


# Damage


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_an_index_that_is_cut_off(folder, keep):
    path = folder / INDEX
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"bert_model\.ckpt cannot be read: .*fetch them again"):
        kbz.load(folder, lower=True)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_data_that_are_cut_off(folder, keep):
    path = folder / DATA
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        CheckpointError,
        match=rf"its \.data files have {path.stat().st_size} bytes, the index speaks of {size}: they are",
    ):
        kbz.load(folder, lower=True)


def test_data_that_are_not_all_there(folder):
    (folder / DATA).rename(folder / "bert_model.ckpt.data-00000-of-00002")
    with pytest.raises(CheckpointError, match=r"some of its \.data files are missing \(there: .*data-00000-of-00002\)"):
        kbz.load(folder, lower=True)


def test_a_number_that_was_changed_on_the_way(folder):
    path = folder / DATA
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"cannot be read: .*Checksum does not match"):
        kbz.load(folder, lower=True)


# Config and weights


def change_config(folder, **changes):
    (folder / "bert_config.json").write_text(json.dumps({**google.CONFIG, **changes}))
    return folder


def test_without_a_config(folder):
    (folder / "bert_config.json").unlink()
    with pytest.raises(ConfigError, match=r"copy has no bert_config\.json"):
        kbz.load(folder, lower=True)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("{", r"bert_config\.json cannot be read as JSON"),
        ('{"hiden_size": 3}', r"bert_config\.json: unknown key hiden_size"),
        ('{"hidden_act": "swish"}', r"bert_config\.json: hidden_act is 'swish', it must be one of gelu"),
        ('{"hidden_size": 10}', r"bert_config\.json: BertConfig: hidden_size 10 cannot be divided"),
    ],
)
def test_a_config_that_cannot_be_used(folder, text, fact):
    (folder / "bert_config.json").write_text(text)
    with pytest.raises(ConfigError, match=fact):
        kbz.load(folder, lower=True)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"num_hidden_layers": LAYERS + 1}, r"missing: 'bert/encoder/layer_3/attention/self/key/bias' \(for block_3"),
        ({"num_hidden_layers": LAYERS - 1}, r"unused: 'bert/encoder/layer_2/attention/output/LayerNorm/beta'"),
        ({"hidden_size": 16}, r"'bert/pooler/dense/kernel' is \[12, 12\], the encoder needs \[16, 16\]"),
        (
            {"vocab_size": VOCAB + 1},
            r"word_embeddings' is \[99, 12\], the encoder needs \[100, 12\]\. Build it from the",
        ),
        ({"type_vocab_size": 3}, r"token_type_embeddings' is \[2, 12\], the encoder needs \[3, 12\]"),
    ],
)
def test_a_config_of_other_weights(folder, changes, fact):
    with pytest.raises(CheckpointError, match=fact):
        kbz.load(change_config(folder, **changes), lower=True)


def test_a_vocabulary_of_other_weights(folder):
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in [*tiny.VOCABULARY, "[more]"]))
    with pytest.raises(VocabularyError, match=r"vocab\.txt has 100 lines, but the weights know 99 .*bert_config\.json"):
        kbz.load(folder, lower=True)
    with pytest.raises(VocabularyError, match=r"Pass lower=True for an uncased model"):
        kbz.load(folder)


def test_all_that_does_not_fit_is_said_at_once(tmp_path):
    variables = google.named(google.tensors())
    del variables["bert/pooler/dense/bias"]
    variables["bert/encoder/layer_0/output/dense/kernel"] = variables["bert/encoder/layer_0/output/dense/kernel"].T
    variables["bert/stray"] = np.zeros(3, "float32")
    folder = folder_of(tmp_path, variables)
    with pytest.raises(CheckpointError) as told:
        kbz.load(folder, lower=True)
    assert str(told.value) == (
        f"{folder / PREFIX}: 'bert/encoder/layer_0/output/dense/kernel' is [12, 37], the encoder needs [37, 12];"
        " missing: 'bert/pooler/dense/bias' (for pooler/bias); unused: 'bert/stray'."
        " Build it from the config in that folder. What may be left out is named with missing= and unused=."
    )


def test_weights_of_another_model(tmp_path):
    folder = folder_of(tmp_path, {"resnet/conv": np.zeros(3, "float32")})
    with pytest.raises(CheckpointError, match=r"no 'bert/embeddings/word_embeddings' in it: these are not the weights"):
        kbz.load(folder, lower=True)


# Writing

HEADS = {
    None: lambda: None,
    "pretraining": kbz.heads.Pretraining,
    "classification": lambda: kbz.heads.Classification(labels=list("abcde"), pair=True),
    "regression": kbz.heads.Regression,
    "question_answering": lambda: kbz.heads.QuestionAnswering(no_answer=True),
}


@pytest.mark.parametrize("head", HEADS)
def test_what_is_written_is_what_was_read(made, tmp_path, head):
    bundle = kbz.load(made(head), lower=True, head=HEADS[head]())
    audit = bundles.write(bundle, tmp_path, format="tf1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["bert_config.json", "vocab.txt", INDEX, DATA, "zoo.json"]
    )
    got, want = google.read(tmp_path / PREFIX), google.read(made(head) / PREFIX)
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].dtype == np.float32
        assert got[name].shape == value.shape
        assert got[name].tobytes() == value.tobytes(), name
    assert sorted(theirs for _, theirs in audit.matched) == sorted(want)
    assert (audit.where, audit.config_changes) == (str(tmp_path / PREFIX), ())
    assert json.loads((tmp_path / "bert_config.json").read_text()) == google.CONFIG
    assert (tmp_path / "vocab.txt").read_bytes() == (made(head) / "vocab.txt").read_bytes()
    again = kbz.load(tmp_path)  # zoo.json tells casing and head
    assert again.config == bundle.config
    assert again.tokenizer.settings == bundle.tokenizer.settings
    assert (again.head and again.head.get_config()) == (bundle.head and bundle.head.get_config())
    one, other = (Weights(it.encoder, it.model).weights for it in (again, bundle))
    for ours, theirs in zip(one, other, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.value, theirs.value)


def test_the_other_heads_on_a_pooled_vector(tmp_path):
    bundle = tiny.bundle(kbz.heads.MultiLabel(["plot", "actors", "music"]), config=CONFIG)
    bundles.write(bundle, tmp_path, format="tf1")
    kernel = np.asarray(bundle.model.get_layer("head_logits").kernel.value)
    np.testing.assert_array_equal(google.read(tmp_path / PREFIX)["output_weights"], kernel.T)
    again = kbz.load(tmp_path)
    assert again.head.get_config() == bundle.head.get_config()
    np.testing.assert_array_equal(again.model.get_layer("head_logits").kernel.value, kernel)


@pytest.mark.parametrize(
    "head",
    [kbz.heads.TokenClassification(labels=["O", "B-x", "I-x"]), kbz.heads.MultipleChoice()],
    ids=lambda head: head.name,
)
def test_heads_that_have_no_place(tmp_path, head):
    with pytest.raises(ConfigError, match=rf"The weight format 'tf1' has no place for the head '{head.name}'"):
        bundles.write(tiny.bundle(head, config=CONFIG), tmp_path, format="tf1")
    assert not list(tmp_path.iterdir())


def test_a_config_that_google_has_no_word_for(tmp_path):
    bundle = tiny.bundle(config=CONFIG.replace(hidden_act="gelu_erf", layer_norm_eps=1e-5))
    with pytest.raises(ConfigError, match=r"'tf1' has no word for hidden_act 'gelu_erf' \(only 'gelu_tanh', 'relu', "):
        bundles.write(bundle, tmp_path, format="tf1", allow=["layer_norm_eps"])
    assert not list(tmp_path.iterdir())
    audit = bundles.write(bundle, tmp_path, format="tf1", allow=["layer_norm_eps", "hidden_act"])
    assert audit.config_changes == ("hidden_act 'gelu_erf' -> 'gelu_tanh'", "layer_norm_eps 1e-05 -> 1e-12")
    assert "changed in the config: hidden_act" in str(audit)
    assert kbz.load(tmp_path).config == CONFIG


def test_stored_half_precision_stays_half(made, tmp_path):
    bundles.write(kbz.load(made(), lower=True, dtype="bfloat16"), tmp_path, format="tf1")
    got = google.read(tmp_path / PREFIX)
    for name, value in google.named(google.tensors()).items():
        np.testing.assert_array_equal(got[name], value.astype(ml_dtypes.bfloat16))


def test_a_disk_that_is_full(made, tmp_path, monkeypatch):
    def fail(**arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.raw_ops, "SaveV2", fail)
    bundle = kbz.load(made(), lower=True)
    with pytest.raises(CheckpointError, match=r"out cannot be written: bert_model\.ckpt: No space left on device"):
        kbz.save(bundle, tmp_path / "out", format="tf1")
    assert not list(tmp_path.glob("*out*"))
