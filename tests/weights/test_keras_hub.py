"""KerasHub presets: the real library reads what we wrote, we read what it wrote, and what cannot be is refused."""

import dataclasses
import json
import os
import re
import shutil
import warnings

import bert_oracle
import h5py
import keras
import numpy as np
import pytest
import tiny
from sizes import HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo import weights
from keras_bert_zoo.errors import CheckpointError, ConfigError, VocabularyError
from keras_bert_zoo.weights import keras_hub as format_file

CONFIG = tiny.CONFIG.replace(hidden_act="gelu_tanh", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
TEXTS = ["a good film", "So, the plot is awful!"]
TASKS = {
    "backbone": ("BertBackbone", None),
    "classifier": ("BertTextClassifier", kbz.heads.Classification(["sad", "calm", "glad"], dropout=0.25)),
    "masked_lm": ("BertMaskedLM", kbz.heads.MaskedLM(hidden_act="gelu_erf", layer_norm_eps=1e-5)),
}
FEATURES = {**bert_oracle.inputs(), "masked_lm_positions": np.array([[0, 3, 2]] * 5, "int32")}


@pytest.fixture(scope="module")
def hub():
    import keras_hub  # seconds: only those tests that ask it pay for them

    return keras_hub


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Return bundles with random weights, and a folder that holds each as a preset."""
    root = tmp_path_factory.mktemp("ours")
    bundles = {name: tiny.bundle(head, config=CONFIG) for name, (_, head) in TASKS.items()}
    for name, bundle in bundles.items():
        kbz.save(bundle, root / name, format="keras_hub")
    return root, bundles


@pytest.fixture(scope="module")
def theirs(hub, tmp_path_factory):
    """Return models of KerasHub with random weights, and a folder that holds each as it saved it."""
    root = tmp_path_factory.mktemp("theirs")
    models = {}
    for name in TASKS:
        keras.utils.set_random_seed(7)
        sizes = {"vocabulary_size": VOCAB, "num_layers": LAYERS, "num_heads": HEADS, "hidden_dim": HIDDEN}
        model = hub.models.BertBackbone(
            **sizes, intermediate_dim=INNER, max_sequence_length=POSITIONS, num_segments=TYPES, dropout=0.3
        )
        tokenizer = hub.models.BertTokenizer(tiny.VOCABULARY, lowercase=True)
        if name == "classifier":
            pack = hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=POSITIONS)
            model = hub.models.BertTextClassifier(model, num_classes=3, preprocessor=pack, dropout=0.15)
        elif name == "masked_lm":
            pack = hub.models.BertMaskedLMPreprocessor(tokenizer, sequence_length=POSITIONS)
            model = hub.models.BertMaskedLM(model, preprocessor=pack)
        for weight in model.weights:
            weight.assign(weight.value + keras.random.normal(weight.shape, stddev=0.3))
        model.save_to_preset(root / name)
        if name == "backbone":
            tokenizer.save_to_preset(root / name)
        models[name] = model
    return root, models


@pytest.fixture
def preset(ours, tmp_path):
    """Return a copy of a classifier's preset, without `zoo.json`, to be damaged."""
    copy = shutil.copytree(ours[0] / "classifier", tmp_path / "preset")
    (copy / "zoo.json").unlink()
    return copy


def run_theirs(model):
    """Run a model of KerasHub on FEATURES."""
    names = {
        "token_ids": "input_word_ids",
        "segment_ids": "input_type_ids",
        "padding_mask": "input_mask",
        "mask_positions": "masked_lm_positions",
    }
    return model({theirs: FEATURES[ours] for theirs, ours in names.items() if theirs in model.input})


def run_ours(bundle):
    model = bundle.model or bundle.encoder
    return model({name: FEATURES[name] for name in model.input})


def check_same(found, expected):
    real = FEATURES["input_mask"].astype(bool)
    if isinstance(found, dict):
        tokens = [np.asarray(side["sequence_output"])[real] for side in (found, expected)]
        np.testing.assert_allclose(*tokens, atol=1e-5)
        found, expected = found["pooled_output"], expected["pooled_output"]
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-5)


