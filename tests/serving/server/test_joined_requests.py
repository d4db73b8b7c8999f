"""Requests of many clients in one run of the model: who is joined, and that company changes no answer."""

import asyncio
import threading

import numpy as np
import pytest

from keras_bert_zoo.serving.json_values import Spec
from keras_bert_zoo.serving.server import batching
from keras_bert_zoo.serving.server.batching import Batcher, parted
from keras_bert_zoo.serving.server.limits import Limits
from keras_bert_zoo.serving.server.loaded import Loaded, check_tensors
from keras_bert_zoo.serving.server.refusals import Refused


@pytest.fixture(scope="module")
def words(small):
    loaded = Loaded("words", 7, small / "words" / "7", timeout=20)
    yield loaded
    loaded.retire()
    assert loaded.closed


class Gate:
    """A model that keeps a runner busy until it is opened."""

    def __init__(self, like):
        self.name, self.signatures = "gate", like.signatures
        self.entered, self.opened, self.held = threading.Event(), threading.Event(), 0

    def run(self, name, tensors):
        self.entered.set()
        assert self.opened.wait(20)
        return {}

    def hold(self):
        self.held += 1
        return True

    def release(self):
        self.held -= 1


def strings(*texts):
    return np.array([text.encode() for text in texts], object)


def together(words, requests, *, batch=32, waiting=99):
    """Ask all requests, (signature, tensors), while the only runner is busy; return answers and batches seen."""
    seen = []
    batcher = Batcher(Limits(batch=batch, waiting=waiting, runners=1), lambda *each: seen.append((each[0], *each[2:])))
    gate = Gate(words)

    async def ask():
        first = asyncio.ensure_future(batcher.ask(gate, "busy", {}, None))
        await asyncio.to_thread(gate.entered.wait, 20)
        rest = []
        for name, tensors in requests:
            rows = check_tensors(words.signatures[name], tensors, 99)
            rest.append(asyncio.ensure_future(batcher.ask(words, name, tensors, rows)))
            await asyncio.sleep(0)  # it is in the queue now
        assert batcher.size == min(len(requests), waiting)
        gate.opened.set()
        await first
        return await asyncio.gather(*rest, return_exceptions=True)

    answers = asyncio.run(ask())
    batcher.close()
    assert (gate.held, batcher.size) == (0, 0)
    return answers, seen[1:]


def equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tolist() == array.tolist()


def test_company_changes_no_answer(words):
    texts = [("a b c", "d"), ("",), ("e f g h i j",), ("k l", "m n o"), ("  ",)]
    requests = [("serving_default", {"text": strings(*each)}) for each in texts]
    answers, seen = together(words, requests)
    assert seen == [("words", 5, 7)]
    assert answers[1]["word"].shape == (1, 0)  # nothing, and no padding
    assert answers[3]["word"].tolist() == [[b"k", b"l", b""], [b"m", b"n", b"o"]]
    for request, answer in zip(requests, answers, strict=True):
        equal(answer, words.run(*request))


def test_a_batch_has_at_most_so_many_rows(words):
    sizes = [3, 3, 5, 9, 1, 1]  # of which 8 at once
    requests = [("serving_default", {"text": strings(*"abcdefghi"[:size])}) for size in sizes]
    answers, seen = together(words, requests, batch=8)
    assert seen == [("words", 2, 6), ("words", 1, 5), ("words", 1, 9), ("words", 2, 2)]
    assert [len(answer["word"]) for answer in answers] == sizes


def test_only_what_belongs_together_is_joined(words):
    types = {"whole": np.ones((2, 2), "int32"), "yes": np.ones(1, bool), "real": np.ones((1, 2)), "times": np.array(2)}
    requests = [
        ("serving_default", {"text": strings("a b")}),
        ("types", types),  # a scalar is no column
        ("rows", {"text": strings("c d")}),  # its answer holds numbers of rows
        ("rows", {"text": strings("e f", "g")}),
        ("pair", {"text": strings("h"), "other": strings("i")}),
        ("serving_default", {"text": strings("j")}),
        ("types", types),
        ("pair", {"text": strings("k"), "other": strings("l")}),
    ]
    answers, seen = together(words, requests)
    assert sorted(each[1] for each in seen) == [1, 1, 1, 1, 2, 2]
    for request, answer in zip(requests, answers, strict=True):
        equal(answer, words.run(*request))
    assert answers[3]["owner"].tolist() == [0, 0, 1]


def test_rows_that_cannot_be_told_apart_are_asked_again_alone(words):
    answers, seen = together(words, [("loose", {"text": strings("a b")}), ("loose", {"text": strings("c", "d e")})])
    assert [answer["word"].tolist() for answer in answers] == [[b"a", b"b"], [b"c", b"d", b"e"]]
    assert seen == [("words", 2, 3), ("words", 1, 1), ("words", 1, 2)]


def test_the_guilty_one_alone_is_refused(small):
    half = Loaded("half", 1, small / "half" / "1", timeout=20)
    import tensorflow as tf

    def example(**values):
        feature = {name: tf.train.Feature(float_list=tf.train.FloatList(value=[x])) for name, x in values.items()}
        return np.array([tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()], object)

    tensors = [example(x=1.0), example(y=1.0), np.array([b"\xff"], object), example(x=3.0)]
    answers, _ = together(half, [("regress_x_to_y", {"inputs": each}) for each in tensors])
    assert [answers[0]["outputs"].tolist(), answers[3]["outputs"].tolist()] == [[[2.5]], [[3.5]]]
    assert [each.code for each in answers[1:3]] == ["INVALID_ARGUMENT"] * 2
    unknown = "Name: <unknown>, Feature: x (data type: float) is required but could not be found."
    assert str(answers[1]) == unknown
    assert str(answers[2]) == "Could not parse example input, value: '\N{REPLACEMENT CHARACTER}'"
    half.retire()


