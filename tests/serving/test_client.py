"""The client, against a server that is made of TensorFlow Serving's documents alone."""

import socket
import subprocess
import sys

import grpc
import numpy as np
import pytest
from fake_model_server import LABELS, FakeServer, answer, share

import keras_bert_zoo as kbz
from keras_bert_zoo import answers
from keras_bert_zoo.errors import ConfigError, DataError, ServingError
from keras_bert_zoo.serving import retries
from keras_bert_zoo.serving.client import Client
from keras_bert_zoo.serving.interface import Place, Score, Tensor, VersionStatus, is_loopback, place

WAYS = ("rest", "grpc")
TEXTS = ["a film", "", "caf\u00e9 \u5317\u4eac \U0001f3ac", "so very  long and dull", "no", "ab" * 40, "\u0000 \u2028"]


@pytest.fixture(scope="module")
def running():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def server(running):
    running.clear()
    return running


@pytest.fixture(scope="module", params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def client(server, way):
    with Client(server.urls[way], "mood", timeout=20) as made:
        yield made


@pytest.fixture
def pauses(monkeypatch):
    """Return the pauses that were made, none of which is waited for."""
    made = []
    monkeypatch.setattr(retries.time, "sleep", made.append)
    return made


def test_answers_come_in_the_order_of_the_texts(server, client):
    told = []
    got = client.predict(TEXTS, batch_size=2, progress=lambda done, of: told.append((done, of)))
    for text, row in zip(TEXTS, got, strict=True):
        want = answer("serving_default", {"text": [text]})
        assert row == {name: values[0] for name, values in want.items()}
    sizes = [len(columns["text"]) for name, columns in server.asked]
    assert sorted(sizes) == [1, 2, 2, 2]
    assert {name for name, _ in server.asked} == {"serving_default"}
    assert [done for done, _ in told] == [2, 4, 6, 7]
    assert {of for _, of in told} == {7}
    longest = next(columns["text"] for _, columns in server.asked if "ab" * 40 in columns["text"])
    assert longest == ["ab" * 40, "so very  long and dull"]  # like beside like


def test_an_answer_has_no_padding(client):
    got = client.predict(TEXTS, signature="words")
    for text, row in zip(TEXTS, got, strict=True):
        assert row["entity"] == text.split()
        assert [text[a:b] for a, b in zip(row["start"], row["end"], strict=True)] == text.split()
        assert row["score"] == [share(word) for word in text.split()]
        assert len(row["label"]) == len(text.split())


def test_pairs_and_lists(client):
    got = client.predict(["a", "bcd"], signature="pair", text_pair=["xy", ""])
    assert got == [{"probability": share("a|xy")}, {"probability": share("bcd|")}]
    rows = client.predict(["a", "b", "c"], signature="choose", choices=[["x"], ["yy", "z", "w"], []])
    assert [row["choice"] for row in rows] == [0, 1, -1]
    assert [row["probabilities"] for row in rows] == [
        [share("ax")],
        [share("byy"), share("bz"), share("bw")],
        [],
    ]
    assert client.predict([], signature="words") == []


def test_bytes_that_are_no_text_arrive(server, client):
    assert client.predict([b"\xff\xfe", "\u00e9"])[0]["label"] == "even"
    assert {text for _, columns in server.asked for text in columns["text"]} == {"\u00ff\u00fe", "\u00e9"}


def test_types_are_checked_and_told(client):
    typed = client.predict(["ab"], kind=answers.ClassificationAnswer)
    assert typed[0]["label"] == "even"
    with pytest.raises(
        ConfigError, match=r"gives label, labels, probabilities, score, which is no RegressionAnswer \(value\)"
    ):
        client.predict(["ab"], kind=answers.RegressionAnswer)


def test_arrays_in_and_out(client):
    got = client.run({"ids": [[1, 2], [3, 4], [5, 6]], "mask": [[True, False]] * 3}, signature="tokenized")
    np.testing.assert_array_equal(got["logits"], np.array([[4], [8], [12]], "float32"))
    assert got["logits"].dtype == "float32"
    rows = client.run({"text": ["abc", "de"]}, signature="tokens")
    assert rows["owner"].dtype == "int32"
    assert answers.plain(rows["tokens"]) == [["a", "b"], ["d", "e"]] * 2


def test_classify_and_regress(client):
    got = client.classify(["ab", "abc"])
    assert [[each.label for each in row] for row in got] == [LABELS] * 2
    assert isinstance(got[0][0], Score)
    assert [row[0].score for row in got] == pytest.approx([share("ab"), share("abc")], abs=1e-7)
    assert client.regress(["ab", "abcd"]) == pytest.approx([share("ab"), share("abcd")], abs=1e-7)
    for ask in (client.classify, client.regress):
        with pytest.raises(DataError, match="reads text; it was given text, context"):
            ask(["a"], context=["b"])


def test_what_a_model_is(client):
    assert client.metadata.version == 3
    choose = client.signature("choose")
    assert choose.method == "predict"
    assert choose.columns == ("text", "choices")
    assert choose.inputs == {"choices": Tensor("string", (None, None)), "text": Tensor("string", (None,))}
    assert choose.outputs["choice"] == Tensor("int32", (None,))
    assert client.signature("tokenized").inputs["mask"] == Tensor("bool", (None, None))
    assert client.signature("tokenized").outputs["logits"] == Tensor("float32", (None, 1))
    assert client.signature("classify").method == "classify"
    assert client.status() == [VersionStatus(12, "END", "no such file"), VersionStatus(3, "AVAILABLE")]
    with pytest.raises(DataError, match="no signature 'classified', there are choose, classify, pair"):
        client.signature("classified")


def test_versions_and_labels(server, way):
    for which in ({"version": 3}, {"label": "stable"}):
        with Client(server.urls[way], "mood", **which) as made:
            assert made.predict(["ab"])[0]["label"] == "even"
    for url in ("/v1/models/mood/versions/3", "/v1/models/mood/labels/stable:predict"):
        with Client(server.urls[way] + url) as made:
            assert made.predict(["abc"])[0]["label"] == "odd"
    with (
        Client(server.urls[way], "mood", version=4) as made,
        pytest.raises(ServingError, match="Servable not found") as at,
    ):
        made.predict(["a"])
    assert at.value.status == {"rest": 404, "grpc": "NOT_FOUND"}[way]
    assert f"{server.urls[way]}/v1/models/mood/versions/4" in str(at.value)
    with Client(server.urls[way], "m\u00f6od/x") as made, pytest.raises(ServingError, match="Servable not found"):
        made.status()


def test_headers_go_along(server, way):
    with Client(server.urls[way], "mood", headers={"Authorization": "Bearer abc"}) as made:
        made.status()
    assert [told.get("Authorization") or told.get("authorization") for told in server.headers] == ["Bearer abc"]


def test_a_gateway_before_the_server(server):
    with Client(server.urls["rest"] + "/gateway/", "mood") as made:
        made.status()
    assert server.paths == [("GET", "/gateway/v1/models/mood")]


# What fails.


BUSY = {
    "rest": [(503, {"error": "too much to do"}, {"Retry-After": "2"}), (429, b"slow down")],
    "grpc": [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE],
}
OTHER = {
    "rest": [
        (500, {"error": "told to"}),
        (400, {"error": "told to"}),
        (504, b"told to"),
        (302, b"told to", {"Location": "/v1/models/mood"}),
        (413, {"error": "told to"}),
    ],
    "grpc": [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
}


def test_a_busy_server_is_asked_again(server, client, way, pauses):
    client.signature()
    server.turns += BUSY[way]
    assert client.predict(["ab"])[0]["label"] == "even"
    assert len(pauses) == 2
    assert pauses[0] == 2 if way == "rest" else 0.05 <= pauses[0] <= 0.1  # what the server says, or half a tenth and up
    assert 0.1 <= pauses[1] <= 0.2
    server.turns += BUSY[way][1:] * 9
    with pytest.raises(
        ServingError, match=f"{server.urls[way]}/v1/models/mood.*status (429|UNAVAILABLE): (slow down|told to)"
    ):
        client.predict(["ab"])
    assert len(server.turns) == 9 - 5
    assert len(pauses) == 2 + 4


def test_nothing_else_is_asked_twice(server, client, way, pauses):
    client.signature()
    for turn in OTHER[way]:
        server.turns += [turn, None]
        with pytest.raises(ServingError, match="told to") as at:
            client.predict(["ab"])
        assert at.value.status == (turn[0] if way == "rest" else turn.name)
        server.turns.clear()
        client.signature()
    assert pauses == []


def test_a_failure_makes_the_signatures_be_read_anew(server, client, way):
    client.signature()
    server.headers.clear()
    client.predict(["ab"])
    assert len(server.headers) == 1
    server.turns += OTHER[way][:1]
    with pytest.raises(ServingError):
        client.predict(["ab"])
    client.predict(["ab"])
    assert len(server.headers) == 2 + 2
    client.refresh()
    client.predict(["ab"])
    assert len(server.headers) == 4 + 2


def test_no_answer_in_time(server, way, pauses):
    with Client(server.urls[way], "mood", timeout=0.2) as made:
        server.turns.append("hang")
        with pytest.raises(ServingError, match=r"no answer within 0\.2 s"):
            made.status()
    assert pauses == []


def test_no_server_there(way, pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"{'http' if way == 'rest' else way}://127.0.0.1:{free.getsockname()[1]}"
        with Client(url, "mood", tries=3) as made, pytest.raises(ServingError, match=f"{url}/v1/models/mood") as at:
            made.status()
    assert "refused" in str(at.value)
    assert len(pauses) == 2


def test_a_broken_connection_is_not_asked_again(server, pauses):
    with Client(server.urls["rest"], "mood") as made:
        server.turns.append("drop")
        with pytest.raises(ServingError, match="the connection broke"):
            made.status()
    assert pauses == []


GOOD = {"label": ["a"], "score": [1], "labels": [["a", "b"]], "probabilities": [[0, 1]]}
UNREADABLE = [
    (b"<html>welcome", r":predict: this is no answer of the signature 'serving_default': JSON Parse error"),
    ({}, "this is no answer of the signature"),
    ({"outputs": {"label": ["a"]}}, "no answer .* Missing named input: score in 'outputs'"),
    ([1], "Is not object"),
    ({"outputs": {**GOOD, "score": ["x"]}}, "no answer .* x is not of expected type: DT_FLOAT"),
    ({"outputs": {**GOOD, "label": [1]}}, "no answer .* is not of expected type: DT_STRING"),
    ({"outputs": {name: rows * 2 for name, rows in GOOD.items()}}, r"gave label \[2\] for 1 texts"),
]


@pytest.mark.parametrize(("body", "words"), UNREADABLE)
def test_answers_that_nobody_can_read(server, body, words):
    with Client(server.urls["rest"], "mood") as made:
        made.signature()
        server.turns.append((200, body))
        with pytest.raises(ServingError, match=words):
            made.predict(["ab"])


@pytest.mark.parametrize(
    ("ask", "body", "words"),
    [
        ("signature", {"model_spec": {}}, "this is no model's metadata"),
        ("signature", [], "this is no model's metadata"),
        ("signature", b"<html>welcome", r"the answer is no JSON: '<html>welcome'\. Is this a model server\?"),
        ("status", {"model_version_status": [{"version": "x"}]}, "this is no model's status"),
    ],
)
def test_other_answers_that_nobody_can_read(server, ask, body, words):
    with Client(server.urls["rest"], "mood") as made:
        server.turns.append((200, body))
        with pytest.raises(ServingError, match=words):
            getattr(made, ask)()


@pytest.mark.parametrize(
    ("ask", "body", "words"),
    [
        ("classify", {"results": [1]}, "no classes and scores"),
        ("classify", {"results": []}, "has not 1 results"),
        ("regress", {"results": ["x"]}, "are no numbers"),
        ("regress", [], "has not 1 results"),
    ],
)
def test_results_that_nobody_can_read(server, ask, body, words):
    with Client(server.urls["rest"], "mood") as made:
        made.signature()
        server.turns.append((200, body))
        with pytest.raises(ServingError, match=words):
            getattr(made, ask)(["a"])


def test_texts_that_no_model_reads(client):
    with pytest.raises(DataError, match="the signature 'pair' reads text, text_pair; it was given text"):
        client.predict(["a"], signature="pair")
    with pytest.raises(DataError, match="reads text; it was given texts, text"):
        client.predict(["a"], text=["b"])
    with pytest.raises(DataError, match=r'text: hand in a list of strings, such as \["a text"\], got \[1\]'):
        client.predict([1])
    with pytest.raises(DataError, match="choices: hand in a list of lists of strings"):
        client.predict(["a"], signature="choose", choices=["b"])
    with pytest.raises(DataError, match=r"'tokenized' reads ids, which is int32 and no text\. Ask it with run"):
        client.predict(["a"], signature="tokenized", mask=["b"])
    with pytest.raises(ServingError, match=r"gave (tokens|owner) \[2(, 2)?\] for 1 texts"):
        client.predict(["a"], signature="tokens")
    with pytest.raises(DataError, match="'tokenized' takes ids, mask; it was given ids"):
        client.run({"ids": [[1]]}, signature="tokenized")
    with pytest.raises(DataError, match="ids: this is no array of int32"):
        client.run({"ids": [["x"]], "mask": [[True]]}, signature="tokenized")
    with pytest.raises(ConfigError, match="batch_size is 0"):
        client.predict(["a"], batch_size=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "ftp://host"}, "it must be like http://127"),
        ({"url": "localhost:8501"}, "it must be like http://127"),
        ({"url": "http://me:secret@host"}, "holds a name or password"),
        ({"url": "http://host?x=1", "model": "m"}, r"leave out what stands behind \?"),
        ({"url": "http://host:99999", "model": "m"}, "port is no number"),
        ({"url": "http://host:8501/"}, r"which model\? .* http://host:8501/v1/models/NAME"),
        ({"url": "http://host/v1/models/a", "model": "b"}, "names the model 'a', and beside it 'b'"),
        ({"url": "http://host", "model": "m", "version": 1, "label": "x"}, "Version 1 or label 'x'"),
        ({"url": "http://host", "model": "m", "version": -1}, "version is -1"),
        ({"url": "http://host", "model": "m", "timeout": 0}, "timeout is 0, it must be a number above 0"),
        ({"url": "http://host", "model": "m", "tries": 0}, "tries is 0, it must be a number of at least 1"),
        ({"url": "http://host", "model": "m", "at_once": "x"}, "at_once is 'x'"),
    ],
)
def test_what_makes_no_client(arguments, words):
    with pytest.raises(ConfigError, match=words) as at:
        Client(**arguments)
    assert "secret" not in str(at.value)


def test_places():
    assert place("http://host:8501", "m") == Place("http", "host:8501", "", "m")
    assert place("grpc://host", "m", label="x") == Place("grpc", "host:8500", "", "m", None, "x")
    assert place("https://gate/a/v1/models/m/versions/7:predict") == Place("https", "gate", "/a", "m", 7)
    assert place("http://host/v1/models/m/versions/7", label="x") == Place("http", "host", "", "m", None, "x")
    assert str(place("http://[::1]:80/", "a b/c")) == "http://[::1]:80/v1/models/a%20b%2Fc"
    assert [is_loopback(place(f"grpc://{host}", "m")) for host in ("[::1]", "127.0.0.1", "localhost", "host")] == [
        *(True, True, True, False)
    ]


def test_rest_needs_no_tensorflow():
    script = (
        "import sys, keras_bert_zoo as kbz; kbz.serving.Client('http://127.0.0.1:1', 'm');"
        "print([name for name in ('tensorflow', 'keras', 'grpc') if name in sys.modules], dir(kbz.serving))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['Client']"
    with pytest.raises(AttributeError, match=r"'keras_bert_zoo\.serving' has no attribute 'Clint'"):
        _ = kbz.serving.Clint
