"""The workers find one another before TensorFlow begins, and see that they are alike.

TensorFlow waits without end, and without a word, for a worker that does not come, and its own messages name no address.
So the chief first listens at its own address for plain lines of JSON: every worker says who it is and what it has, the
chief compares, and answers all of them the same.  Then the port is TensorFlow's.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from keras_bert_zoo.errors import ClusterError
from keras_bert_zoo.training.agreement import check_alike
from keras_bert_zoo.training.cluster import Cluster, split_address

TIMEOUT = 300.0  # seconds: schedulers start the processes of a job minutes apart
_HELLO = "keras-bert-zoo meeting 1"
_LONGEST = 2**20  # bytes of a line
_AGAIN = 0.2  # seconds between tries to reach the chief
_GRACE = 2.0  # seconds more than its own limit that a chief's answer may take


def meet(cluster: Cluster, told: Mapping[str, Any], timeout: float = TIMEOUT) -> None:
    """Wait until all workers are there and have told the same; `told` is JSON.

    Raises: ClusterError where this worker's port is in use, the chief cannot be reached or a worker does not come
    within `timeout` seconds, or they are not alike; the message names addresses and what differs.
    """
    with _listening(cluster) as door:
        if cluster.is_chief:
            _Chief(cluster, door, told, time.monotonic() + timeout).receive(timeout)
        else:
            _call(cluster, told, timeout)


def _listening(cluster: Cluster) -> socket.socket:
    """Take this worker's port, which shows that TensorFlow can have it."""
    host, port = cluster.host_and_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, backlog=len(cluster.addresses) + 8)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise ClusterError(
            f"{cluster.name(cluster.index)}: port {port} of this machine cannot be taken: {why}."
            " Is another training at work, or the last one not yet gone? Choose another port, or end what has it."
        ) from None


def check_reachable(address: str, what: str, timeout: float) -> None:
    """Check that something listens at "host:port".  Raises: ClusterError where nothing does for `timeout` seconds."""
    try:
        socket.create_connection(split_address(address), timeout=timeout).close()
    except OSError as error:
        raise ClusterError(
            f"{what} ({address}) cannot be reached within {timeout:g} seconds: {error.strerror or error}. Is the"
            " address right, and do firewalls let it through?"
        ) from None


# ---- the chief


class _Chief:
    """Collects what the others tell, and answers them."""

    def __init__(self, cluster: Cluster, door: socket.socket, told: Mapping[str, Any], deadline: float) -> None:
        self.cluster, self.door, self.deadline = cluster, door, deadline
        self.told: dict[int, Mapping[str, Any]] = {0: json.loads(json.dumps(told))}
        self.callers: dict[int, socket.socket] = {}
        self.heard: dict[socket.socket, bytes] = {}

    def receive(self, timeout: float) -> None:
        with ExitStack() as stack, selectors.DefaultSelector() as ready:
            stack.callback(self._hang_up)
            self.door.setblocking(False)
            ready.register(self.door, selectors.EVENT_READ)
            try:
                while len(self.told) < len(self.cluster.addresses) or self._left():
                    left = self.deadline - time.monotonic()
                    if left <= 0:
                        raise ClusterError(self._missing(timeout))
                    for key, _ in ready.select(left):
                        if key.fileobj is self.door:
                            self._let_in(ready)
                        else:
                            self._hear(key.fileobj, ready)  # type: ignore[arg-type]
                check_alike([self.told[i] for i in range(len(self.told))], self.cluster.name)
            except ClusterError as error:
                self._answer({"error": str(error)})
                raise
            self._answer({"error": None})

    def _hang_up(self) -> None:
        for caller in [*self.heard, *self.callers.values()]:
            caller.close()

    def _left(self) -> bool:
        """Strike out who hung up while the others were waited for; tell whether anybody did."""
        gone = [index for index, caller in self.callers.items() if _is_gone(caller)]
        for index in gone:
            self.callers.pop(index).close()
            self.told.pop(index, None)
        return bool(gone)

    def _let_in(self, ready: selectors.BaseSelector) -> None:
        with suppress(OSError):
            caller, _ = self.door.accept()
            caller.setblocking(False)
            self.heard[caller] = b""
            ready.register(caller, selectors.EVENT_READ)

    def _hear(self, caller: socket.socket, ready: selectors.BaseSelector) -> None:
        """Take in what came; whoever is no worker of ours is shown out without a word."""
        try:
            part = caller.recv(65536)
        except OSError:
            part = b""
        self.heard[caller] += part
        if part and b"\n" not in self.heard[caller] and len(self.heard[caller]) <= _LONGEST:
            return
        ready.unregister(caller)
        told = _hello(self.heard.pop(caller))
        if told is None:
            caller.close()
            return
        index, addresses = told["index"], told["addresses"]
        if addresses != list(self.cluster.addresses):
            self.callers[-1] = caller
            raise ClusterError(
                f"A worker calls itself number {index} of {', '.join(addresses)}, but the chief's cluster is"
                f" {', '.join(self.cluster.addresses)}. Give all of them the same list."
            )
        if index in self.callers:
            if not _is_gone(self.callers[index]):
                self.callers[-1] = caller
                raise ClusterError(f"Two workers call themselves {self.cluster.name(index)}. Give each its own number.")
            self.callers.pop(index).close()  # one that was started again is welcome
        self.callers[index] = caller
        self.told[index] = told["told"]

    def _missing(self, timeout: float) -> str:
        missing = [self.cluster.name(i) for i in range(len(self.cluster.addresses)) if i not in self.told]
        return (
            f"{_listed(missing)} did not come to {self.cluster.name(0)} within {timeout:g} seconds. Are they"
            " started, and can they reach that address?"
        )

    def _answer(self, answer: Mapping[str, Any]) -> None:
        for caller in self.callers.values():
            with suppress(OSError):
                caller.settimeout(5)
                caller.sendall(json.dumps(answer).encode() + b"\n")
        for caller in self.callers.values():
            with suppress(OSError):  # let them hang up first, so that the port is free at once
                caller.recv(1)


