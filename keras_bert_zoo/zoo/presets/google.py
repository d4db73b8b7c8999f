"""Google's own archives: TF1 checkpoints with their tanh GELU, as the README of google-research/bert lists them."""

from __future__ import annotations

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.zoo.https import WebFile
from keras_bert_zoo.zoo.preset import Preset

BUCKET = "https://storage.googleapis.com/bert_models"
DEVLIN = "Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"
TURC = "Turc et al. 2019, Well-Read Students Learn Better: On the Importance of Pre-training Compact Models"

# Some of the archives keep their files in a folder, some do not: "**/" is whichever folder holds them.
TF1_FILES = {
    f"**/{name}": name
    for name in (
        "bert_config.json",
        "vocab.txt",
        "bert_model.ckpt.index",
        "bert_model.ckpt.data-00000-of-00001",
    )
}

# Vocabularies, in pieces
ENGLISH_UNCASED, ENGLISH_CASED, CHINESE = 30522, 28996, 21128
MULTILINGUAL_CASED, MULTILINGUAL_UNCASED = 119547, 105879


def tf1_config(layers: int, hidden: int, vocabulary: int) -> BertConfig:
    """Return a config of Google's code: heads of 64, an inner layer four times as wide, GELU by tanh."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        hidden_act="gelu_tanh",
    )


def _zip(
    date: str,
    archive: str,
    description: str,
    config: BertConfig,
    *,
    name: str = "",
    citation: str = DEVLIN,
    aliases: tuple[str, ...] = (),
) -> Preset:
    name = name or archive
    uncased = archive.removeprefix("wwm_").startswith(("uncased", "multilingual", "chinese"))  # run_classifier.py, too
    return Preset(
        name=name,
        description=description,
        source=WebFile(f"{BUCKET}/{date}/{archive}.zip", f"{name}.zip"),
        members=TF1_FILES,
        config=config,
        casing="uncased" if uncased else "cased",
        license="Apache-2.0",
        citation=citation,
        aliases=aliases,
    )


_BASE, _LARGE = (12, 768), (24, 1024)
# Named in table 1 of Turc et al. 2019
_KNOWN_AS = {(2, 128): "tiny", (4, 256): "mini", (4, 512): "small", (8, 512): "medium"}


def _miniature(layers: int, hidden: int) -> Preset:
    archive = f"uncased_L-{layers}_H-{hidden}_A-{hidden // 64}"
    known = _KNOWN_AS.get((layers, hidden))
    return _zip(
        "2020_02_20",
        archive,
        f"One of the 24 smaller English models{f', BERT-{known.capitalize()}' if known else ''}",
        tf1_config(layers, hidden, ENGLISH_UNCASED),
        # The largest was trained anew for the comparison; its archive has the name of the original's.
        name=f"{archive}_2020" if (layers, hidden) == _BASE else archive,
        citation=TURC,
        aliases=(f"bert-{known}",) if known else (),
    )


PRESETS = (
    _zip(
        "2018_10_18",
        "uncased_L-12_H-768_A-12",
        "BERT-Base, English uncased, the original",
        tf1_config(*_BASE, ENGLISH_UNCASED),
        aliases=("bert-base",),
    ),
    _zip(
        "2018_10_18",
        "uncased_L-24_H-1024_A-16",
        "BERT-Large, English uncased, the original",
        tf1_config(*_LARGE, ENGLISH_UNCASED),
        aliases=("bert-large",),
    ),
    _zip(
        "2018_10_18",
        "cased_L-12_H-768_A-12",
        "BERT-Base, English cased, the original",
        tf1_config(*_BASE, ENGLISH_CASED),
        aliases=("bert-base",),
    ),
    _zip(
        "2018_10_18",
        "cased_L-24_H-1024_A-16",
        "BERT-Large, English cased, the original",
        tf1_config(*_LARGE, ENGLISH_CASED),
        aliases=("bert-large",),
    ),
    _zip(
        "2019_05_30",
        "wwm_uncased_L-24_H-1024_A-16",
        "BERT-Large, English uncased, whole words masked",
        tf1_config(*_LARGE, ENGLISH_UNCASED),
    ),
    _zip(
        "2019_05_30",
        "wwm_cased_L-24_H-1024_A-16",
        "BERT-Large, English cased, whole words masked",
        tf1_config(*_LARGE, ENGLISH_CASED),
    ),
    _zip(
        "2018_11_23",
        "multi_cased_L-12_H-768_A-12",
        "BERT-Base, 104 languages, cased",
        tf1_config(*_BASE, MULTILINGUAL_CASED),
    ),
    _zip(
        "2018_11_03",
        "multilingual_L-12_H-768_A-12",
        "BERT-Base, 102 languages, uncased; Google recommends the cased one",
        tf1_config(*_BASE, MULTILINGUAL_UNCASED),
    ),
    _zip(
        "2018_11_03",
        "chinese_L-12_H-768_A-12",
        "BERT-Base, Chinese, simplified and traditional",
        tf1_config(*_BASE, CHINESE),
    ),
    *(_miniature(layers, hidden) for layers in (2, 4, 6, 8, 10, 12) for hidden in (128, 256, 512, 768)),
)
