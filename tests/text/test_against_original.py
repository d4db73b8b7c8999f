"""Ids equal to the original's on strings over all of Unicode, and the list of what Hugging Face does otherwise."""

import unicodedata
from collections import Counter

import pytest
import text_strings
from text_oracles import HuggingFace, Original, needs_garden, ours, tokens_of

from keras_bert_zoo.text.rules import UNICODE_VERSION
from keras_bert_zoo.text.tokenizer import Tokenizer

COUNT = 13_000  # four times: more than 50,000 in all

# Characters whose answer moved after Unicode 14: unassigned there, and marks, punctuation or format controls in the
# tables of Python 3.12 (15.0) and 3.13 (15.1).  There the oracle is no longer the original of Python 3.11.
MOVED = frozenset(
    [
        0xECE,
        *range(0x10EFD, 0x10F00),
        0x11241,
        *range(0x11B00, 0x11B0A),
        *(0x11F00, 0x11F01, *range(0x11F36, 0x11F3B), 0x11F40, *range(0x11F42, 0x11F50)),
        *range(0x13439, 0x13441),
        *range(0x13447, 0x13456),
        0x1E08F,
        *range(0x1E4EC, 0x1E4F0),
    ]
)
IS_PINNED = unicodedata.unidata_version == UNICODE_VERSION


def moved(text: str) -> bool:
    return not IS_PINNED and any(ord(c) in MOVED for c in text)


def differences(tokenizer: Tokenizer, oracle: Original, texts: list[str]) -> list[tuple[str, list[int], list[int]]]:
    ids = tokenizer.tokenize(texts).to_list()
    found = [(text, mine, oracle(text)) for text, mine in zip(texts, ids, strict=True) if not moved(text)]
    return [case for case in found if case[1] != case[2]]


def test_the_characters_that_moved_are_65() -> None:
    assert len(MOVED) == 65
    kinds = Counter(unicodedata.category(chr(c)) for c in MOVED)
    assert kinds == ({"Cn": 65} if IS_PINNED else {"Mn": 35, "Po": 23, "Cf": 7})


@needs_garden
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("vocabulary", ["realistic", "adversarial"])
def test_generated_strings(lower: bool, vocabulary: str) -> None:
    # Every vocabulary and casing sees strings of its own.
    texts = text_strings.strings(seed=len(vocabulary) + lower, count=COUNT)
    assert differences(ours(vocabulary, lower=lower), Original(tokens_of(vocabulary), lower=lower), texts) == []


@needs_garden
@pytest.mark.parametrize("lower", [True, False])
def test_every_character(lower: bool) -> None:
    """Every assigned character between letters; only those that moved may differ, and on a newer Python they do."""
    tokenizer, oracle = ours("adversarial", lower=lower), Original(tokens_of("adversarial"), lower=lower)
    characters = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
    texts = [f"a{c}b" for c in characters]
    ids = tokenizer.tokenize(texts).to_list()
    differ = {ord(c) for c, text, mine in zip(characters, texts, ids, strict=True) if mine != oracle(text)}
    moved_here = {c for c in MOVED if lower or unicodedata.category(chr(c)) != "Mn"}  # cased text keeps its marks
    assert differ == (set() if IS_PINNED else moved_here)


@needs_garden
@pytest.mark.parametrize("lower", [True, False])
def test_bytes_that_are_not_utf8(lower: bool) -> None:
    tokenizer, oracle = ours("realistic", lower=lower), Original(tokens_of("realistic"), lower=lower)
    data = [d for d in text_strings.invalid_bytes(seed=3, count=4_000) if not moved(d.decode("utf-8", "ignore"))]
    ids = tokenizer.tokenize(data).to_list()
    with_offsets = tokenizer.tokenize_with_offsets(data)[0].to_list()
    assert ids == with_offsets == [oracle(d.decode("utf-8", "ignore")) for d in data]


