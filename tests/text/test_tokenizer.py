"""Everything about the tokenizer but which ids: offsets, joining, odd input, graphs and SavedModels."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import text_strings
from text_oracles import HuggingFace, ours, tokens_of

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.text.tokenizer import Tokenizer

TEXTS = ["Ünaffable  films, isn't it? 中国", "", "ΌΣΙΟΣ\0 x", "e\u0301a 👩\u200d👩", "a" * 300 + " b"]

# Every op that the traced graphs may hold: core TensorFlow, and two of TensorFlow Text that 2.12.1 has as well.
ALLOWED_OPS = set(
    """
    FastBertNormalize FastWordpieceTokenizeWithOffsets
    AddV2 Any BitwiseAnd Cast ConcatV2 Const Cumsum DecodeRaw DenseBincount FloorDiv GatherV2 Greater Identity
    LogicalAnd LogicalNot LogicalOr Max Maximum Minimum Mul NotEqual Pack PartitionedCall Placeholder Prod Range
    ReduceJoin Reshape SelectV2 Shape Size Squeeze StatelessIf StaticRegexFullMatch StaticRegexReplace StridedSlice
    StringLength StringSplitV2 Sub Sum UnicodeTranscode UnsortedSegmentJoin UpperBound Where
    """.split()
)


def test_the_public_name() -> None:
    assert kbz.Tokenizer is Tokenizer


def test_shapes_and_types() -> None:
    tokenizer = ours("realistic", lower=True)
    ids, starts, ends = tokenizer.tokenize_with_offsets(TEXTS)
    for tensor in (tokenizer.tokenize(TEXTS), tokenizer(TEXTS), ids, starts, ends):
        assert isinstance(tensor, tf.RaggedTensor)
        assert tensor.dtype == tf.int32
        assert tensor.row_lengths().numpy().tolist() == ids.row_lengths().numpy().tolist()
    assert ids.to_list() == tokenizer.tokenize(TEXTS).to_list() == tokenizer.tokenize(np.array(TEXTS)).to_list()
    assert ids.to_list() == tokenizer.tokenize(tf.constant(TEXTS)).to_list()
    assert ids.to_list() == tokenizer.tokenize([t.encode() for t in TEXTS]).to_list()


@pytest.mark.parametrize("split_cjk", [True, False])
def test_no_texts_and_texts_without_words(split_cjk: bool) -> None:
    tokenizer = ours("realistic", lower=True, split_cjk=split_cjk)
    assert tokenizer.tokenize([]).to_list() == []
    assert [part.to_list() for part in tokenizer.tokenize_with_offsets([])] == [[], [], []]
    assert tokenizer.tokenize(["", " \0", "\u0301"]).to_list() == [[], [], []]
    assert [part.to_list() for part in tokenizer.tokenize_with_offsets(["", "\xad"])] == [[[], []]] * 3
    assert tokenizer.detokenize(tokenizer.tokenize([])).numpy().tolist() == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"texts is one string, want a list of them: put it in \[ \]"),
        (["a", 5], r"texts\[1\] is a int, want a string: 5"),
        (tf.constant([1, 2]), r"texts is int32 \(2,\), want strings in one dimension"),
        (tf.constant([["a"]]), r"texts is string \(1, 1\), want strings in one dimension"),
    ],
)
def test_not_a_list_of_texts(texts: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ours("realistic", lower=True).tokenize(texts)
    with pytest.raises(DataError, match=message):
        ours("realistic", lower=True).tokenize_with_offsets(texts)


def test_half_a_surrogate_pair_is_skipped() -> None:
    tokenizer = ours("realistic", lower=True)
    assert tokenizer.tokenize(["fo\ud800x"]).to_list() == tokenizer.tokenize(["fox"]).to_list()


def spans(tokenizer: Tokenizer, texts: list) -> list[list[tuple[int, int]]]:
    _, starts, ends = tokenizer.tokenize_with_offsets(texts)
    return [list(zip(a, b, strict=True)) for a, b in zip(starts.to_list(), ends.to_list(), strict=True)]


@pytest.mark.parametrize("split_cjk", [True, False])
def test_offsets_are_hugging_faces(split_cjk: bool) -> None:
    """Wherever both cut alike; a few spans differ in how much of a taken-out character they cover."""
    switches = {"rules": "huggingface", "split_cjk": split_cjk}
    for vocabulary in ("realistic", "adversarial"):
        tokenizer, oracle = ours(vocabulary, **switches), HuggingFace(tokens_of(vocabulary), split_cjk=split_cjk)
        plain = [" ".join(text_strings.TEXTS[i : i + 5]) for i in range(0, len(text_strings.TEXTS), 5)]
        assert spans(tokenizer, plain) == oracle.offsets(plain)


@pytest.mark.parametrize("split_cjk", [True, False])
def test_offsets_by_property(split_cjk: bool) -> None:
    """A span's own text gives its piece again; spans of one text never go back and never leave it."""
    tokenizer = ours("adversarial", lower=True, split_cjk=split_cjk)
    tokens = tokens_of("adversarial")
    texts = [t for t in text_strings.strings(seed=7, count=6_000) if "Σ" not in t]
    ids, _, _ = tokenizer.tokenize_with_offsets(texts)
    assert ids.to_list() == tokenizer.tokenize(texts).to_list()
    cut, wanted = [], []
    for text, row, places in zip(texts, ids.to_list(), spans(tokenizer, texts), strict=True):
        assert all(0 <= a < b <= len(text) for a, b in places)
        assert places == sorted(places)
        for id_, (a, b) in zip(row, places, strict=True):
            cut.append(text[a:b])
            wanted.append(tokens[id_].removeprefix("##") if id_ != tokenizer.unk_id else None)
    pieces = [[tokens[i].removeprefix("##") for i in row] for row in tokenizer.tokenize(cut).to_list()]
    # One character that becomes several pieces gives each of them its span.
    assert all(want is None or want in "".join(got) for got, want in zip(pieces, wanted, strict=True))


