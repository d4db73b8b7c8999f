"""Clients that mean harm or know no better: never a wrong answer, never a dead server, a clear status."""

import concurrent.futures
import json
import socket
import urllib.parse

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_bert_zoo.serving.server.run import running

PREDICT = "POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\n"
BODY = '{"instances": [1]}'


@pytest.fixture(autouse=True)
def alive(server):
    yield
    answer = requests.post(f"{server.rest}/v1/models/half:predict", BODY, timeout=20)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [5.5]})


@pytest.fixture
def connect(server):
    address = urllib.parse.urlsplit(server.rest)
    opened = []

    def connect():
        opened.append(socket.create_connection((address.hostname, address.port), timeout=20))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def rest_of(connection):
    """Return all that comes until the server hangs up."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts).decode()


def trickled(connection, text):
    """Send a byte every tenth of a second until there is an answer or an end, and return that."""
    connection.settimeout(0.1)
    for byte in text.encode():
        try:
            connection.sendall(bytes([byte]))
            part = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return ""
        connection.settimeout(20)
        return part.decode() + rest_of(connection)
    raise AssertionError("the server has taken it all")


@pytest.mark.parametrize("sent", ["", "POST /v1", PREDICT, "\r\n", PREDICT + "X-Name: value"])
def test_headers_that_never_end(connect, sent):
    connection = connect()
    connection.sendall(sent.encode())
    assert rest_of(connection) == ""


def test_headers_byte_by_byte(connect):
    assert trickled(connect(), PREDICT + "X: " + "y" * 200) == ""


def test_a_body_that_never_ends(connect):
    for head in ("Content-Length: 99\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"):
        connection = connect()
        connection.sendall(f"{PREDICT}{head}{{".encode())
        answer = rest_of(connection)
        assert answer.startswith("HTTP/1.1 408 ")
        assert json.loads(answer.split("\r\n\r\n")[1]) == {"error": "The body stopped for 0.5 seconds."}


def test_a_body_byte_by_byte(connect):
    connection = connect()
    connection.sendall(f"{PREDICT}Content-Length: 999\r\n\r\n".encode())
    assert trickled(connection, "x" * 200).startswith("HTTP/1.1 504 ")


def test_many_slow_ones_hold_nobody_up(connect, server):
    slow = [connect() for _ in range(200)]
    for each in slow:
        each.sendall(PREDICT.encode())
    answer = requests.post(f"{server.rest}/v1/models/half:predict", BODY, timeout=20)
    assert answer.json() == {"predictions": [5.5]}
    assert [rest_of(each) for each in slow] == [""] * 200


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (PREDICT + "".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(80)), "HTTP/1.1 431 "),
        ("GET /" + "a" * 80_000, "HTTP/1.1 431 "),
        ("\x00\x01\x02 nonsense\r\n\r\n", "HTTP/1.1 400 "),
        (PREDICT + "Content-Length: -3\r\n\r\n", "HTTP/1.1 400 "),
        (PREDICT + "Content-Length: 99999999999999999999999\r\n\r\n", "HTTP/1.1 400 "),
        (PREDICT + "Content-Length: 999999999999\r\n\r\n", "HTTP/1.1 413 "),
        (PREDICT + "Expect: 100-continue\r\nContent-Length: 20000\r\n\r\n", "HTTP/1.1 413 "),
    ],
    ids=["headers", "line", "nonsense", "negative", "no number", "too large", "asks first"],
)
def test_requests_that_are_none(connect, sent, answer):
    connection = connect()
    connection.sendall(sent.encode())
    assert rest_of(connection).startswith(answer)


def test_a_client_who_goes_before_its_answer(connect):
    for _ in range(20):
        connection = connect()
        connection.sendall(f"{PREDICT}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
        connection.close()
    connection = connect()
    connection.sendall(f"{PREDICT}Content-Length: {len(BODY)}\r\n\r\n{BODY[:5]}".encode())
    connection.shutdown(socket.SHUT_WR)


@pytest.fixture
def patient(small):
    """Return the addresses of a server with the usual limits: the other's second is short for 64 clients' threads."""
    with running(small) as addresses:
        yield addresses


def test_64_clients_of_both_protocols_at_once(patient):
    texts = [" ".join("a" * (i % 7 + 1) for i in range(size)) for size in (0, 1, 2, 3, 5, 8, 30, 120)]

    def expected(text):
        return text.encode().split()

    def by_rest(client):
        with requests.Session() as session:
            for turn in range(6):
                asked = [texts[(client + turn) % 8], texts[(client * turn) % 8]][: client % 2 + 1]
                answer = session.post(f"{patient.rest}/v1/models/words:predict", json={"instances": asked}, timeout=60)
                found = [row["word"] for row in answer.json()["predictions"]]
                width = max(len(expected(text)) for text in asked)  # its own longest, nobody else's
                assert found == [
                    [*map(bytes.decode, expected(each)), *[""] * (width - len(expected(each)))] for each in asked
                ]

    def by_grpc(client):
        with grpc.insecure_channel(patient.grpc.removeprefix("grpc://")) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for turn in range(6):
                request = predict_pb2.PredictRequest()
                request.model_spec.name = "words"
                text = texts[(client + turn) % 8]
                request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
                found = tf.make_ndarray(stub.Predict(request, timeout=60).outputs["word"])
                assert found.tolist() == [expected(text)]

    with concurrent.futures.ThreadPoolExecutor(64) as clients:
        done = [clients.submit(by_grpc if client % 4 == 3 else by_rest, client) for client in range(64)]
        for each in done:
            each.result()
