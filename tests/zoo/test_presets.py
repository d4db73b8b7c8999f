"""The table itself: whole, consistent, and of the sizes that were published."""

import re

import pytest

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import fetch, find, lowers, names, presets
from keras_bert_zoo.zoo.https import WebFile
from keras_bert_zoo.zoo.hub import HubFolder
from keras_bert_zoo.zoo.preset import CASINGS
from keras_bert_zoo.zoo.presets import PICKLED, PRESETS
from keras_bert_zoo.zoo.pypi import PackageFile

TF1 = {"bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole(name):
    preset = presets()[name]
    assert preset.name == name
    assert preset.casing in CASINGS
    assert preset.lower == (preset.casing == "uncased")
    assert preset.description
    assert preset.license.startswith(("Apache-2.0", "MIT"))
    assert re.search(r"(19|20)\d\d", preset.citation)
    assert preset.config.layer_norm_eps == 1e-12
    assert preset.config.max_position_embeddings == 512
    assert preset.config.intermediate_size == 4 * preset.config.hidden_size
    source = preset.source
    if isinstance(source, PackageFile):
        assert re.fullmatch("[0-9a-f]{64}", source.sha256)
        files = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"}
        assert files <= set(preset.members.values())
    elif isinstance(source, WebFile):
        assert re.fullmatch(r"https://\S+\.(zip|tar\.gz)", source.url)
        assert source.filename.startswith(name)
        assert source.url.endswith(source.filename[-4:])
        assert set(preset.members.values()) == TF1
        assert preset.config.hidden_act == "gelu_tanh"
    else:
        assert isinstance(source, HubFolder)
        assert re.fullmatch(r"[\w-]+/[\w.-]+", source.repository)
        assert source.repository in preset.aliases
        assert preset.config.hidden_act == "gelu_erf"
        assert not preset.members


def test_sources_are_no_two_presets():
    assert len({preset.source.address for preset in PRESETS.values()}) == len(PRESETS)
    files = [preset.source.filename for preset in PRESETS.values() if isinstance(preset.source, WebFile)]
    assert len(set(files)) == len(files)  # in the cache they lie side by side


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # google-research/bert, README: the miniatures, in millions to one digit; the others as counted by
        # transformers' num_parameters() of BertModel
        ("uncased_L-2_H-128_A-2", 4_385_920),
        ("uncased_L-4_H-256_A-4", 11_170_560),
        ("uncased_L-4_H-512_A-8", 28_763_648),
        ("uncased_L-8_H-512_A-8", 41_373_184),
        ("uncased_L-12_H-768_A-12", 109_482_240),
        ("uncased_L-24_H-1024_A-16", 335_141_888),
        ("bert-base-cased", 108_310_272),
        ("bert-base-chinese", 102_267_648),
        ("bert-base-multilingual-cased", 177_853_440),
        ("all-MiniLM-L12-v2", 33_360_000),
        ("LaBSE", 470_926_848),
        ("scibert_scivocab_uncased", 109_918_464),
    ],
)
def test_published_sizes(name, parameters):
    assert PRESETS[name].parameters == parameters


def test_the_24_miniatures():
    found = {
        (preset.config.num_hidden_layers, preset.config.hidden_size, preset.config.num_attention_heads)
        for name, preset in PRESETS.items()
        if "/2020_02_20/" in preset.source.address
    }
    heads = {128: 2, 256: 4, 512: 8, 768: 12}
    assert found == {(layers, hidden, heads[hidden]) for layers in (2, 4, 6, 8, 10, 12) for hidden in heads}
    assert PRESETS["uncased_L-10_H-256_A-4"].source.address == (
        "https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-10_H-256_A-4.zip"
    )
    # two archives of one name, of different weights
    assert PRESETS["uncased_L-12_H-768_A-12"].source.address.endswith("2018_10_18/uncased_L-12_H-768_A-12.zip")
    assert PRESETS["uncased_L-12_H-768_A-12_2020"].source.address.endswith("2020_02_20/uncased_L-12_H-768_A-12.zip")


