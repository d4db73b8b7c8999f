"""Bundles: saved, loaded, asked."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny
from fake_heads import FirstToken
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import keras_bert_zoo as kbz
from keras_bert_zoo import heads
from keras_bert_zoo.errors import CheckpointError, ConfigError, DataError, VocabularyError

HEAD = kbz.heads.Classification(["sad", "calm", "glad"], dropout=0.25)
TEXTS = [
    "a good film",
    "",
    "The PLOT, and the story!",
    "so very bad and dull and cold and poor and awful",
    "café \x00 zz",
]


@pytest.fixture(scope="module")
def bundle():
    return tiny.bundle(HEAD)


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    return kbz.save(bundle, tmp_path_factory.mktemp("bundles") / "mood")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_answers_are_the_head_s_and_in_order(bundle):
    answers = bundle.predict(TEXTS, batch_size=2)
    pack = HEAD.pack(bundle.tokenizer, bundle.max_length)
    for text, answer in zip(TEXTS, answers, strict=True):
        logits = bundle.model(pack({"text": [text]})[0]).numpy()[0]
        p = np.exp(logits) / np.exp(logits).sum()
        assert answer["label"] == HEAD.labels[int(p.argmax())]
        assert answer["labels"] == ["sad", "calm", "glad"]
        assert answer["probabilities"] == pytest.approx(p.tolist(), abs=1e-5)
        assert answer["score"] == pytest.approx(p.max(), abs=1e-5)
    assert bundle.predict([]) == []


def test_awkward_texts_are_answered(bundle):
    awkward = [b"caf\xe9 good", "\x00", "film " * 200_000, "x" * 1_000_000, "\ud800".encode("utf-8", "surrogatepass")]
    answers = bundle.predict(awkward)
    assert [round(sum(answer["probabilities"]), 4) for answer in answers] == [1.0] * 5
    clean = bundle.predict(["caf good"])[0]  # what is no UTF-8 is dropped
    assert answers[0]["probabilities"] == pytest.approx(clean["probabilities"], abs=1e-5)


def test_a_saved_bundle_comes_back_whole(bundle, folder):
    again = kbz.load(folder)
    assert again.head.get_config() == HEAD.get_config()
    assert again.max_length == bundle.max_length == tiny.CONFIG.max_position_embeddings
    assert again.config == bundle.config == tiny.CONFIG
    assert again.tokenizer.max_length == tiny.CONFIG.max_position_embeddings  # so that batches fit the model
    assert again.tokenizer.vocabulary == bundle.tokenizer.vocabulary
    for ours, theirs in zip(bundle.model.trainable_variables, again.model.trainable_variables, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours, theirs)
    assert again.predict(TEXTS) == bundle.predict(TEXTS)


def test_the_folder_is_a_hugging_face_folder(bundle, folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
        "zoo.json",
    ]
    assert len({path.stat().st_mode & 0o777 for path in folder.iterdir()}) == 1  # none is more private than another
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "sad", "1": "calm", "2": "glad"}
    assert config["label2id"] == {"sad": 0, "calm": 1, "glad": 2}
    assert config["problem_type"] == "single_label_classification"
    with safe_open(folder / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        kernel = bundle.model.get_layer("head_logits").kernel.numpy()
        np.testing.assert_array_equal(file.get_tensor("classifier.weight"), kernel.T)
        token = bundle.model.get_layer("embeddings").token.embeddings.numpy()
        np.testing.assert_array_equal(file.get_tensor("bert.embeddings.word_embeddings.weight"), token)


def test_without_zoo_json_the_head_is_read_from_config_json(bundle, copy):
    (copy / "zoo.json").unlink()
    again = kbz.load(copy)
    assert again.head.get_config() == HEAD.get_config()
    assert again.predict(TEXTS[:2]) == bundle.predict(TEXTS[:2])


def test_encoder_only(bundle, folder):
    with pytest.raises(CheckpointError, match=r"classifier\.bias.*classifier\.weight"):
        kbz.load(folder, encoder_only=True)
    encoder = kbz.load(folder, encoder_only=True, unused=["classifier.*"])
    assert encoder.head is None
    np.testing.assert_array_equal(encoder.encoder.get_weights()[0], bundle.encoder.get_weights()[0])
    for question in (lambda: encoder.predict(["a"]), lambda: encoder.evaluate(tiny.mood_table())):
        with pytest.raises(ConfigError, match="an encoder without a head"):
            question()


def test_an_encoder_is_saved_without_a_prefix(tmp_path):
    bundle = tiny.bundle()
    again = kbz.load(kbz.save(bundle, tmp_path / "encoder"))
    assert again.head is None
    assert json.loads((tmp_path / "encoder" / "config.json").read_text())["architectures"] == ["BertModel"]
    for ours, theirs in zip(bundle.encoder.trainable_variables, again.encoder.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_figures_of_a_table(bundle):
    table = kbz.data.Table.from_lists(TEXTS, ["sad", "calm", "glad", "sad", "sad"])
    right = [answer["label"] for answer in bundle.predict(TEXTS)]
    want = np.mean([a == b for a, b in zip(right, table.labels, strict=True)])
    assert bundle.evaluate(table, batch_size=2)["accuracy"] == pytest.approx(want)


def test_saving_over_something_is_refused_unless_allowed(bundle, copy):
    before = (copy / "zoo.json").stat().st_mtime_ns
    with pytest.raises(ConfigError, match="is there already"):
        kbz.save(bundle, copy)
    assert (copy / "zoo.json").stat().st_mtime_ns == before
    (copy / "old.txt").write_text("old")
    kbz.save(bundle, copy, overwrite=True)
    assert not (copy / "old.txt").exists()
    file = copy / "zoo.json"
    with pytest.raises(ConfigError, match="there is a file of that name"):
        kbz.save(bundle, file)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]  # nothing is left beside it


def test_a_failed_save_leaves_nothing(bundle, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(kbz.Tokenizer, "save", fail)
    with pytest.raises(CheckpointError, match=r"new cannot be written: disk full\. Nothing is left of it"):
        kbz.save(bundle, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_vocabulary_that_is_too_long_for_the_weights(copy):
    with (copy / "vocab.txt").open("a") as file:
        file.write("another\n")
    with pytest.raises(VocabularyError, match=r"vocab\.txt has 100 lines, but the weights know 99 tokens"):
        kbz.load(copy)


@pytest.mark.parametrize(
    ("content", "told"),
    [("{", "broken JSON"), ('{"format": 2}', "format is not 1"), ("[]", "format is not 1")],
)
def test_a_zoo_json_that_cannot_be_read(copy, content, told):
    (copy / "zoo.json").write_text(content)
    with pytest.raises(ConfigError, match=rf"zoo\.json.*{told}"):
        kbz.load(copy)


@pytest.mark.parametrize(
    ("texts", "more", "told"),
    [
        ("a film", {}, "hand in a list of strings"),
        ([1, 2], {}, "hand in a list of strings"),
        (["a"], {"text_pair": ["b"]}, "reads text; it was given text, text_pair"),
    ],
)
def test_texts_that_cannot_be_asked(bundle, texts, more, told):
    with pytest.raises(DataError, match=told):
        bundle.predict(texts, **more)


def test_pairs_are_asked_column_by_column():
    pair = tiny.bundle(kbz.heads.Regression(pair=True))
    answers = pair.predict(["a film", "so sad"], text_pair=["it was good", "the end"])
    assert [list(answer) for answer in answers] == [["value"], ["value"]]
    assert answers[0]["value"] != answers[1]["value"]
    with pytest.raises(DataError, match="differ in length: text has 2, text_pair has 1"):
        pair.predict(["a", "b"], text_pair=["c"])
    with pytest.raises(DataError, match="reads text, text_pair; it was given text"):
        pair.predict(["a"])


@pytest.fixture
def first_token(monkeypatch):
    """Put into the table a head that needs no pooler."""
    entry = heads.Entry("fake_heads", "FirstToken", "table")
    monkeypatch.setitem(heads.HEADS, "first_token", entry)
    return FirstToken()


def test_a_head_without_a_pooler_on_an_encoder_with_one(first_token, tmp_path):
    made = tiny.bundle(first_token)
    assert not any(weight.path.startswith("pooler") for weight in made.model.weights)
    written = kbz.save(made, tmp_path / "run")
    with safe_open(written / "model.safetensors", "np") as file:
        names = set(file.keys())
    assert not any("pooler" in name for name in names)  # as transformers writes it
    assert "classifier.weight" in names
    again = kbz.load(written)
    assert again.config == tiny.CONFIG.replace(pooler=False)
    assert again.predict(TEXTS) == made.predict(TEXTS)


def test_a_folder_may_have_a_pooler_that_the_head_does_not_read(first_token, tmp_path):
    made = tiny.bundle(first_token)
    folder = kbz.save(made, tmp_path / "run")
    encoder = kbz.save(dataclasses.replace(made, head=None, model=None), tmp_path / "encoder")
    tensors = {f"bert.{name}": tensor for name, tensor in load_file(encoder / "model.safetensors").items()}
    head = load_file(folder / "model.safetensors")
    save_file({**head, **tensors}, folder / "model.safetensors", metadata={"format": "pt"})
    again = kbz.load(folder)
    assert again.config == tiny.CONFIG
    for name in ("kernel", "bias"):  # loaded, though no part of the task model
        np.testing.assert_array_equal(
            getattr(again.encoder.get_layer("pooler"), name), getattr(made.encoder.get_layer("pooler"), name)
        )
    assert again.predict(TEXTS) == made.predict(TEXTS)
    swapped = again.attach(HEAD)  # so a head that reads it can follow
    assert swapped.model.get_layer("pooler") is again.encoder.get_layer("pooler")


def test_a_head_with_a_pooler_on_an_encoder_without_one(tmp_path):
    config = tiny.CONFIG.replace(pooler=False)
    head = kbz.heads.Classification(["a", "b"], new_pooler=True)
    made = tiny.bundle(head, config=config)
    assert sum(weight.path.startswith("pooler") for weight in made.model.weights) == 2
    again = kbz.load(kbz.save(made, tmp_path / "run"))
    assert again.config.pooler
    assert again.predict(TEXTS) == made.predict(TEXTS)
    bare = kbz.load(kbz.save(tiny.bundle(config=config), tmp_path / "bare"))
    with pytest.raises(ConfigError, match="has no pooler"):
        bare.attach(kbz.heads.Classification(["a", "b"]))


def test_a_preset_tells_the_casing_where_its_folder_does_not(bundle, copy, monkeypatch):
    from keras_bert_zoo.zoo import entries
    from keras_bert_zoo.zoo.presets import PRESETS

    (copy / "zoo.json").unlink()
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    del settings["do_lower_case"]
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(entries, "fetch_preset", lambda preset, *more, **options: copy)
    for casing in ("cased", "uncased"):
        preset = dataclasses.replace(PRESETS["e5-small"], name="tiny", casing=casing, aliases=("a/tiny",))
        monkeypatch.setitem(PRESETS, "tiny", preset)
        assert kbz.load("tiny").tokenizer.settings.lower == (casing == "uncased")
        assert kbz.load("a/tiny").tokenizer.settings.lower == (casing == "uncased")
        assert kbz.load("tiny", lower=casing == "cased").tokenizer.settings.lower == (casing == "cased")
