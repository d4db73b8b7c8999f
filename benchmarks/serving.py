"""What the local server costs: `kbz serve` beside the SavedModel itself, asked the same texts in the same run.

    python benchmarks/serving.py saved_models/mood --rounds 5
    python benchmarks/serving.py saved_models/mood --memory 20000

The SavedModel is asked in a process of its own by a session, which is quicker than TensorFlow 2's loader: one text at a
time, and in batches of 32 by two threads.  The server is asked by REST on loopback, one text a request: by one client,
and by 64 at once, with batching and without (`--max-batch-rows 1`).  Sides take turns.  The clients share the
processor with the server, so what the server's own process took of it, per text, is told too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

WARM, RUNNERS, BATCH = 64, 2, 32
_TICK = os.sysconf("SC_CLK_TCK")


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, file_okay=False))
@click.option("--rounds", default=5, show_default=True)
@click.option("--singles", default=300, show_default=True, help="Requests of one client a round.")
@click.option("--texts", "count", default=2000, show_default=True, help="Texts of all clients a round.")
@click.option("--clients", default=64, show_default=True)
@click.option("--memory", default=0, show_default=True, help="Ask so many requests of mixed lengths; tell the memory.")
@click.option("--direct", is_flag=True, hidden=True)
def main(model: str, rounds: int, singles: int, count: int, clients: int, memory: int, direct: bool) -> None:
    if direct:
        return be_direct(Path(model))
    texts = read_texts()
    with Served(model, BATCH) as server:
        if memory:
            return tell_memory(server, texts, memory, clients)
        with Served(model, 1) as lone, Direct(model) as alone:
            sides = {"SavedModel": alone, "server": server, "server, no batching": lone}
            tell(measure(sides, texts, rounds, singles, count, clients))
    return None


def read_texts() -> list[str]:
    from keras_bert_zoo.benchmark.texts import dataset_texts

    return dataset_texts()[0]


def measure(
    sides: dict[str, Any], texts: list[str], rounds: int, singles: int, count: int, clients: int
) -> dict[str, dict[str, list[float]]]:
    """Return each side's figures, one a round; the first round is not counted."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    for turn in range(rounds + 1):
        order = list(sides)[turn % len(sides) :] + list(sides)[: turn % len(sides)]
        for name in order:
            figures = sides[name].ask(texts, singles, count, clients)
            if turn:
                for key, value in figures.items():
                    found[name].setdefault(key, []).append(value)
        print(f"round {turn} of {rounds}", file=sys.stderr)
    return found