def test_too_many_are_told_so_at_once(words):
    requests = [("serving_default", {"text": strings(text)}) for text in ("a", "b", "c")]
    answers, _ = together(words, requests, waiting=2)
    assert [type(each) for each in answers] == [dict, dict, Refused]
    assert (answers[2].code, answers[2].http) == ("UNAVAILABLE", 503)


@pytest.mark.parametrize("count", [3, 2])
def test_beside_a_runner_that_computes_a_burst_is_one_batch(words, monkeypatch, count):
    """It is complete once it fills a batch, or once the other runner is done."""
    monkeypatch.setattr(batching, "_ON_THE_WAY", 20)
    seen = []
    batcher = Batcher(Limits(batch=3, runners=2), lambda *each: seen.append((each[0], *each[2:])))
    gate = Gate(words)

    async def ask():
        first = asyncio.ensure_future(batcher.ask(gate, "busy", {}, None))
        await asyncio.to_thread(gate.entered.wait, 20)
        rest = []
        for text in "abc"[:count]:
            rest.append(asyncio.ensure_future(batcher.ask(words, "serving_default", {"text": strings(text)}, 1)))
            await asyncio.sleep(0)
        if count == 2:
            gate.opened.set()
        await asyncio.gather(*rest)
        gate.opened.set()
        await first

    asyncio.run(ask())
    batcher.close()
    assert sorted(seen) == [("gate", 1, 1), ("words", count, count)]


def test_nobody_computes_for_a_client_who_has_gone(words):
    seen = []
    batcher = Batcher(Limits(runners=1), lambda *each: seen.append(each[0]))
    gate = Gate(words)

    async def ask():
        first = asyncio.ensure_future(batcher.ask(gate, "busy", {}, None))
        await asyncio.to_thread(gate.entered.wait, 20)
        second = asyncio.ensure_future(batcher.ask(words, "serving_default", {"text": strings("a")}, 1))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        gate.opened.set()
        await first

    asyncio.run(ask())
    batcher.close()
    assert seen == ["gate"]


def test_a_fault_of_the_server_leaves_nobody_waiting(words, caplog):
    gate = Gate(words)
    gate.run = lambda name, tensors: 1 / 0
    batcher = Batcher(Limits(runners=1), lambda *each: None)

    async def ask():
        both = [batcher.ask(gate, "busy", {}, None), batcher.ask(words, "serving_default", {"text": strings("a")}, 1)]
        return await asyncio.gather(*both, return_exceptions=True)

    error, answer = asyncio.run(ask())
    assert str(error).startswith("The server failed on this request")
    assert error.code == "INTERNAL"
    assert answer["word"].tolist() == [[b"a"]]  # by the runner that took the place of the one that fell
    batcher.close()
    assert "ZeroDivisionError" in caplog.text
    assert gate.held == 0


def test_only_padding_is_left_out(words):
    signature = words.signatures["serving_default"]
    assert set(signature.padded) == {"word", "length", "share"}
    outputs = {
        "word": np.array([[b"a", b"", b""], [b"", b"b", b""]], object),
        "length": np.array([[1, -1, -1], [0, 0, -1]]),
        "share": np.zeros((2, 3), "float32"),  # noughts tell nothing
        "count": np.array([1, 2]),
    }
    first, second = parted(outputs, [1, 1], signature)
    assert [first[name].shape for name in ("word", "length", "share", "count")] == [(1, 1), (1, 1), (1, 1), (1,)]
    assert second["word"].tolist() == [[b"", b"b"]]
    assert second["length"].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "joins"),
    [
        ({"text": (None,)}, {"label": ("DT_STRING", (None,)), "probabilities": ("DT_FLOAT", (None, 3))}, True),
        ({"text": (None,)}, {"entity": ("DT_STRING", (None, None)), "score": ("DT_FLOAT", (None, None))}, True),
        ({"text": (None,), "choices": (None, None)}, {"probabilities": ("DT_FLOAT", (None, None))}, True),
        ({"ids": (None, None)}, {"logits": ("DT_FLOAT", (None, None, 4))}, True),
        ({"text": (None,)}, {"tokens": ("DT_STRING", (None, None)), "owner": ("DT_INT32", (None,))}, False),
        ({"text": (None,)}, {"probabilities": ("DT_FLOAT", (None, None))}, False),  # nothing tells the padding
        ({"inputs": (None,)}, {"classes": ("DT_STRING", (None, None)), "scores": ("DT_FLOAT", (None, None))}, False),
        ({"ids": (None, None)}, {"words": ("DT_STRING", (None, None))}, False),
        ({"times": ()}, {"x": ("DT_FLOAT", (None,))}, False),
        ({"text": (2,)}, {"x": ("DT_FLOAT", (2,))}, False),
        ({"text": None}, {"x": ("DT_FLOAT", (None,))}, False),
        ({}, {"x": ("DT_FLOAT", (None,))}, False),
    ],
)
def test_which_signatures_are_joined(inputs, outputs, joins):
    from keras_bert_zoo.serving.server.loaded import _joins

    specs = {name: Spec("DT_STRING", shape) for name, shape in inputs.items()}
    made = {name: Spec(*spec) for name, spec in outputs.items()}
    padded = [name for name, spec in made.items() if spec.shape and None in spec.shape[1:2]]
    assert _joins(specs, made, padded) is joins
