"""All switches against the `tokenizers` library, under its own rules and under the original's.

Where accents and case, or ideographs, are switched apart, that library is the only oracle there is.
"""

import unicodedata
from collections import Counter
from functools import cache

import pytest
import text_strings
from text_oracles import HuggingFace, ours, tokens_of

SWITCHES = [
    {"lower": lower, "strip_accents": strip, "split_cjk": cjk}
    for lower in (True, False)
    for strip in (True, False)
    for cjk in (True, False)
]
LIMIT = 100  # for both, so that only the tables can differ


@cache
def every_character() -> tuple[str, ...]:
    """Between letters: all planes with assigned characters, and some private use of planes 15 and 16."""
    codes = [*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200), *range(0xF0000, 0x110000, 0x100)]
    return tuple(f"a{chr(c)}b" for c in codes)


def name(switches: dict[str, bool]) -> str:
    return "-".join(key for key, on in switches.items() if on) or "none"


@pytest.mark.parametrize("switches", SWITCHES, ids=name)
def test_hugging_face_rules_equal_the_library(switches: dict[str, bool]) -> None:
    for vocabulary in ("realistic", "adversarial"):
        texts = text_strings.strings(seed=SWITCHES.index(switches), count=6_000)
        mine = ours(vocabulary, rules="huggingface", **switches).tokenize(texts).to_list()
        theirs = HuggingFace(tokens_of(vocabulary), **switches)(texts)
        assert [case for case in zip(texts, mine, theirs, strict=True) if case[1] != case[2]] == []


def expected_differences(switches: dict[str, bool]) -> dict[str, int]:
    """How many characters of each category the library treats otherwise than the original's rules do, and why."""
    found = {
        "Co": 6_400 + 512,  # it takes private use out of the text
        "Po": 94,  # its table of punctuation is older than Unicode 14 ...
        "Ps": 4,
        "Pe": 4,
        "Pd": 2,
        "So": 1,  # ... when U+166D still was punctuation
        "Cf": 13,  # its table of format controls is older as well
    }
    if switches["strip_accents"]:
        found |= {"Mn": 384, "Mc": 2}  # and so is its table of marks
    else:
        found |= {"Mn": 1}  # U+111C9, punctuation in the older table
    if switches["lower"]:
        found["Cn"] = 4  # capitals that its lower-casing knows and Unicode 14 does not
    if switches["split_cjk"]:
        found["Lo"] = 256  # U+2B820 to U+2B91F, which its list of ideographs leaves out
    return found


@pytest.mark.parametrize("switches", SWITCHES, ids=name)
def test_original_rules_differ_from_the_library_in_these_characters_only(switches: dict[str, bool]) -> None:
    tokenizer = ours("adversarial", word_limit=LIMIT, **switches)
    oracle = HuggingFace(tokens_of("adversarial"), word_limit=LIMIT, **switches)
    texts = every_character()
    differ = {
        text[1]
        for text, mine, theirs in zip(texts, tokenizer.tokenize(texts).to_list(), oracle(texts), strict=True)
        if mine != theirs
    }
    assert Counter(unicodedata.category(c) for c in differ) == expected_differences(switches)

    # In any string without them, and without the final sigma that only the original knows: no difference.
    known = [
        text
        for text in text_strings.strings(seed=100 + SWITCHES.index(switches), count=12_000)
        if not any(c in differ or unicodedata.category(c) == "Co" for c in text)
        and not (switches["lower"] and "Σ" in text)
    ]
    assert len(known) > 4_000
    mine = tokenizer.tokenize(known).to_list()
    assert [case for case in zip(known, mine, oracle(known), strict=True) if case[1] != case[2]] == []
