"""What each character becomes before WordPiece, told twice: as the original BERT code does it and as Hugging Face does.

Only `build_assets` and the tests import this: users read the tables it made, so that the answer never depends on the
Unicode version of the Python at hand.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

UNICODE_VERSION = "14.0.0"  # Python 3.11's; what rules="original" means on every Python


class Switches(NamedTuple):
    """One way of normalising: `rules` is "original" or "huggingface"."""

    rules: str
    lower: bool
    strip_accents: bool
    split_cjk: bool

    @property
    def name(self) -> str:
        """The stem of the asset file that holds this combination."""
        return "-".join(
            (
                self.rules,
                "lower" if self.lower else "cased",
                "strip" if self.strip_accents else "accents",
                "cjk" if self.split_cjk else "nocjk",
            )
        )


ALL_SWITCHES = [
    Switches(rules, lower, strip, cjk)
    for rules in ("original", "huggingface")
    for lower in (True, False)
    for strip in (True, False)
    for cjk in (True, False)
]

# google-research/bert tokenization.py, _is_chinese_char.  TensorFlow Text's WordPiece op splits at the same ranges.
CJK_RANGES = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
# Punctuation younger than Unicode 14, which the op splits at because its ICU is newer than the rules.
_OP_NEW_PUNCTUATION_RANGES = (
    (0x1B4E, 0x1B4F),
    (0x1B7F, 0x1B7F),
    (0x10D6E, 0x10D6E),
    (0x113D4, 0x113D5),
    (0x113D7, 0x113D8),
    (0x11B00, 0x11B09),
    (0x11BE1, 0x11BE1),
    (0x11F43, 0x11F4F),
    (0x16D6D, 0x16D6F),
    (0x1E5FF, 0x1E5FF),
)
_CJK = frozenset(chr(c) for low, high in CJK_RANGES for c in range(low, high + 1))
_OP_NEW_PUNCTUATION = frozenset(chr(c) for low, high in _OP_NEW_PUNCTUATION_RANGES for c in range(low, high + 1))
_ALIAS_BASE = 0xF1000  # private use, plane 15: no text means anything by it
_ALIAS_STANDIN = "\U000f0000"  # what a text's own use of an alias becomes, so that it never meets the real one

# A character after normalising, and whether it stands as a word of its own.
Piece = tuple[str, bool]
Rule = Callable[[str], list[Piece]]


def characters() -> Iterable[str]:
    """Every Unicode character that can stand in a text: all codepoints but the surrogates."""
    return (chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)


def is_ascii_punctuation(character: str) -> bool:
    """True for ASCII that is neither letter, digit, space nor control: BERT splits at all of it."""
    return "!" <= character <= "~" and not character.isalnum()


def is_cjk(character: str) -> bool:
    """True for the ideographs that BERT splits one by one."""
    return character in _CJK


def original_rule(switches: Switches) -> Rule:
    """The original's cleaning, lower-casing, accent stripping and splitting, one character at a time.

    Source: google-research/bert tokenization.py, BasicTokenizer.  Its one switch moves case and accents together;
    told apart, each does its half.
    """

    def rule(character: str) -> list[Piece]:
        category = unicodedata.category(character)
        if character in "\t\n\r":
            return [(" ", False)]
        if character in "\0\ufffd" or category in ("Cc", "Cf"):
            return []
        if character.isspace():  # Zs, and U+2028 and U+2029 because the original's split() cuts there too
            return [(" ", False)]
        text = character.lower() if switches.lower else character
        if switches.strip_accents:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        alone = switches.split_cjk and is_cjk(character)
        return [(c, alone or is_ascii_punctuation(c) or unicodedata.category(c).startswith("P")) for c in text]

    return rule


def huggingface_rule(switches: Switches) -> Rule:
    """What the `tokenizers` library does to one character, found by asking it.

    Source: its BertNormalizer and BertPreTokenizer, called, not read.
    """
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    options = {"clean_text": True, "strip_accents": switches.strip_accents, "lowercase": switches.lower}
    plain = BertNormalizer(handle_chinese_chars=False, **options)
    padded = BertNormalizer(handle_chinese_chars=True, **options)
    splitter = BertPreTokenizer()
    known: dict[str, bool] = {}

    def is_split(character: str) -> bool:
        if character not in known:
            known[character] = len(splitter.pre_tokenize_str(f"a{character}a")) == 3
        return known[character]

    def rule(character: str) -> list[Piece]:
        text = plain.normalize_str(character)
        if text.isspace():
            return [(" ", False)]
        alone = switches.split_cjk and padded.normalize_str(character) != text
        return [(c, alone or is_split(c)) for c in text]

    return rule


def rule_for(switches: Switches) -> Rule:
    """The rule behind one combination of switches."""
    return {"original": original_rule, "huggingface": huggingface_rule}[switches.rules](switches)


def _op_splits(character: str) -> bool:
    """True where the WordPiece op cuts by itself and the table need not add spaces (or must prevent the cut)."""
    known = unicodedata.category(character).startswith("P") or character in _OP_NEW_PUNCTUATION
    return known or is_ascii_punctuation(character) or is_cjk(character)


def build_table(rule: Rule, *, op_splits: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Spells a rule as replacements for the normaliser, character by character.

    With `op_splits` the WordPiece op is to cut at punctuation and ideographs by itself: where it cuts and the rule
    does not, the character travels under an alias from private use.  Without, the op is to cut only at spaces, and
    the table puts them around everything that stands alone.

    Returns (character -> string, unchanged characters left out; aliased character -> alias).
    """
    spelled = {c: rule(c) for c in characters()}
    aliases: dict[str, str] = {}
    if op_splits:
        joined = {c for pieces in spelled.values() for c, alone in pieces if not alone and _op_splits(c)}
        aliases = {c: chr(_ALIAS_BASE + i) for i, c in enumerate(sorted(joined))}
    taken = {*aliases.values(), _ALIAS_STANDIN}

    def spell(piece: Piece) -> str:
        character, alone = piece
        if alone:
            # Other punctuation gets spaces whether or not the op knows it: its Unicode version varies.
            bare = op_splits and (is_ascii_punctuation(character) or is_cjk(character))
            return character if bare else f" {character} "
        if character in taken and aliases:
            return _ALIAS_STANDIN
        return aliases.get(character, character)

    table = {}
    for character, pieces in spelled.items():
        text = "".join(map(spell, pieces))
        if text != character:
            table[character] = text
    return table, aliases


