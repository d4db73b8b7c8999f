"""Folders of sentence-transformers: random ones written in its own formats, old and new, read and written back."""

import json

import bert_oracle
import numpy as np
import pytest
import safetensors
import tiny
from sizes import HIDDEN, POSITIONS

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, VocabularyError

OLD = "sentence_transformers.models"
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
VALUES = bert_oracle.tensors(bert_oracle.CONFIG)
TEXTS = ["a good film", "", "the plot is very good and so very warm"]


def put(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def write(folder, *, pooling, normalize=True, inside="", new=False, limit=11):
    """Write a folder as sentence-transformers does: `new` as version 6.2, else as those before 5."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = [inside, "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": NEW[kind] if new else f"{OLD}.{kind}"}
        for i, (path, kind) in enumerate(zip(paths, kinds, strict=False))
    ]
    put(folder / "modules.json", modules)
    bert_oracle.write_folder(folder / inside, bert_oracle.CONFIG, VALUES)
    tiny.tokenizer().save(folder / inside)
    if new:
        put(folder / "1_Pooling/config.json", {"embedding_dimension": HIDDEN, "pooling_mode": pooling})
        put(folder / inside / "sentence_bert_config.json", {"transformer_task": "feature-extraction"})
        prompts = {"prompts": {"query": "", "document": ""}, "default_prompt_name": None}
        put(folder / "config_sentence_transformers.json", prompts)
        (folder / inside / "vocab.txt").unlink()
        vocabulary = {token: i for i, token in enumerate(tiny.VOCABULARY)}
        put(folder / inside / "tokenizer.json", {"model": {"type": "WordPiece", "vocab": vocabulary}})
        config = json.loads((folder / inside / "tokenizer_config.json").read_text())
        put(folder / inside / "tokenizer_config.json", {**config, "model_max_length": limit})
    else:
        flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "sqrt": "mean_sqrt_len_tokens"}
        told = {f"pooling_mode_{flag}": name == pooling for name, flag in flags.items()}
        put(folder / "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, **told})
        put(folder / inside / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    return folder


def vectors(pooling, normalize, limit):
    """Return what numpy makes of the texts, one by one."""
    tokenizer = tiny.tokenizer()
    found = []
    for ids in tokenizer.tokenize(TEXTS).to_list():
        row = np.array([[tokenizer.cls_id, *ids[: limit - 2], tokenizer.sep_id]], "int32")
        inputs = {"input_word_ids": row, "input_mask": row * 0 + 1, "input_type_ids": row * 0}
        x = bert_oracle.bert(bert_oracle.CONFIG, VALUES, inputs)["sequence_output"][0]
        vector = {"cls": x[0], "mean": x.mean(0), "max": x.max(0)}[pooling]
        found.append(vector / np.linalg.norm(vector) if normalize else vector)
    return np.array(found)


@pytest.mark.parametrize(
    ("pooling", "normalize", "inside", "new"),
    [("mean", True, "", False), ("cls", False, "0_Transformer", False), ("max", True, "", True)],
)
def test_a_folder_gives_its_vectors_and_comes_back(tmp_path, pooling, normalize, inside, new):
    limit = 5  # tokens: the last text is cut
    folder = write(tmp_path / "theirs", pooling=pooling, normalize=normalize, inside=inside, new=new, limit=limit)
    bundle = kbz.load(folder)
    assert bundle.head.name == "sentence_embedding"
    assert (bundle.head.pooling, bundle.head.normalize, bundle.max_length) == (pooling, normalize, limit)
    want = vectors(pooling, normalize, limit)
    got = [answer["embedding"] for answer in bundle.predict(TEXTS)]
    np.testing.assert_allclose(got, want, atol=1e-5)

    kbz.save(bundle, tmp_path / "ours")
    (tmp_path / "ours/zoo.json").unlink()  # their own files say it all
    again = kbz.load(tmp_path / "ours")
    assert (again.head.get_config(), again.max_length) == (bundle.head.get_config(), limit)
    np.testing.assert_allclose([answer["embedding"] for answer in again.predict(TEXTS)], want, atol=1e-5)
    with safetensors.safe_open(tmp_path / "ours/model.safetensors", "np") as file:
        assert set(file.keys()) == set(VALUES)
        for name, value in VALUES.items():
            assert file.get_tensor(name).tobytes() == value.tobytes(), name


def test_what_is_written(tmp_path):
    bundle = tiny.bundle(kbz.heads.SentenceEmbedding(pooling="max", loss="similarity", highest=5))
    folder = kbz.save(bundle, tmp_path / "ours")
    read = {str(path.relative_to(folder)): path for path in folder.rglob("*.json")}
    assert set(read) == {
        "1_Pooling/config.json",
        "config.json",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
        "zoo.json",
    }
    assert json.loads(read["config.json"].read_text())["architectures"] == ["BertModel"]
    assert json.loads(read["modules.json"].read_text()) == [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    pooling = json.loads(read["1_Pooling/config.json"].read_text())
    assert pooling["word_embedding_dimension"] == HIDDEN
    assert [name for name, value in pooling.items() if value is True] == ["pooling_mode_max_tokens", "include_prompt"]
    limits = json.loads(read["sentence_bert_config.json"].read_text())
    assert limits == {"max_seq_length": POSITIONS, "do_lower_case": False}
    assert kbz.load(folder).head.get_config() == bundle.head.get_config()  # zoo.json knows the loss too
    plain = kbz.save(tiny.bundle(kbz.heads.SentenceEmbedding(normalize=False)), tmp_path / "plain")
    assert len(json.loads((plain / "modules.json").read_text())) == 2


def test_an_encoder_without_a_pooler_stays_one(tmp_path):
    bundle = tiny.bundle(kbz.heads.SentenceEmbedding(), config=tiny.CONFIG.replace(pooler=False))
    again = kbz.load(kbz.save(bundle, tmp_path / "ours"))
    assert not again.config.pooler
    assert again.predict(TEXTS) == bundle.predict(TEXTS)


def test_the_encoder_alone(tmp_path):
    folder = write(tmp_path, pooling="sqrt", inside="0_Transformer", limit=9)
    with pytest.raises(ConfigError, match=r"1_Pooling/config.json: the pooling is \['mean_sqrt_len_tokens'\]"):
        kbz.load(folder)
    bundle = kbz.load(folder, encoder_only=True)
    assert (bundle.head, bundle.max_length) == (None, POSITIONS)


def change(path, values):
    put(path, {**(json.loads(path.read_text()) if path.exists() else {}), **values})


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: put(f / "modules.json", {}), "modules.json: want a list of modules"),
        (lambda f: (f / "modules.json").write_text("["), "modules.json: broken JSON"),
        (lambda f: put(f / "modules.json", [{"path": "", "type": f"{OLD}.WordEmbeddings"}]), "want a Transformer"),
        (
            lambda f: put(
                f / "modules.json",
                [{"path": kind, "type": f"{OLD}.{kind}"} for kind in ("Transformer", "Pooling", "Dense")],
            ),
            "modules are Transformer, Pooling, Dense; want",
        ),
        (
            lambda f: put(f / "modules.json", [{"path": "../x", "type": f"{OLD}.Transformer"}]),
            "the path '../x' leads out of the folder",
        ),
        (lambda f: (f / "1_Pooling/config.json").unlink(), "1_Pooling/config.json: cannot be read"),
        (lambda f: put(f / "1_Pooling/config.json", [1]), "want a JSON object"),
        (lambda f: put(f / "1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}), "the pooling is .*want one of"),
        (lambda f: change(f / "1_Pooling/config.json", {"word_embedding_dimension": 99}), "have 99 elements"),
        (lambda f: change(f / "sentence_bert_config.json", {"max_seq_length": "all"}), "max_seq_length is 'all'"),
        (
            lambda f: [
                change(f / "sentence_bert_config.json", {"do_lower_case": True}),
                change(f / "tokenizer_config.json", {"do_lower_case": False}),
            ],
            "do_lower_case is true, but the tokenizer keeps capitals",
        ),
        (
            lambda f: put(
                f / "config_sentence_transformers.json", {"prompts": {"q": "query: "}, "default_prompt_name": "q"}
            ),
            "the prompt 'q' put before it",
        ),
    ],
)
def test_folders_that_are_refused(tmp_path, damage, told):
    folder = write(tmp_path, pooling="mean")
    if "Dense" in told:
        write(tmp_path / "Transformer", pooling="mean")
    damage(folder)
    with pytest.raises(ConfigError, match=told):
        kbz.load(folder)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"model": {"type": "BPE", "vocab": {"a": 0}}}, "its model is 'BPE'"),
        (
            {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}},
            "the ids of its 2 tokens are not numbered from 0",
        ),
        ({"other": 1}, "not a tokenizer's JSON"),
    ],
)
def test_a_tokenizer_json_that_is_refused(tmp_path, content, told):
    folder = write(tmp_path, pooling="mean", new=True)
    put(folder / "tokenizer.json", content)
    with pytest.raises(VocabularyError, match=f"tokenizer.json: {told}"):
        kbz.load(folder)
