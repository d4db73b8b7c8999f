"""The shipped tables: rebuilt, unpacked, and held against the ops they are made for."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.core.pybinds import pywrap_fast_wordpiece_tokenizer_model_builder as model_builder

from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.text import build_assets, double_array, rules, tables

UNCASED = rules.Switches("original", True, True, True)
pinned = pytest.mark.skipif(
    unicodedata.unidata_version != rules.UNICODE_VERSION,
    reason="the original's tables are rebuilt from the Unicode 14 of Python 3.11; a newer one moves 65 characters",
)


@pinned
@pytest.mark.parametrize(
    "switches",
    [
        pytest.param(switches, marks=() if switches == UNCASED else pytest.mark.slow, id=switches.name)
        for switches in rules.ALL_SWITCHES
        if switches.rules == "original"
    ],
)
def test_rebuilt_byte_for_byte(switches: rules.Switches) -> None:
    assert build_assets.build(switches) == tables.load(switches.name)


@pinned
def test_final_sigma_pattern_rebuilt() -> None:
    assert rules.final_sigma_pattern() == tables.final_sigma_pattern()


def test_a_table_is_there_for_every_switch_and_nothing_else() -> None:
    names = {f"{switches.name}.bin" for switches in rules.ALL_SWITCHES}
    assert len(names) == 16
    assert {path.name for path in tables.FOLDER.iterdir()} == names | {tables.FINAL_SIGMA}
    assert sum(path.stat().st_size for path in tables.FOLDER.iterdir()) < 700_000


def test_another_unicode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_assets.unicodedata, "unidata_version", "99.0.0")
    with pytest.raises(VocabularyError, match=r"this Python has Unicode 99\.0\.0, .* pinned to 14\.0\.0"):
        build_assets.build(UNCASED)


def test_the_command_writes_what_the_package_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "ALL_SWITCHES", [UNCASED])
    monkeypatch.setattr(build_assets, "build", lambda switches: tables.load(switches.name))
    monkeypatch.setattr(rules, "final_sigma_pattern", lambda: "Σ")
    build_assets.main([str(tmp_path / "new")])
    written = tmp_path / "new" / f"{UNCASED.name}.bin"
    assert written.read_bytes() == (tables.FOLDER / written.name).read_bytes()
    assert (tmp_path / "new" / tables.FINAL_SIGMA).read_text(encoding="utf-8") == "Σ"


def test_pack_and_unpack() -> None:
    table = tables.Table(bytes(range(256)) + b"\n\n\n\n", {"中": "\U000f1000"})
    assert tables.unpack(tables.pack(table)) == table


def normalizer(table: dict[str, str]) -> tf_text.FastBertNormalizer:
    buffer = double_array.build_buffer(table, lower=False)
    return tf_text.FastBertNormalizer(model_buffer=tf.constant(np.frombuffer(buffer, np.uint8)))


def test_a_small_table_through_the_op() -> None:
    """The double array, read back by TensorFlow's own reader: every character goes where the table says."""
    table = {"a": "", "é": "e", "한": "\u1112\u1161\u11ab", "𐐷": " x ", "z": "é", "\u0301": "", "ß": "s" * 63}
    texts = ["aéz한𐐷!", "\u0301\u0302", "", "\0b", "한국", "𐐷𐐸", "ßa"]
    want = ["".join("" if c == "\0" else table.get(c, c) for c in text) for text in texts]
    assert [t.decode() for t in normalizer(table).normalize(texts).numpy()] == want


def test_random_tables_through_the_op() -> None:
    random_ = np.random.default_rng(5)
    for size in (1, 37, 3_000):
        codes = [int(c) for c in random_.choice(0x110000, size * 2, replace=False) if not 0xD800 <= c <= 0xDFFF and c]
        keys, others = codes[:size], codes[size:]
        table = {chr(c): "".join(chr(int(d)) for d in random_.integers(0x100, 0x3000, 3)) for c in keys}
        texts = [chr(c) for c in keys + others]
        got = [t.decode() for t in normalizer(table).normalize(texts).numpy()]
        assert got == [table.get(t, t) for t in texts]


def test_ill_formed_parts_are_deleted_and_nothing_else() -> None:
    data = [bytes([a, b]) + b"x" for a in range(0x80, 0x100) for b in (0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC3)]
    data += [part + b"x" for part in double_array.ill_formed_parts()]
    got = normalizer({}).normalize(data).numpy().tolist()
    assert got == [d.decode("utf-8", "ignore").encode() for d in data]


def test_the_op_splits_nowhere_that_the_table_does_not_know() -> None:
    """A newer TensorFlow Text, with a newer ICU, would show here."""
    model = np.frombuffer(
        model_builder.build_fast_wordpiece_model(["[UNK]", "x"], 99, "##", "[UNK]", False, False), "u1"
    )
    op = tf_text.FastWordpieceTokenizer(model_buffer=tf.constant(model))
    characters = [c for c in rules.characters() if c != "\0"]
    counts = op.tokenize([f"a{c}a" for c in characters]).row_lengths().numpy()
    splits = {c for c, count in zip(characters, counts, strict=True) if count > 1 and not c.isspace()}
    # Where the op cuts, the rule either cuts as well or the table sends an alias instead, for all it can put out.
    aliased = set(tables.load(UNCASED.name).aliases)
    rule = rules.original_rule(UNCASED)
    uncut = {out for c in characters for out, alone in rule(c) if not alone and out in splits}
    assert uncut == {c for c in aliased if not unicodedata.category(c).startswith("P")}  # none does in Unicode 14
    assert len(aliased) == 36
