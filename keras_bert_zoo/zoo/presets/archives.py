"""TF1 checkpoints that others published in the form of Google's."""

from __future__ import annotations

from keras_bert_zoo.zoo.https import WebFile
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets.google import ENGLISH_CASED, TF1_FILES, tf1_config

_SCIBERT = "https://s3-us-west-2.amazonaws.com/ai2-s2-research/scibert/tensorflow_models"
_BELTAGY = "Beltagy et al. 2019, SciBERT: A Pretrained Language Model for Scientific Text"


def _scibert(casing: str, vocabulary: int) -> Preset:
    name = f"scibert_scivocab_{casing}"
    return Preset(
        name=name,
        description=f"SciBERT: scientific English, {casing}, with a vocabulary of its own",
        source=WebFile(f"{_SCIBERT}/{name}.tar.gz", f"{name}.tar.gz"),
        members=TF1_FILES,
        config=tf1_config(12, 768, vocabulary),
        casing=casing,
        license="Apache-2.0",
        citation=_BELTAGY,
        aliases=(f"allenai/{name}", "scibert"),
    )


PRESETS = (
    _scibert("uncased", 31090),
    _scibert("cased", 31116),
    Preset(
        name="biobert_v1.1_pubmed",
        description="BioBERT 1.1: English cased BERT-Base, trained on with PubMed's abstracts",
        source=WebFile(
            "https://github.com/naver/biobert-pretrained/releases/download/v1.1-pubmed/biobert_v1.1_pubmed.tar.gz",
            "biobert_v1.1_pubmed.tar.gz",
        ),
        members={
            "**/bert_config.json": "bert_config.json",
            "**/vocab.txt": "vocab.txt",
            "**/model.ckpt-1000000.index": "bert_model.ckpt.index",
            "**/model.ckpt-1000000.data-00000-of-00001": "bert_model.ckpt.data-00000-of-00001",
        },
        config=tf1_config(12, 768, ENGLISH_CASED),
        casing="cased",
        license="Apache-2.0, with PubMed's terms (github.com/dmis-lab/biobert)",
        citation="Lee et al. 2019, BioBERT: a pre-trained biomedical language representation model",
        aliases=("dmis-lab/biobert-v1.1", "dmis-lab/biobert-base-cased-v1.1", "biobert", "biobert-v1.1"),
    ),
)