def tell(found: dict[str, dict[str, list[float]]]) -> None:
    keys = ("one: p50 ms", "one: p99 ms", "many: texts/s", "many: p50 ms", "many: p99 ms", "many: CPU ms/text", "MiB")
    print("| | " + " | ".join(keys) + " |\n|---|" + "--:|" * len(keys))
    for name, figures in found.items():
        cells = (f"{statistics.median(figures[key]):.2f}" if key in figures else "" for key in keys)
        print(f"| {name} | " + " | ".join(cells) + " |")
    own, server = found["SavedModel"], found["server"]
    added = [b - a for a, b in zip(own["one: p50 ms"], server["one: p50 ms"], strict=True)]
    print(f"\nA single request takes {spread(added)} ms longer.")
    for key, words in (("many: texts/s", "texts a second"), ("many: CPU ms/text", "CPU time a text")):
        ratios = [b / a for a, b in zip(own[key], server[key], strict=True)]
        print(f"Under load, {words}: {spread(ratios)} times the SavedModel's own.")


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def tell_memory(server: Served, texts: list[str], requests: int, clients: int) -> None:
    """Ask in ten parts, texts of one to eight sentences; a tenth of the requests warm up."""
    mixed = [" ".join(texts[i : i + 1 + i % 8]) for i in range(len(texts) - 8)]
    sizes = []
    for part in range(11):
        server.load(mixed, requests // 10, clients)
        sizes.append(resident(server.pid))
        print(f"{part * requests // 10:>7} requests after warm-up: {sizes[-1] / 2**20:.1f} MiB", flush=True)
    print(f"{100 * (sizes[-1] / sizes[0] - 1):+.2f} % over {requests} requests")


# The sides


class Process:
    """A process whose time on the processor can be told."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Served(Process):
    """`kbz serve` with batches of at most so many rows."""

    def __init__(self, model: str, batch: int) -> None:
        script = "from keras_bert_zoo.cli import run; run()"
        options = ["--port", "0", "--no-grpc", "--json", "--max-batch-rows", str(batch)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, "serve", model, *options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = urllib.parse.urlsplit(json.loads(self.process.stdout.readline())["rest"])
        self.path = f"/v1/models/{Path(model).resolve().name}:predict"

    def ask(self, texts: list[str], singles: int, count: int, clients: int) -> dict[str, float]:
        one, _ = self.load(texts, singles, 1)
        begun = used(self.pid)
        many, seconds = self.load(texts, count, clients)
        cpu = used(self.pid) - begun
        return {
            **told("one", one),
            **told("many", many),
            "many: texts/s": count / seconds,
            "many: CPU ms/text": 1000 * cpu / count,
            "MiB": resident(self.pid) / 2**20,
        }

    def load(self, texts: list[str], count: int, clients: int) -> tuple[list[float], float]:
        """Ask `count` single texts, so many at once, and return the times and the whole time."""
        import uvloop

        bodies = [json.dumps({"instances": [texts[i % len(texts)]]}).encode() for i in range(count)]
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Length: "
        asked = iter([f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies])
        times: list[float] = []

        async def all_clients() -> float:
            loop = asyncio.get_running_loop()
            begun = time.perf_counter()
            made = [
                await loop.create_connection(lambda: Client(asked, times), self.url.hostname, self.url.port)
                for _ in range(clients)
            ]
            await asyncio.gather(*(client.over for _, client in made))
            return time.perf_counter() - begun

        return times, uvloop.run(all_clients())


class Client(asyncio.Protocol):
    """A client that takes little of the processor: it sends the next request as soon as its answer is whole."""

    def __init__(self, asked: Iterator[bytes], times: list[float]) -> None:
        self.asked, self.times = asked, times
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        request = next(self.asked, None)
        if request is None:
            self.over.set_result(None)
            self.transport.close()
            return
        self.answer = b""
        self.begun = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found:
            return
        assert head.startswith(b"HTTP/1.1 200"), self.answer
        if len(body) == int(head.split(b"content-length: ")[1].split(b"\r\n")[0]):
            self.times.append(time.perf_counter() - self.begun)
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(error or ConnectionError("The server closed the connection."))


class Direct(Process):
    """The SavedModel in a process that does nothing else."""

    def __init__(self, model: str) -> None:
        command = [sys.executable, __file__, model, "--direct"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, texts: list[str], singles: int, count: int, clients: int) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([texts, singles, count]) + "\n")
        self.process.stdin.flush()
        figures = json.loads(self.process.stdout.readline())
        return {**figures, "MiB": resident(self.pid) / 2**20}


def be_direct(model: Path) -> None:
    """Answer from a session: each line of standard input is a round."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

    folder = max((path for path in model.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder)).signature_def
        wanted = signature["serving_default"]
        (given,) = (tensor.name for tensor in wanted.inputs.values())
        answer = session.make_callable([tensor.name for tensor in wanted.outputs.values()], [given])

        def one(batch: Sequence[str]) -> float:
            begun = time.perf_counter()
            answer(np.array([text.encode() for text in batch], object))
            return time.perf_counter() - begun

        threads = ThreadPoolExecutor(RUNNERS)
        for line in sys.stdin:
            texts, singles, count = json.loads(line)
            for i in range(WARM):
                one(texts[i : i + 1])
            times = [one([texts[i % len(texts)]]) for i in range(singles)]
            asked = [texts[i % len(texts)] for i in range(count)]
            begun, cpu = time.perf_counter(), time.process_time()
            list(threads.map(one, [asked[i : i + BATCH] for i in range(0, count, BATCH)]))
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            figures = {"many: texts/s": count / seconds, "many: CPU ms/text": 1000 * cpu / count}
            print(json.dumps({**told("one", times), **figures}), flush=True)


def told(which: str, times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    share = {50: len(ordered) // 2, 99: int(len(ordered) * 0.99)}
    return {f"{which}: p{percent} ms": 1000 * ordered[place] for percent, place in share.items()}


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def used(pid: int) -> float:
    """Return the seconds a process has had of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


if __name__ == "__main__":
    main()
