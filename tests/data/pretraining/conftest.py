"""A small corpus and its tokenizer."""

import numpy as np
import pytest
from own_words import DOCUMENTS, NAMES, VOCABULARY, WORDS

import keras_bert_zoo as kbz


@pytest.fixture(scope="session")
def tokenizer():
    return kbz.Tokenizer(VOCABULARY)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Return a folder of three files, the documents of which are as `document_of` numbers them."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(2)
    texts = []
    for number in range(DOCUMENTS):
        names = NAMES[number * WORDS : (number + 1) * WORDS]
        sizes = rng.integers(1, 8, 30)
        texts.append("\n".join(" ".join(rng.choice(names, size)) for size in sizes))
    for file, part in (("a.txt", texts[:5]), ("b.txt", texts[5:6]), ("c.txt", texts[6:])):
        (folder / file).write_text("\n\n".join(part) + "\n", encoding="utf-8")
    return folder