def tensors(folder):
    """Read a preset's tensors with h5py alone."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[f"{path.name}:{name}"] = item[()]

    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            file.visititems(visit)
    return found


def plain(values):
    """Take out what may differ: Keras numbers names, and ours takes accents off as BERT does."""
    text = re.sub(r'("name": "\w+?)_\d+"', r'\1"', json.dumps(values))
    return json.loads(text.replace('accents": true', 'accents": false'))


def edit(path, *keys, **changes):
    """Change values inside a JSON file; None takes one out."""
    values = json.loads(path.read_text())
    part = values
    for key in keys:
        part = part[key]
    for name, value in changes.items():
        part[name] = value
        if value is None:
            del part[name]
    path.write_text(json.dumps(values))


# Both ways


@pytest.mark.parametrize("name", TASKS)
def test_keras_hub_reads_what_we_wrote(hub, ours, name):
    root, bundles = ours
    bundle = bundles[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras only warns of weights that it leaves out
        model = getattr(hub.models, TASKS[name][0]).from_preset(str(root / name))
    check_same(run_theirs(model), run_ours(bundle))
    assert type(hub.models.Tokenizer.from_preset(str(root / name))).__name__ == "BertTokenizer"
    if name == "classifier":
        logits = np.asarray(model(model.preprocessor(TEXTS)))
        odds = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        told = [answer["probabilities"] for answer in bundle.predict(TEXTS)]
        np.testing.assert_allclose(odds, told, atol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_we_read_what_keras_hub_wrote_and_write_the_same_files(theirs, tmp_path, name):
    root, models = theirs
    bundle = kbz.load(root / name)
    check_same(run_ours(bundle), run_theirs(models[name]))
    assert bundle.config == CONFIG.replace(
        hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3, initializer_range=0.02
    )
    assert bundle.tokenizer.vocabulary == tuple(tiny.VOCABULARY)
    assert bundle.tokenizer.settings.lower
    assert (bundle.head.name if bundle.head else "backbone") in (name, "classification")
    if name == "classifier":
        assert bundle.head.get_config() == {
            "labels": ["LABEL_0", "LABEL_1", "LABEL_2"],
            "pair": False,
            "dropout": 0.15,
        }

    kbz.save(bundle, tmp_path / "again", format="keras_hub")
    found, expected = tensors(tmp_path / "again"), tensors(root / name)
    assert {key: (x.dtype, x.shape) for key, x in found.items()} == {
        key: (x.dtype, x.shape) for key, x in expected.items()
    }
    assert {key: x.tobytes() for key, x in found.items()} == {key: x.tobytes() for key, x in expected.items()}
    for path in (root / name).glob("*.json"):
        mine, other = (json.loads((folder / path.name).read_text()) for folder in (tmp_path / "again", root / name))
        for side in (mine, other):
            side.pop("date_saved", None)
            side.pop("keras_hub_version", None)
        mine, other = plain(mine), plain(other)
        assert mine == other, path.name


def test_our_own_preset_comes_back_whole(ours):
    root, bundles = ours
    for name, bundle in bundles.items():
        again = kbz.load(root / name)
        assert again.config == CONFIG.replace(initializer_range=0.02)
        assert again.max_length == bundle.max_length
        assert again.tokenizer.settings == bundle.tokenizer.settings
        if bundle.head:
            assert again.head.get_config() == bundle.head.get_config()
        pairs = zip((again.model or again.encoder).weights, (bundle.model or bundle.encoder).weights, strict=True)
        for one, other in pairs:
            assert one.path == other.path
            assert np.asarray(one.value).tobytes() == np.asarray(other.value).tobytes()
    shape = tensors(root / "backbone")
    query = np.asarray(bundles["backbone"].encoder.get_layer("block_1").attention.query.kernel.value)
    stored = shape["model.weights.h5:layers/transformer_encoder_1/_self_attention_layer/query_dense/vars/0"]
    np.testing.assert_array_equal(stored, query.reshape(HIDDEN, HEADS, HIDDEN // HEADS))


def test_half_precision_is_written_and_read(hub, ours, tmp_path):
    folder = kbz.save(ours[1]["backbone"], tmp_path / "half", format="keras_hub", dtype="bfloat16")
    model = hub.models.BertBackbone.from_preset(str(folder), dtype="bfloat16")
    again = kbz.load(folder, dtype="auto")
    assert {weight.dtype for weight in again.encoder.weights} == {"bfloat16"}
    want = {weight.path: keras.ops.cast(weight.value, "bfloat16") for weight in ours[1]["backbone"].encoder.weights}
    for weight in again.encoder.weights:
        np.testing.assert_array_equal(np.asarray(weight.value), np.asarray(want[weight.path]))
    np.testing.assert_array_equal(
        np.asarray(model.token_embedding.embeddings.value), np.asarray(want["embeddings/token/embeddings"])
    )
    with pytest.warns(UserWarning, match=r"half stores bfloat16; it is loaded as float32.*dtype=\"bfloat16\" to keep"):
        kbz.load(folder)


def test_older_files_are_read(preset):
    expected = kbz.load(preset)
    with h5py.File(preset / "model.weights.h5", "a") as file:  # as Keras 2.13 named the group
        file.move("layers", "_layer_checkpoint_dependencies")
    for name in ("config.json", "task.json", "tokenizer.json"):
        text = (preset / name).read_text()
        (preset / name).write_text(text.replace("keras_hub>", "keras_nlp>").replace("BertTextClass", "BertClass"))
    again = kbz.load(preset)
    check_same(run_ours(again), run_ours(expected))


# What KerasHub has no word for


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("hidden_act", "gelu_erf", "hidden_act 'gelu_erf' (only 'gelu_tanh')"),
        ("hidden_act", "relu", "hidden_act 'relu' (only 'gelu_tanh')"),
        ("layer_norm_eps", 1e-5, "layer_norm_eps 1e-05 (only 1e-12)"),
        ("attention_probs_dropout_prob", 0.0, "attention_probs_dropout_prob 0.0 (only 0.2)"),
        ("pooler", False, "pooler False (only True)"),
    ],
)
def test_a_field_changes_only_where_it_may(tmp_path, field, value, told):
    bundle = tiny.bundle(config=CONFIG.replace(**{field: value}))
    with pytest.raises(ConfigError) as caught:
        kbz.save(bundle, tmp_path / "no", format="keras_hub")
    assert str(caught.value) == (
        f"The format 'keras_hub' has no word for {told}. The answers would change: allow it with"
        f" allow=['{field}'] (--allow-change {field})."
    )
    assert list(tmp_path.iterdir()) == []
    folder = kbz.save(bundle, tmp_path / "yes", format="keras_hub", allow=[field])
    again = kbz.load(folder)
    assert again.config == CONFIG.replace(initializer_range=0.02)
    if field == "pooler":  # a new one, as KerasHub would start with
        kernel = np.asarray(again.encoder.get_layer("pooler").kernel)
        assert 0.01 < kernel.std() < 0.03


def test_a_masked_lm_computes_otherwise_there(tmp_path):
    bundle = tiny.bundle(kbz.heads.MaskedLM(), config=CONFIG)
    with pytest.raises(ConfigError) as caught:
        kbz.save(bundle, tmp_path / "no", format="keras_hub")
    assert str(caught.value) == (
        "The format 'keras_hub' has no word for head_hidden_act 'gelu_tanh' (only 'gelu_erf'), head_layer_norm_eps"
        " 1e-12 (only 1e-05) in the head 'masked_lm'. The answers would change: allow it with"
        " allow=['head_hidden_act', 'head_layer_norm_eps'] (--allow-change head_hidden_act --allow-change"
        " head_layer_norm_eps)."
    )
    allow = ["head_hidden_act", "head_layer_norm_eps"]
    again = kbz.load(kbz.save(bundle, tmp_path / "yes", format="keras_hub", allow=allow))
    assert again.head.transform(again.config) == {"hidden_act": "gelu_erf", "layer_norm_eps": 1e-5}
    with pytest.raises(ConfigError, match=r"'huggingface' has no word for head_hidden_act 'gelu_erf' \(only 'gelu_tan"):
        kbz.save(again, tmp_path / "no")
    back = kbz.load(kbz.save(again, tmp_path / "back", allow=allow))
    assert back.head.get_config() == bundle.head.get_config()


@pytest.mark.parametrize(
    "head",
    [
        kbz.heads.Pretraining(),
        kbz.heads.NextSentence(),
        kbz.heads.QuestionAnswering(),
        kbz.heads.MultipleChoice(),
        kbz.heads.TokenClassification(["O", "B-x", "I-x"]),
    ],
    ids=lambda head: head.name,
)
def test_a_head_without_a_place(tmp_path, head):
    with pytest.raises(ConfigError, match=rf"'keras_hub' has no place for the head '{head.name}', only for classif"):
        kbz.save(tiny.bundle(head, config=CONFIG), tmp_path / "no", format="keras_hub")
    assert list(tmp_path.iterdir()) == []


def test_a_head_without_weights_needs_no_place(tmp_path):
    bundle = tiny.bundle(kbz.heads.SentenceEmbedding(pooling="cls"), config=CONFIG)
    again = kbz.load(kbz.save(bundle, tmp_path / "vectors", format="keras_hub"))
    assert not (tmp_path / "vectors/task.json").exists()
    assert again.head.get_config() == bundle.head.get_config()
    for one, other in zip(again.encoder.weights, bundle.encoder.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_tokenizer_that_keras_hub_does_not_have(tmp_path):
    bundle = tiny.bundle(config=CONFIG)

    def with_tokenizer(**switches):
        vocabulary = (
            [token.replace("[SEP]", "<sep>") for token in tiny.VOCABULARY] if "special_tokens" in switches else None
        )
        return dataclasses.replace(bundle, tokenizer=kbz.Tokenizer(vocabulary or tiny.VOCABULARY, **switches))

    with pytest.raises(ConfigError, match=r"no word for special tokens of other names: {'sep': '<sep>'}"):
        kbz.save(with_tokenizer(special_tokens={"sep": "<sep>"}), tmp_path / "no", format="keras_hub")
    whole = with_tokenizer(split_cjk=False, lower=False)
    with pytest.raises(ConfigError, match=r"no word for split_cjk False.*--allow-change split_cjk"):
        kbz.save(whole, tmp_path / "no", format="keras_hub")
    again = kbz.load(kbz.save(whole, tmp_path / "yes", format="keras_hub", allow=["split_cjk"]))
    assert not again.tokenizer.settings.lower


# Files that cannot be read


def test_a_classifier_by_its_activation(preset):
    def head(**task):
        edit(preset / "task.json", "config", **task)
        opened = weights.named("keras_hub").open_folder(preset)
        return opened.head[0]

    assert head(activation="linear") == head(activation=None) == head(activation="softmax") == "classification"
    assert head(activation="sigmoid") == "multi_label"
    assert head(activation="linear", num_classes=1) == "regression"
    for wrong in ({"activation": "relu"}, {"activation": "linear", "num_classes": 0}):
        with pytest.raises(ConfigError, match=r"task\.json: num_classes . with activation '.*' is not known here"):
            head(**wrong)


@pytest.mark.parametrize(
    ("file", "keys", "changes", "error", "told"),
    [
        ("config.json", (), {"registered_name": "keras_hub>RobertaBackbone"}, ConfigError, "holds 'keras_hub>Roberta"),
        ("config.json", (), {"config": 5}, ConfigError, "only BertBackbone can be read"),
        ("config.json", ("config",), {"depth": 3}, ConfigError, "unknown key of BertBackbone: depth"),
        ("config.json", ("config",), {"hidden_dim": None}, ConfigError, r"config\.json: hidden_dim is missing"),
        ("config.json", ("config",), {"num_heads": 5}, ConfigError, r"config\.json: .*cannot be divided by num_att"),
        ("task.json", (), {"registered_name": "keras_hub>BertTextEmbedder"}, ConfigError, "BertTextEmbedder beside it"),
        ("tokenizer.json", (), {"registered_name": "keras_hub>GPT2"}, ConfigError, "only BertTokenizer can be read"),
        ("tokenizer.json", ("config",), {"split": False}, VocabularyError, "split is False, only True"),
        ("tokenizer.json", ("config",), {"suffix_indicator": "@@"}, VocabularyError, "suffix_indicator is '@@', only"),
        ("config.json", ("config",), {"vocabulary_size": 98}, VocabularyError, "has 99 lines, but the weights know 98"),
        (
            "config.json",
            ("config",),
            {"vocabulary_size": 100},
            CheckpointError,
            r"is \[99, 12\], the encoder needs \[100",
        ),
        (
            "config.json",
            ("config",),
            {"num_heads": 3},
            CheckpointError,
            r"is \[12, 4, 3\], the encoder needs \[12, 3, 4\]",
        ),
        (
            "config.json",
            ("config",),
            {"num_layers": 4},
            CheckpointError,
            "missing: 'model/layers/transformer_encoder_3",
        ),
        ("config.json", ("config",), {"num_layers": 2}, CheckpointError, "unused: 'model/layers/transformer_encoder_2"),
        (
            "task.json",
            ("config",),
            {"num_classes": 4},
            CheckpointError,
            r"'task/layers/dense/vars/1' is \[3\], .* \[4\]",
        ),
    ],
)
def test_json_that_does_not_fit(preset, file, keys, changes, error, told):
    edit(preset / file, *keys, **changes)
    with pytest.raises(error, match=told):
        kbz.load(preset, format="keras_hub")


def test_a_task_of_no_head_leaves_its_encoder(preset):
    edit(preset / "task.json", registered_name="keras_hub>BertTextEmbedder")
    (preset / "task.weights.h5").unlink()
    assert kbz.load(preset, encoder_only=True).config.num_hidden_layers == LAYERS


def test_files_that_are_missing(preset):
    (preset / "tokenizer.json").rename(preset / "gone.json")
    with pytest.raises(VocabularyError, match=r"nothing says whether its tokens.*lower=True"):
        kbz.load(preset)
    assert kbz.load(preset, lower=False).tokenizer.settings.lower is False
    (preset / "assets/tokenizer/vocabulary.txt").rename(preset / "gone.txt")
    with pytest.raises(VocabularyError, match=r"vocabulary\.txt: no such vocabulary file"):
        kbz.load(preset, lower=True)
    (preset / "model.weights.h5").unlink()
    with pytest.raises(CheckpointError, match=r"preset has no model\.weights\.h5\.$"):
        kbz.load(preset)
    (preset / "model.weights.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"They are in several files: save them in KerasHub with max_shard_size="):
        kbz.load(preset)


@pytest.mark.parametrize("keep", [0, 7, 900, 20_000, -1])
def test_a_file_that_is_cut_off(preset, keep):
    path = preset / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=rf"h5 \({path.stat().st_size} bytes\) cannot be read: .*fetch it again"):
        kbz.load(preset)


def test_tensors_that_do_not_fit(preset):
    with h5py.File(preset / "model.weights.h5", "a") as file:
        del file["layers/dense/vars/1"], file["layers/embedding/vars/0"]
        file["layers/embedding/vars/0"] = np.zeros((3, HIDDEN), "float32")
        file["layers/stray/vars/0"] = np.zeros(2, "float32")
    with pytest.raises(CheckpointError) as caught:
        kbz.load(preset)
    assert str(caught.value) == (
        f"{preset}: 'model/layers/embedding/vars/0' is [3, 12], the encoder needs [2, 12]; missing:"
        " 'model/layers/dense/vars/1' (for pooler/bias); unused: 'model/layers/stray/vars/0'. Build it from the"
        " config in that folder. What may be left out is named with missing= and unused=."
    )


def test_numbers_that_are_none(preset):
    with h5py.File(preset / "task.weights.h5", "a") as file:
        file["layers/dense/vars/1"][1] = np.nan
    with pytest.warns(UserWarning, match=r"'task/layers/dense/vars/1' holds numbers that are NaN or infinite"):
        kbz.load(preset)


def test_a_tensor_in_another_file_is_not_followed(preset, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * HIDDEN))
    with h5py.File(preset / "model.weights.h5", "a") as file:
        del file["layers/dense/vars/1"]
        where = [(os.fspath(tmp_path / "secret"), 0, 4 * HIDDEN)]
        file.create_dataset("layers/dense/vars/1", (HIDDEN,), "float32", external=where)
    with pytest.raises(CheckpointError, match=r"'layers/dense/vars/1' lies in another file, and that is not followed"):
        kbz.load(preset)
    with h5py.File(preset / "model.weights.h5", "a") as file:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = h5py.ExternalLink(preset / "task.weights.h5", "layers/dense/vars/1")
    with pytest.raises(CheckpointError, match="missing: 'model/layers/dense/vars/1'"):
        kbz.load(preset)


def test_a_tensor_that_is_damaged_inside(preset):
    path = preset / "model.weights.h5"
    with h5py.File(path, "a") as file:
        values = file["layers/reversible_embedding/vars/0"][()]
        del file["layers/reversible_embedding/vars/0"]
        made = file.create_dataset("layers/reversible_embedding/vars/0", data=values, compression="gzip")
        start = made.id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"'model/layers/reversible_embedding/vars/0' cannot be read: .*again"):
        kbz.load(preset)


def test_what_is_written_is_of_the_version_that_the_tests_hold(hub):
    assert hub.__version__ == format_file._VERSION