def test_offsets_by_hand() -> None:
    tokenizer = ours("adversarial", lower=True)
    cases = {
        "  a\0z  c": [(2, 3), (4, 5), (7, 8)],
        " ab a\0b": [(1, 3), (4, 7)],  # one piece from both sides of what was taken out
        "한a": [(0, 1), (0, 1), (0, 1), (1, 2)],  # one syllable, three letters
        "e\u0301\u0302x": [(0, 1), (3, 4)],
        "İ一ß": [(0, 1), (1, 2), (2, 3)],
        "👩\u200d👩": [(0, 1), (2, 3)],
        "ΑΣ": [(0, 1), (1, 2)],
        "x " + "é" * 201 + "!": [(0, 1), (2, 203), (203, 204)],  # too long a word is one piece
    }
    assert dict(zip(cases, spans(tokenizer, list(cases)), strict=True)) == cases


def test_offsets_of_invalid_utf8() -> None:
    tokenizer = ours("adversarial", lower=True)
    data = text_strings.invalid_bytes(seed=9, count=2_000)
    valid = [d.decode("utf-8", "ignore") for d in data]
    assert spans(tokenizer, data) == spans(tokenizer, valid)


def test_detokenize() -> None:
    tokenizer = ours("realistic", lower=True)
    ids = tokenizer.tokenize(["The quick, brown  fox's", "zzzé jumps", ""])
    assert [t.decode() for t in tokenizer.detokenize(ids).numpy()] == [
        "the quick , brown fox ' s",
        "zzze jumps",
        "",
    ]
    row = tokenizer.tokenize(["fox"]).to_list()[0]
    dense = tf.constant([[tokenizer.cls_id, *row, tokenizer.mask_id, tokenizer.sep_id, tokenizer.pad_id]])
    assert tokenizer.detokenize(dense).numpy().tolist() == [b"fox [MASK]"]
    assert tokenizer.tokens("Foxy") == ["fox", "##y"]


def test_detokenize_and_tokenize_again() -> None:
    for vocabulary in ("realistic", "adversarial"):
        tokenizer = ours(vocabulary, lower=True)
        ids = tokenizer.tokenize(text_strings.strings(seed=4, count=3_000))
        known = tf.ragged.boolean_mask(ids, ids != tokenizer.unk_id)
        joined = tokenizer.detokenize(known)
        again = tokenizer.detokenize(tokenizer.tokenize(joined))
        assert (joined.numpy() == again.numpy()).mean() > 0.99  # a word whose neighbour was unknown may join another


