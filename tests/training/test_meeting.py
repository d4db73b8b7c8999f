"""Workers find one another, and see whether they are alike, over real sockets of this machine."""

import importlib.util
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from keras_bert_zoo.errors import ClusterError
from keras_bert_zoo.training import meeting
from keras_bert_zoo.training.agreement import check_alike, fingerprint
from keras_bert_zoo.training.cluster import Cluster
from keras_bert_zoo.training.meeting import meet


@pytest.fixture
def addresses():
    """Return three addresses of this machine that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def outcomes(calls):
    """Run all calls at once; return what each one raised, None for nothing."""

    def outcome(call):
        try:
            call()
        except ClusterError as error:
            return str(error)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


def together(addresses, told, indices=range(3), timeout=20.0):
    return outcomes([lambda i=i: meet(Cluster(addresses, i), told(i), timeout) for i in indices])


def test_workers_that_are_alike_meet_and_their_ports_are_free_again_at_once(addresses):
    for order in ((0, 1, 2), (2, 1, 0)):  # whoever comes first
        assert together(addresses, lambda i: {"data": {"train": "ab"}}, order) == [None, None, None]
    for address in addresses:
        socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))).close()


def test_what_differs_is_named_to_everybody(addresses):
    told = [{"data": {"train": "ab", "rows": 7}, "versions": {"keras": "3.15"}} for _ in range(3)]
    told[1] = {"data": {"train": "ab", "rows": 8}, "versions": {"keras": "3.15"}}
    told[2] = {"data": {"train": "ab", "rows": 7}, "versions": {"keras": "3.14", "jax": "1"}}
    messages = together(addresses, lambda i: told[i])
    chief = f"worker 0, the chief ({addresses[0]})"
    assert (
        messages
        == [
            "The workers are not alike."
            f" data.rows: worker 1 ({addresses[1]}) has 8, {chief} has 7;"
            f" versions.keras: worker 2 ({addresses[2]}) has '3.14', {chief} has '3.15';"
            f" versions.jax: worker 2 ({addresses[2]}) has '1', {chief} has 'nothing'."
            " Give all of them the same program, data and settings."
        ]
        * 3
    )


def test_many_differences_are_counted():
    told = [{f"setting{i}": 1 for i in range(9)}, {f"setting{i}": 2 for i in range(9)}]
    with pytest.raises(ClusterError, match=r"setting5: one has 2, zero has 1; and 3 more\. Give"):
        check_alike(told, lambda index: ("zero", "one")[index])


def test_a_worker_that_does_not_come(addresses):
    messages = together(addresses, lambda i: {}, (0, 2), timeout=1.0)
    assert messages[0] == messages[1]
    assert messages[0].startswith(
        f"Worker 1 ({addresses[1]}) did not come to worker 0, the chief ({addresses[0]}) within 1 seconds."
    )


def test_a_chief_that_cannot_be_reached(addresses):
    (message,) = together(addresses, lambda i: {}, (1,), timeout=0.5)
    assert message.startswith(
        f"worker 1 ({addresses[1]}) cannot reach worker 0, the chief ({addresses[0]}) within 0.5 seconds: Connection"
        " refused."
    )
    nowhere = [f"no-such-host.invalid:{7000}", addresses[1]]
    (message,) = outcomes([lambda: meet(Cluster(nowhere, 1), {}, 0.5)])
    assert "cannot reach worker 0, the chief (no-such-host.invalid:7000) within 0.5 seconds: " in message


def test_a_chief_that_says_nothing_or_something_else(addresses, monkeypatch):
    monkeypatch.setattr(meeting, "_GRACE", 0.1)
    host, port = addresses[0].split(":")
    with socket.create_server((host, int(port))):  # it never answers
        (message,) = together(addresses, lambda i: {}, (1,), timeout=0.5)
        assert "within 0.5 seconds: timed out" in message
    done = []

    def answer(server):
        while not done:
            caller, _ = server.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server((host, int(port))) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(answer, server)
        (message,) = together(addresses, lambda i: {}, (1,), timeout=0.5)
        done.append(True)
        socket.create_connection((host, int(port))).close()
    assert "what listens there is no chief that waits for workers" in message


def test_a_port_in_use(addresses):
    for index in (0, 1):
        port = int(addresses[index].rpartition(":")[2])
        with socket.create_server(("", port)):
            (message,) = together(addresses, lambda i: {}, (index,), timeout=0.5)
        assert f"({addresses[index]}): port {port} of this machine cannot be taken: Address already in use" in message


def test_two_workers_of_one_number(addresses):
    shifted = [*addresses[:1], addresses[2], addresses[1]]

    def second():
        # A process of its own would fail at its port: here the port is another one's.
        cluster = Cluster(addresses, 1)
        meeting._call(cluster, {}, 20.0)

    messages = outcomes([lambda: meet(Cluster(addresses, 0), {}, 20.0), second, second])
    assert messages == [f"Two workers call themselves worker 1 ({addresses[1]}). Give each its own number."] * 3
    messages = outcomes([lambda: meet(Cluster(addresses, 0), {}, 20.0), lambda: meet(Cluster(shifted, 1), {}, 20.0)])
    assert messages[0] == messages[1]
    assert f"calls itself number 1 of {', '.join(shifted)}, but the chief's cluster is" in messages[0]


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\n",
        b'{"hello": "keras-bert-zoo meeting 1", "index": "1"}\n',
        b'{"hello": "keras-bert-zoo meeting 1", "index": 0, "addresses": ["a:1"], "told": {}}\n',
        b"x" * (2**20 + 5),
    ],
)
def test_strangers_are_shown_out(addresses, line):
    host, port = addresses[0].split(":")

    def stranger():
        # The chief may not listen yet.
        while True:
            try:
                with socket.create_connection((host, int(port)), timeout=20) as chief:
                    chief.sendall(line)
                    assert chief.recv(9) == b""
                    return
            except ConnectionRefusedError:
                continue
            except ConnectionError:  # hung up on with bytes unread
                return

    def late():
        stranger()
        meet(Cluster(addresses[:2], 1), {}, 20.0)

    assert outcomes([lambda: meet(Cluster(addresses[:2], 0), {}, 20.0), late]) == [None, None]


def test_a_worker_that_comes_hangs_up_and_comes_again(addresses):
    host, port = addresses[0].split(":")
    gone = threading.Event()
    hello = {"hello": "keras-bert-zoo meeting 1", "index": 1, "addresses": addresses, "told": {"old": True}}

    def restarted():
        while True:
            try:
                with socket.create_connection((host, int(port)), timeout=20) as chief:
                    chief.sendall(json.dumps(hello).encode() + b"\n")
                break
            except ConnectionRefusedError:
                continue
        gone.set()
        meet(Cluster(addresses, 1), {}, 20.0)

    def third():
        assert gone.wait(20)
        meet(Cluster(addresses, 2), {}, 20.0)

    assert outcomes([lambda: meet(Cluster(addresses, 0), {}, 20.0), restarted, third]) == [None, None, None]


def test_the_fingerprint_tells_versions_and_code(monkeypatch, tmp_path):
    told = fingerprint()
    keras = Path(importlib.util.find_spec("keras").origin).parent / "src" / "version.py"  # importing it takes seconds
    assert f'__version__ = "{told["versions"]["keras"]}"' in keras.read_text()
    assert told == fingerprint()
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr("keras_bert_zoo.training.agreement._ROOT", tmp_path)
    one = fingerprint()["code"]
    (tmp_path / "more.py").write_text("1\n")
    two = fingerprint()["code"]
    assert len({told["code"], one, two}) == 3
    monkeypatch.setattr("keras_bert_zoo.training.agreement._PACKAGES", ("no-such-package",))
    assert fingerprint()["versions"]["no-such-package"] == "none"
