"""Masks typed in raw text: cut as Hugging Face's tokenizers cut them, filled as a person would."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tiny
from tokenizers import BertWordPieceTokenizer

from keras_bert_zoo.text.masks import fill, pack_with_masks, places, tokenize_with_masks
from keras_bert_zoo.text.tokenizer import Tokenizer

TEXTS = [
    "a good [MASK].",
    "",
    "[MASK]",
    "[MASK][MASK] film",
    "un[MASK]ed, \u00e9[MASK]\u5317 [MASK]!",
    "no mask here",
    "[mask] [MASK ] [[MASK]] [MASK",
    "  [MASK]  ",
    "the plot " * 9 + "[MASK]",
]


def test_a_mask_stands_for_itself_whatever_it_is_glued_to():
    oracle = BertWordPieceTokenizer({token: i for i, token in enumerate(tiny.VOCABULARY)}, lowercase=True)
    ids, parts = tf.function(lambda texts: tokenize_with_masks(tiny.tokenizer(), texts))(tf.constant(TEXTS))
    assert ids.to_list() == [oracle.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert parts.to_list() == [[part.encode() for part in text.split("[MASK]")] for text in TEXTS]


def test_the_tokenizer_s_own_word_for_it():
    vocabulary = ["<mask>" if token == "[MASK]" else token for token in tiny.VOCABULARY]
    tokenizer = Tokenizer(vocabulary, special_tokens={"mask": "<mask>"})
    ids, _ = tokenize_with_masks(tokenizer, tf.constant(["a film<mask>[MASK]"]))
    (row,) = ids.to_list()
    assert row == [*tokenizer.tokenize(["a film"]).to_list()[0], 4, *tokenizer.tokenize(["[MASK]"]).to_list()[0]]


def test_no_texts():
    ids, parts = tokenize_with_masks(tiny.tokenizer(), tf.constant([], tf.string))
    assert ids.shape[0] == parts.shape[0] == 0


def test_bytes_that_are_no_text_are_passed_over():
    ids, parts = tokenize_with_masks(tiny.tokenizer(), tf.constant([b"\xff a\xfe [MASK]\x80 film"]))
    assert ids.to_list() == [[tiny.VOCABULARY.index(token) for token in ("a", "[MASK]", "film")]]
    assert parts.to_list() == [[b"\xff a\xfe ", b"\x80 film"]]


def test_places():
    marked = np.random.default_rng(3).random((6, 11)) < 0.3
    marked[2] = False
    found = places(tf.constant(marked))
    assert found.counts.numpy().tolist() == marked.sum(1).tolist()
    assert found.positions.shape == (6, marked.sum(1).max())
    for row, count, positions in zip(marked, found.counts.numpy(), found.positions.numpy(), strict=True):
        assert positions[:count].tolist() == np.flatnonzero(row).tolist()
        assert not positions[count:].any()
    assert places(tf.zeros([0, 4], tf.bool)).positions.shape == (0, 0)


def filled(text, words):
    """The rule a second time: word by word from the left, with Python's re."""
    for word in words:
        glue, word = (r"\s*", word[2:]) if word.startswith("##") and word != "##" else ("", word)
        text = re.sub(glue + re.escape("[MASK]"), lambda _, word=word: word, text, count=1)
    return text


@pytest.mark.parametrize(
    ("text", "words", "count", "want"),
    [
        ("a good [MASK].", ["film", "x"], 1, "a good film."),
        ("a film [MASK] [MASK]", ["##s", "end"], 2, "a films end"),
        ("[MASK]\u3000\t[MASK]", ["one", "##s"], 2, "ones"),
        ("[MASK][MASK]", ["##s", "##"], 2, "s##"),
        ("[MASK] and [MASK] and [MASK]", ["one", "two"], 2, "one and two and [MASK]"),
        ("a [MASK]", ["x", "y"], 0, "a [MASK]"),
        ("no mask ", ["x", "y"], 0, "no mask "),
        ("", ["x", "y"], 0, ""),
        ("\u00e9 [MASK] \U0001f600", ["\u00fc", "y"], 1, "\u00e9 \u00fc \U0001f600"),
    ],
)
def test_words_put_between_the_parts(text, words, count, want):
    assert filled(text, words[:count]) == want  # two witnesses
    others = ["[MASK] x [MASK]", "y"]  # rows beside it
    parts = tf.strings.split(tf.constant([others[0], text, others[1]]), sep="[MASK]")
    table = [["##a", "b"], words, ["c", "d"]]
    got = fill(parts, tf.constant(table), tf.zeros([3], tf.int32), tf.constant([2, count, 0]), tf.constant("[MASK]"))
    assert [value.decode() for value in got.numpy()] == ["a x b", want, "y"]


def test_the_second_text_takes_the_words_behind_those_of_the_first():
    parts = tf.strings.split(tf.constant(["[MASK] b", "c [MASK]"]), sep="[MASK]")
    words = tf.constant([["one", "two"], ["three", "four"]])
    got = fill(parts, words, tf.constant([1, 0]), tf.constant([1, 1]), tf.constant("[MASK]"))
    assert got.numpy().tolist() == [b"two b", b"c three"]


def test_packed_masks_are_counted_within_the_limit():
    tokenizer = tiny.tokenizer()
    columns = [
        tf.constant(["[MASK] film [MASK] a", "a film", "so [MASK]"]),
        tf.constant(["it", "[MASK]", "b [MASK] c d"]),
    ]
    features = pack_with_masks(tokenizer, columns, 7)  # four tokens stay
    rows = [[tiny.VOCABULARY[i] for i in row] for row in features["input_word_ids"].numpy()]
    assert rows[0] == ["[CLS]", "[MASK]", "film", "[MASK]", "[SEP]", "it", "[SEP]"]
    assert rows[2] == ["[CLS]", "so", "[MASK]", "[SEP]", "b", "[MASK]", "[SEP]"]
    assert [count.numpy().tolist() for count in features["mask_counts"]] == [[2, 0, 1], [0, 1, 1]]
    assert features["masked_lm_positions"].numpy().tolist() == [[1, 3], [4, 0], [2, 5]]