@needs_garden
def test_final_sigma() -> None:
    tokens = text_strings.adversarial_vocabulary()
    tokenizer, oracle = ours("adversarial", lower=True), Original(tokens)
    wanted = {
        "ΌΣΙΟΣ": "οσιος",
        "ΣΑΣ ΣΑΣ": "σας σας",
        "Σ": "σ",
        "ΑΣ.": "ας .",
        "ΑΣ'Α ΑΣ'": "ασ ' α ας '",
        "Α\u0301Σ\u0301": "ας",
        "Α\u00adΣ\u00adΑ": "ασα",
        "Α\x01Σ\x02": "ας",
        "ΑΣΣ": "ασς",
        "一Σ": "一 σ",
        "ΑΣ一": "ας 一",
        "ΑΣ\u2028Α": "ας α",
    }
    for text, want in wanted.items():
        pieces = [tokens[i] for i in tokenizer.tokenize([text]).to_list()[0]]
        assert " ".join(pieces).replace(" ##", "") == want, text
        assert tokenizer.tokenize([text]).to_list()[0] == oracle(text)
    # An invalid byte beside a sigma is no letter and no space.
    assert tokenizer.tokenize(["ΑΣ".encode() + b"\xff", b"\xff" + "ΑΣ".encode() + b"\xe4\xb8 x"]).to_list() == [
        oracle("ΑΣ"),
        oracle("ΑΣ x"),
    ]


@needs_garden
@pytest.mark.parametrize("unit", ["a", "é", "한", "𐐷", "e\u0301"])
def test_word_limit_counts_characters(unit: str) -> None:
    tokens = text_strings.adversarial_vocabulary()
    tokenizer, oracle = ours("adversarial", lower=True), Original(tokens)
    texts = [f"x {unit * n} y中{unit * n}" for n in (50, 66, 67, 99, 100, 101, 199, 200, 201, 202)]
    assert tokenizer.tokenize(texts).to_list() == [oracle(text) for text in texts]
    short, other = ours("adversarial", word_limit=3), Original(tokens, word_limit=3)
    texts = ["abc abcd", "éßç éßçx", "a\u0301b\u0301c d", "한국 한국어 각"]
    assert short.tokenize(texts).to_list() == [other(text) for text in texts]


# Class -> (text, the original's pieces, Hugging Face's pieces), uncased, with every character in the vocabulary.
DIFFERENCES = {
    "a word of 101 to 200 characters": ("a" * 101, ["a"] + ["##a"] * 100, ["[UNK]"]),
    "the sigma at a word's end": ("ΑΣ", ["α", "##ς"], ["α", "##σ"]),
    "private use stays, is taken out": ("a\ue000b", ["a", "##\ue000", "##b"], ["ab"]),
    "a mark younger than its Unicode tables is taken off, stays": ("a\u07fdb", ["ab"], ["a", "##\u07fd", "##b"]),
    "younger punctuation is a word, is a letter": ("a\u2e52b", ["a", "\u2e52", "b"], ["a", "##\u2e52", "##b"]),
    "a younger format control is taken out, stays": ("a\u08e2b", ["ab"], ["a", "##\u08e2", "##b"]),
    "a sign that was punctuation is a letter, is a word": (
        "a\u166db",
        ["a", "##\u166d", "##b"],
        ["a", "\u166d", "b"],
    ),
    "a capital younger than Unicode 14 stays, is lower-cased": ("\ua7cb", ["[UNK]"], ["\u0264"]),
    "ideographs U+2B820 to U+2B91F are words, are letters": (
        "a\U0002b820b",
        ["a", "\U0002b820", "b"],
        ["a", "##\U0002b820", "##b"],
    ),
}


@needs_garden
@pytest.mark.parametrize("name", DIFFERENCES)
def test_where_hugging_face_differs(name: str) -> None:
    """Each class with its values: ours is the original's by default and Hugging Face's by rules="huggingface"."""
    text, original, hugging_face = DIFFERENCES[name]
    tokens = text_strings.adversarial_vocabulary()

    def spell(ids: list[int]) -> list[str]:
        return [tokens[i] for i in ids]

    assert spell(Original(tokens)(text)) == original
    assert spell(HuggingFace(tokens)([text])[0]) == hugging_face
    assert ours("adversarial", lower=True).tokens(text) == original
    assert ours("adversarial", rules="huggingface").tokens(text) == hugging_face


@needs_garden
def test_marks_that_decomposition_reorders_are_not_reordered() -> None:
    """The one rest: two neighbouring marks that are not of category Mn and stand in non-canonical order."""
    tokens = text_strings.adversarial_vocabulary()
    text = "a\u302e\u1b44"
    assert Original(tokens)(text) == [tokens.index(t) for t in ("a", "##\u1b44", "##\u302e")]
    assert ours("adversarial", lower=True).tokens(text) == ["a", "##\u302e", "##\u1b44"]