@pytest.mark.parametrize("split_cjk", [True, False])
def test_a_megabyte(split_cjk: bool) -> None:
    tokenizer = ours("realistic", lower=True, split_cjk=split_cjk)
    word, many, chinese = "a" * 1_000_000, "fox " * 250_000, "中" * 333_334
    ids, starts, ends = tokenizer.tokenize_with_offsets([word, many, chinese, "é" * 500_000])
    fox = tokenizer.token_id("fox")
    assert ids[0].numpy().tolist() == [tokenizer.unk_id]
    assert (starts[0].numpy().tolist(), ends[0].numpy().tolist()) == ([0], [1_000_000])
    assert ids.row_lengths().numpy().tolist() == [1, 250_000, 333_334 if split_cjk else 1, 1]
    assert np.all(ids[1].numpy() == fox)
    assert np.array_equal(ends[1].numpy(), np.arange(250_000) * 4 + 3)
    assert ends[3].numpy().tolist() == [500_000]


def test_in_graphs_and_tf_data() -> None:
    tokenizer = ours("realistic", lower=True)
    want = tokenizer.tokenize(TEXTS).to_list()

    @tf.function
    def graph(texts: tf.Tensor) -> tf.RaggedTensor:
        return tokenizer(texts)

    assert graph(tf.constant(TEXTS)).to_list() == want
    data = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2).map(tokenizer.tokenize, num_parallel_calls=2)
    assert [row for batch in data for row in batch.to_list()] == want
    three = tf.data.Dataset.from_tensor_slices(TEXTS).batch(5).map(tokenizer.tokenize_with_offsets)
    assert next(iter(three))[1].to_list() == tokenizer.tokenize_with_offsets(TEXTS)[1].to_list()


def test_a_batch_does_not_change_its_rows() -> None:
    tokenizer = ours("realistic", lower=True)
    texts = text_strings.strings(seed=6, count=300)
    assert tokenizer.tokenize(texts).to_list() == [tokenizer.tokenize([text]).to_list()[0] for text in texts]


def ops_of(graph_def: tf.compat.v1.GraphDef) -> set[str]:
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    functions = {function.signature.name for function in graph_def.library.function}
    return {node.op for node in nodes} - functions


@pytest.mark.parametrize("rules", ["original", "huggingface"])
@pytest.mark.parametrize("split_cjk", [True, False])
def test_only_ops_that_older_servers_have(rules: str, split_cjk: bool) -> None:
    tokenizer = ours("realistic", rules=rules, split_cjk=split_cjk)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def everything(texts: tf.Tensor) -> tuple:
        ids, starts, ends = tokenizer.tokenize_with_offsets(texts)
        return tokenizer.tokenize(texts), starts, ends, tokenizer.detokenize(ids)

    concrete = everything.get_concrete_function()
    assert ops_of(concrete.graph.as_graph_def()) - ALLOWED_OPS == set()
    assert concrete.variables == ()
    assert {tensor.dtype for tensor in concrete.captured_inputs} == set()


SERVE = """
import sys
import tensorflow as tf, tensorflow_text
assert not any(name.startswith(("keras_bert_zoo", "tokenizers")) for name in sys.modules)
texts = tf.constant([line.encode("utf-8").decode("unicode_escape") for line in sys.argv[2:]])
out = tf.saved_model.load(sys.argv[1]).signatures["serving_default"](texts)
print(out["ids"].numpy().tolist(), out["starts"].numpy().tolist(), out["text"].numpy().tolist())
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], sys.argv[1])
    signature = meta.signature_def["serving_default"]
    feeds = {signature.inputs["texts"].name: [line.encode("utf-8").decode("unicode_escape") for line in sys.argv[2:]]}
    print(session.run(signature.outputs["ids"].name, feeds).tolist())
"""


def test_saved_model_in_a_process_with_tensorflow_alone(tmp_path: Path) -> None:
    tokenizer = ours("realistic", lower=True)
    texts = ["Unaffable films", "ΌΣΙΟΣ \u4e2d", "", "x" * 300]
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def serve(texts: tf.Tensor) -> dict[str, tf.Tensor]:
        ids, starts, _ = tokenizer.tokenize_with_offsets(texts)
        return {"ids": ids.to_tensor(-1), "starts": starts.to_tensor(-1), "text": tokenizer.detokenize(ids)}

    tf.saved_model.save(module, str(tmp_path), signatures=serve)
    assert list((tmp_path / "assets").iterdir()) == []
    arguments = [text.encode("unicode_escape").decode() for text in texts]
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    want = {name: value.numpy().tolist() for name, value in serve(tf.constant(texts)).items()}
    assert done.stdout.splitlines() == [f"{want['ids']} {want['starts']} {want['text']}", str(want["ids"])]