def _listed(names: list[str]) -> str:
    """Return a few names as a sentence's beginning: "Worker 1 (...) and 3 more"."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return shown[:1].upper() + shown[1:]


def _hello(line: bytes) -> dict[str, Any] | None:
    """Return what a worker says of itself, None where it is no such line."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    kinds = {"hello": str, "index": int, "addresses": list, "told": dict}
    if not isinstance(told, dict) or told.get("hello") != _HELLO:
        return None
    if not all(isinstance(told.get(name), kind) for name, kind in kinds.items()):
        return None
    told["addresses"] = list(map(str, told["addresses"]))
    return told if 0 < told["index"] < len(told["addresses"]) else None


def _is_gone(caller: socket.socket) -> bool:
    """Tell whether the other side hung up."""
    try:
        return caller.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


# ---- the others


def _call(cluster: Cluster, told: Mapping[str, Any], timeout: float) -> None:
    """Tell the chief, and wait for its answer."""
    deadline = time.monotonic() + timeout
    hello = {"hello": _HELLO, "index": cluster.index, "addresses": list(cluster.addresses), "told": told}
    line = json.dumps(hello).encode() + b"\n"
    why = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(split_address(cluster.addresses[0]), timeout=left) as chief:
                chief.sendall(line)
                heard = _one_line(chief, timeout + _GRACE)
        except OSError as error:  # a name that is not known yet, too
            why = error.strerror or str(error)
        else:
            answer = _answered(heard)
            if answer is not None:
                if answer["error"]:
                    raise ClusterError(str(answer["error"]))
                return
            why = "what listens there is no chief that waits for workers; an older run may still be at work"
        time.sleep(min(_AGAIN, max(deadline - time.monotonic(), 0)))
    raise ClusterError(
        f"{cluster.name(cluster.index)} cannot reach {cluster.name(0)} within {timeout:g} seconds: {why}. Is the chief"
        " started, is the address right, and do firewalls let it through?"
    )


def _one_line(chief: socket.socket, seconds: float) -> bytes:
    """Wait for an answer: the chief may have begun after us, and has its own time to wait for the others."""
    heard, deadline = b"", time.monotonic() + seconds
    while b"\n" not in heard and len(heard) <= _LONGEST:
        chief.settimeout(max(deadline - time.monotonic(), 0.01))
        part = chief.recv(65536)
        if not part:
            break
        heard += part
    return heard


def _answered(heard: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(heard)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and "error" in answer else None
