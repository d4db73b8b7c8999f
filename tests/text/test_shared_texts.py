"""Real texts beside the repository, when they are there."""

import json
from pathlib import Path

import pytest
from text_oracles import HuggingFace, Original, needs_garden, ours, tokens_of

DATA = Path(__file__).parents[3] / "shared" / "data"


def texts_of(name: str) -> list[str]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {name} beside the repository")
    if path.suffix == ".json":
        articles = json.loads(path.read_bytes())["data"]
        paragraphs = [p for article in articles for p in article["paragraphs"]]
        return [p["context"] for p in paragraphs] + [qa["question"] for p in paragraphs for qa in p["qas"]]
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line.strip()][:4_000]


@needs_garden
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("name", ["sst2_train.tsv", "wikitext2_valid.txt", "xquad_en.json", "wikiann_en_dev.txt"])
def test_real_texts(name: str, lower: bool) -> None:
    texts = texts_of(name)
    for vocabulary in ("realistic", "adversarial"):
        ids, starts, ends = ours(vocabulary, lower=lower).tokenize_with_offsets(texts)
        oracle = HuggingFace(tokens_of(vocabulary), lower=lower, word_limit=200)
        assert ids.to_list() == oracle(texts)
        spans = [list(zip(a, b, strict=True)) for a, b in zip(starts.to_list(), ends.to_list(), strict=True)]
        assert spans == oracle.offsets(texts)
    oracle = Original(tokens_of("realistic"), lower=lower)
    sample = texts[::7]
    assert ours("realistic", lower=lower).tokenize(sample).to_list() == [oracle(text) for text in sample]
