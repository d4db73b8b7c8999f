"""A corpus in which every word is of one document alone, so that a token tells where it comes from."""

import itertools
import string

import numpy as np

DOCUMENTS, WORDS = 19, 41  # of one document
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMES = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3)][: DOCUMENTS * WORDS]
VOCABULARY = [*SPECIAL, *NAMES]


def document_of(ids):
    """Return the number of the document that each token is from; -1 for special tokens."""
    ids = np.asarray(ids, np.int64)
    return np.where(ids < len(SPECIAL), -1, (ids - len(SPECIAL)) // WORDS)