def test_casings():
    cased = {name for name, preset in PRESETS.items() if preset.casing == "cased"}
    assert cased == {
        "cased_L-12_H-768_A-12",
        "cased_L-24_H-1024_A-16",
        "wwm_cased_L-24_H-1024_A-16",
        "multi_cased_L-12_H-768_A-12",
        "bert-base-cased",
        "bert-large-cased",
        "bert-large-cased-whole-word-masking",
        "bert-base-multilingual-cased",
        "bert-base-chinese",
        "LaBSE",
        "bert-base-NER",
        "scibert_scivocab_cased",
        "biobert_v1.1_pubmed",
    }


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("bert-base-uncased", "bert-base-uncased"),
        ("google-bert/bert-base-uncased", "bert-base-uncased"),
        ("BERT_Base_Uncased", "bert-base-uncased"),
        ("all-MiniLM-L6-v2", "minilm_l6_h384_uncased"),
        ("sentence-transformers/all-MiniLM-L6-v2", "minilm_l6_h384_uncased"),
        ("sentence_transformers/all_minilm_l6_v2", "minilm_l6_h384_uncased"),
        ("MiniLM-L6-H384-uncased", "minilm_l6_h384_uncased"),
        ("bert-tiny", "uncased_L-2_H-128_A-2"),
        ("uncased-l-12-h-768-a-12", "uncased_L-12_H-768_A-12"),
        ("allenai/scibert_scivocab_cased", "scibert_scivocab_cased"),
        ("biobert", "biobert_v1.1_pubmed"),
        ("labse", "LaBSE"),
        ("mxbai-embed-large", "mxbai-embed-large-v1"),
        ("bert-large-uncased-whole-word-masking-finetuned-squad", "bert-large-uncased-wwm-squad"),
    ],
)
def test_what_people_type(typed, name):
    assert find(typed) is PRESETS[name]
    assert lowers(typed) == PRESETS[name].lower


@pytest.mark.parametrize("name", ["", "bert", "minilm_l6", "hf://google-bert/bert-base-uncased", "zzz", "./labse"])
def test_what_is_no_preset(name):
    assert find(name) is None
    assert lowers(name) is None


def test_a_name_of_several():
    with pytest.raises(DownloadError) as e:
        fetch("Bert_Large")
    assert str(e.value) == (
        "'Bert_Large' may mean uncased_L-24_H-1024_A-16, cased_L-24_H-1024_A-16, bert-large-uncased, bert-large-cased."
        " Name one of them (kbz presets list says what they are)."
    )


def test_an_unknown_name_is_told_what_is_close():
    with pytest.raises(DownloadError) as e:
        fetch("minilm_l6_uncased")
    assert str(e.value) == (
        "'minilm_l6_uncased' is not known here. Did you mean minilm_l6_h384_uncased, all-MiniLM-L12-v2? kbz presets"
        f" list shows all {len(PRESETS)} presets. A local folder or hf://organisation/name[@revision] works too."
    )
    with pytest.raises(DownloadError, match=r"'zzz' is not known here\. kbz presets list"):
        fetch("zzz")
    assert names.close("bge-small").startswith("bge-small-en-v1.5")
    assert names.close("google/bert_uncased_L-2_H-128_A-2").startswith("uncased_L-2_H-128_A-2")
    assert names.close("bert-bas-uncased").startswith("bert-base-uncased")
    assert names.close("gaint", ["giant"]) == "giant"


@pytest.mark.parametrize("typed", ["ProsusAI/finbert", "FinBERT", "nlpaueb/legal-bert-base-uncased", "legal_bert"])
def test_pickles_are_told_apart_from_what_is_unknown(typed):
    with pytest.raises(DownloadError) as e:
        fetch(typed)
    repository = PICKLED[names.key(typed.split("/")[-1])]
    assert str(e.value).startswith(f"'{typed}' is no preset: when the list was made, {repository} was published as")
    assert f"hf://{repository} loads it" in str(e.value)


def test_pickles_are_no_presets():
    for name, repository in PICKLED.items():
        assert find(name) is find(repository) is None
        assert names.key(name) == name


def test_folders_and_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("LaBSE", "labse", "runs"):
        (tmp_path / name).mkdir()
    assert find("LaBSE").name == "LaBSE"  # a preset's own name wins
    assert find("labse") is find("./LaBSE") is find("runs") is None  # an alias does not
    assert str(fetch("labse")) == "labse"


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b", "é" * 300])
def test_what_can_be_no_name_at_all(name):
    with pytest.raises(DownloadError, match="is not known here"):
        fetch(name)


def test_only_presets_have_checksums_to_accept(tmp_path):
    for name in ("hf://org/x", str(tmp_path), "zzz"):
        with pytest.raises(DownloadError, match="is no preset: only presets have checksums that can change"):
            fetch(name, accept_changed=True)
    with pytest.raises(DownloadError, match="The checksum of minilm_l6_h384_uncased is part of this version"):
        fetch("minilm_l6_h384_uncased", accept_changed=True)


def test_parameters_are_those_that_keras_counts():
    from keras_bert_zoo.encoder import build_encoder

    for name in ("uncased_L-2_H-128_A-2", "uncased_L-4_H-256_A-4", "minilm_l6_h384_uncased"):
        assert build_encoder(PRESETS[name].config).count_params() == PRESETS[name].parameters
