"""`kbz serve` as a process: what it prints, SIGTERM with a request in flight, SIGKILL and restart on the same ports."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from keras_bert_zoo.errors import ConfigError, ExportError
from keras_bert_zoo.serving.server.limits import Limits
from keras_bert_zoo.serving.server.run import running, serve

ONE = b'{"instances": [1]}'
SCRIPT = "from keras_bert_zoo.cli import run; run()"


def begin(small, *options):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "serve", str(small), "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return process, json.loads(line)


def in_progress(url):
    families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=20).text)
    return next(family.samples[0].value for family in families if family.name == "kbz_requests_in_progress")


@pytest.mark.slow
def test_killed_and_begun_again(small):
    first, told = begin(small, "--port", "0", "--grpc-port", "0")
    ports = [address.rpartition(":")[2] for address in told.values()]
    session = requests.Session()  # its connection is open when the server dies
    assert session.post(f"{told['rest']}/v1/models/half:predict", ONE, timeout=20).json() == {"predictions": [5.5]}
    first.kill()
    first.communicate()
    second, again = begin(small, "--port", ports[0], "--grpc-port", ports[1])
    assert again == told
    assert requests.post(f"{told['rest']}/v1/models/half:predict", ONE, timeout=20).json() == {"predictions": [5.5]}
    second.kill()
    second.communicate()


def test_ended_in_order(small):
    process, told = begin(small, "--port", "0", "--grpc-port", "0", "--label", "half:stable=1")
    url, answers = told["rest"], []
    ask = f"{url}/v1/models/half/labels/stable:predict"
    assert requests.post(ask, ONE, timeout=20).json() == {"predictions": [2.5]}

    def long():
        busy = {"signature_name": "busy", "instances": [200_000]}
        answers.append(requests.post(f"{url}/v1/models/words:predict", json=busy, timeout=60).json())

    thread = threading.Thread(target=long)
    thread.start()
    while not in_progress(url):
        assert thread.is_alive(), answers
    process.send_signal(signal.SIGTERM)
    thread.join()
    assert answers == [{"predictions": [200_000]}]
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")
    assert "Stopping: requests in flight are answered." in errors
    assert "half: version 3 is served" in errors
    assert "Traceback" not in errors
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=20)


@pytest.mark.slow
def test_memory_stays_flat_over_20000_requests(small):
    process, told = begin(small, "--port", "0", "--no-grpc")

    def ask(client):
        with requests.Session() as session:
            for turn in range(2000 // 16):
                text = "a " * ((client * turn) % 90) + "b"
                answer = session.post(f"{told['rest']}/v1/models/words:predict", json={"instances": [text]}, timeout=60)
                assert answer.json()["predictions"][0]["word"] == text.split()

    def resident():
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])

    sizes = []
    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        for _ in range(11):  # the first part warms up
            for done in [clients.submit(ask, client) for client in range(16)]:
                done.result()
            sizes.append(resident())
    process.kill()
    process.communicate()
    assert sizes[-1] < 1.05 * sizes[0], sizes


def test_a_port_that_is_taken(small):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, flag in (
            ({"port": port, "grpc_port": 0}, "--port"),
            ({"port": 0, "grpc_port": port}, "--grpc-port"),
        ):
            with pytest.raises(ConfigError, match=rf"{port} cannot be listened on: .*Choose another port \({flag}\)"):
                serve(small, **options)
    with pytest.raises(ConfigError, match="REST and gRPC cannot share port 8777"):
        serve(small, port=8777, grpc_port=8777)
    with pytest.raises(ConfigError, match="cannot be listened on"):
        serve(small, host="no.such.host.invalid", port=0, grpc_port=0)


def test_arguments_out_of_range(small, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="keep is 0"):
        serve(small, keep=0)
    with pytest.raises(ConfigError, match="watch_every is 0"):
        serve(small, watch_every=0)
    with pytest.raises(ConfigError, match="The limit 'rows' is 0"):
        Limits(rows=0)
    with pytest.raises(ExportError, match="there is no such folder"):
        serve(tmp_path / "none")
    with pytest.raises(TypeError, match="running\\(\\) takes no hosts"), running(small, hosts="x"):
        pass
    with (
        pytest.raises(ExportError, match="Labels are given to 'full'"),
        running(small, labels={"full": {"stable": 1}}),
    ):
        pass
    monkeypatch.setattr("keras_bert_zoo.serving.server.run.find_spec", lambda name: None if name == "uvicorn" else 1)
    with pytest.raises(ConfigError, match=r"The server needs uvicorn: pip install 'keras-bert-zoo\[server\]'"):
        serve(small)


def test_without_grpc(small):
    with running(small / "half", grpc_port=None) as addresses:
        assert addresses.grpc is None
        assert requests.get(f"{addresses.rest}/healthz", timeout=20).json() == {"status": "ok"}