def _ranges(members: Iterable[str]) -> str:
    """Characters as the inside of an RE2 class."""
    runs: list[list[int]] = []
    for code in sorted(map(ord, members)):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"\\x{{{low:X}}}" if low == high else f"\\x{{{low:X}}}-\\x{{{high:X}}}" for low, high in runs)


def final_sigma_pattern() -> str:
    """An RE2 pattern for a capital sigma that Python's str.lower() turns into the final form.

    That is one after a cased letter and before none, looking through case-ignorable characters, and through those
    that BERT's cleaning takes out first.  Group 1 is what precedes the sigma, group 2 what follows.
    Source: Unicode 3.13, Final_Sigma; the classes are found by asking str.lower().
    """
    removed = {c for c in characters() if not original_rule(Switches("original", False, False, False))(c)}
    ignorable, cased = set(removed), set()
    for c in characters():
        if c in removed:
            continue
        if (c + "Σ").lower().endswith("ς"):
            cased.add(c)
        elif ("a" + c + "Σ").lower().endswith("ς"):
            ignorable.add(c)
    skip, letter = _ranges(ignorable), _ranges(cased)
    return f"([{letter}][{skip}]*)Σ([{skip}]*(?:[^{skip}{letter}]|$))"


Table = Mapping[str, str]
