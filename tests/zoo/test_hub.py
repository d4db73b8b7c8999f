"""hf:// names against a hub that runs on this machine alone and speaks as much of its API as huggingface_hub asks."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

COMMITS = {"main": "a" * 40, "v2": "b" * 40}
FILES = {
    "config.json": b'{"hidden_size": 12}',
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "tokenizer_config.json": b"{}",
    "special_tokens_map.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": b"\x08" + bytes(7) + b"{}      ",
    "modules.json": b"[]",
    "sentence_bert_config.json": b"{}",
    "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
    "zoo.json": b"{}",
}
UNWANTED = {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx", "README.md": b"#", "onnx/config.json": b"{}"}


class Hub:
    def __init__(self):
        # repository -> commit -> path -> bytes
        self.repositories = {
            "org/bert": {
                COMMITS["main"]: FILES | UNWANTED,
                COMMITS["v2"]: {**FILES, "config.json": b'{"hidden_size": 24}'},
            },
            "org/pickled": {COMMITS["main"]: {"config.json": b"{}", "pytorch_model.bin": b"pickle"}},
            "org/data": {COMMITS["main"]: {"model.safetensors": b"x"}},
        }
        self.commits = dict(COMMITS)
        self.private = False
        self.asked = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                path = unquote(urlsplit(self.path).path)
                hub.asked.append(f"{self.command} {path}")
                status, headers, data = hub.find(path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if body:
                    self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def find(self, path):
        """Return status, headers and body; answers as the hub's documentation of its API gives them."""
        parts = path.strip("/").split("/")
        if self.private:
            return 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to org/bert is restricted"}, b""
        if parts[:2] == ["api", "models"] and len(parts) > 5:
            repository, kind, revision = "/".join(parts[2:4]), parts[4], "/".join(parts[5:])
            if repository not in self.repositories:
                return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"{}"
            commit = self.commits.get(revision, revision)
            if commit not in self.repositories[repository]:
                return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"no {revision}"}, b"{}"
            files = self.repositories[repository][commit]
            if kind == "tree":
                answer = [{"type": "file", "path": p, "size": len(d), "oid": _oid(d)} for p, d in files.items()]
            else:
                siblings = [{"rfilename": name} for name in files]
                answer = {"id": repository, "modelId": repository, "sha": commit, "siblings": siblings}
            return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        if len(parts) > 4 and parts[2] == "resolve":
            repository, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            commit = self.commits.get(revision, revision)
            data = self.repositories[repository][commit][name]
            return 200, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit}, data
        return 404, {}, b"{}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def _oid(data):
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub():
    server = Hub()
    yield server
    server.close()


CLIENT = """
import sys
sys.path[:0] = {path!r}
from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import fetch
try:
    print(fetch({name!r}))
except DownloadError as error:
    print("DownloadError", error)
"""


@pytest.fixture
def in_a_process(hub, tmp_path, monkeypatch):
    """Run a script in a fresh process, since huggingface_hub reads its environment when it is imported."""
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
        monkeypatch.delenv(name)
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    settings |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "KBZ_CACHE": str(tmp_path / "cache")}

    def run(script: str, **extra: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **settings, **extra},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "a library does not print"
        return done.stdout.rstrip("\n")

    return run


@pytest.fixture
def fetch_hub(in_a_process):
    return lambda name, **extra: in_a_process(CLIENT.format(path=sys.path, name=name), **extra)


def contents(folder):
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            with open(full, "rb") as file:
                found[os.path.relpath(full, folder)] = file.read()
    return found


def test_only_the_files_we_read_are_fetched_and_the_second_time_works_offline(hub, fetch_hub):
    folder = fetch_hub("hf://org/bert")
    assert contents(folder) == FILES
    assert not any("pytorch_model" in request or "onnx" in request for request in hub.asked)
    hub.close()
    assert fetch_hub("hf://org/bert") == folder
    hub.asked.clear()
    assert fetch_hub("hf://org/bert", HF_HUB_OFFLINE="1") == folder


def test_a_revision_is_honoured(fetch_hub):
    assert contents(fetch_hub("hf://org/bert@v2"))["config.json"] == b'{"hidden_size": 24}'
    assert contents(fetch_hub(f"hf://org/bert@{COMMITS['main']}"))["config.json"] == b'{"hidden_size": 12}'


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hf://org/nothing", "RepositoryNotFoundError"),
        ("hf://org/bert@v9", "RevisionNotFoundError"),
        ("hf://a/b/c", "HFValidationError"),
        ("hf://", "HFValidationError"),
    ],
)
def test_what_the_hub_does_not_have(fetch_hub, name, told):
    message = fetch_hub(name)
    assert message.startswith(f"DownloadError {name} could not be fetched from the hub ({told}: ")
    assert "\n" not in message


def test_a_repository_that_asks_who_you_are(hub, fetch_hub):
    hub.private = True
    message = fetch_hub("hf://org/bert")
    assert message.startswith("DownloadError hf://org/bert could not be fetched from the hub (GatedRepoError: ")


def test_a_hub_that_cannot_be_reached(hub, fetch_hub):
    hub.close()
    message = fetch_hub("hf://org/bert")
    assert message.startswith("DownloadError hf://org/bert could not be fetched from the hub (LocalEntryNotFoundError")


def test_repositories_that_hold_no_bert_we_can_read(fetch_hub):
    assert fetch_hub("hf://org/pickled") == (
        "DownloadError hf://org/pickled has no *.safetensors file; pickled weights are not read, "
        "ask for a revision with one."
    )
    assert fetch_hub("hf://org/data") == (
        "DownloadError hf://org/data has no config.json, so it is not a Hugging Face model folder."
    )


# --- presets that are folders of the hub ---

PRESET_CLIENT = """
import sys
sys.path[:0] = {path!r}
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import fetch
from keras_bert_zoo.zoo.hub import HubFolder
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import PRESETS
PRESETS["tiny"] = Preset(
    "tiny", "", HubFolder("org/bert"), BertConfig(hidden_size={hidden}), {casing!r}, "", "", aliases=("org/bert",)
)
metered = []
try:
    print(fetch("org/bert", accept_changed={accept}, meter=lambda *bytes: metered.append(bytes)))
    if {told}:
        print(metered[-1])
except DownloadError as error:
    print("DownloadError", error)
"""


@pytest.fixture
def fetch_preset(in_a_process):
    def run(*, hidden=12, casing="cased", accept=False, told=False):
        return in_a_process(PRESET_CLIENT.format(path=sys.path, hidden=hidden, casing=casing, accept=accept, told=told))

    return run


def record(tmp_path):
    return json.loads((tmp_path / "cache/checksums/tiny.json").read_text())


def test_a_preset_of_the_hub_is_recorded_and_then_needs_no_network(hub, fetch_preset, tmp_path):
    folder, metered = fetch_preset(told=True).split("\n")
    assert contents(folder) == FILES
    done, total = json.loads(metered.translate(str.maketrans("()", "[]")))
    assert sum(map(len, set(FILES.values()))) <= done == total <= sum(map(len, FILES.values()))  # equal files come once
    found = record(tmp_path)
    assert found["sha256"] == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    assert found["sizes"] == {name: len(data) for name, data in FILES.items()}
    assert (found["source"], found["revision"], found["folder"]) == ("hf://org/bert", COMMITS["main"], folder)
    hub.close()
    assert fetch_preset() == folder


def test_a_preset_stays_at_the_commit_that_was_recorded(hub, fetch_preset, tmp_path):
    folder = fetch_preset()
    hub.repositories["org/bert"]["d" * 40] = {**FILES, "vocab.txt": b"new\n"}
    hub.commits["main"] = "d" * 40
    assert fetch_preset() == folder
    shutil.rmtree(tmp_path / "hf")
    assert contents(fetch_preset()) == FILES
    other = fetch_preset(accept=True)
    assert contents(other) == {**FILES, "vocab.txt": b"new\n"}
    assert record(tmp_path)["revision"] == "d" * 40
    assert fetch_preset() == other


def test_a_preset_whose_commit_is_gone_or_holds_other_bytes(hub, fetch_preset, tmp_path):
    fetch_preset()
    shutil.rmtree(tmp_path / "hf")
    commits = hub.repositories["org/bert"]
    commits[COMMITS["main"]] = {**commits[COMMITS["main"]], "model.safetensors": b"evil"}
    want, got = (hashlib.sha256(data).hexdigest() for data in (FILES["model.safetensors"], b"evil"))
    assert fetch_preset() == (
        "DownloadError hf://org/bert is not what was fetched first. model.safetensors: the sha256 is"
        f" {got}, recorded was {want}. If the change is expected: kbz presets fetch tiny --accept-changed."
    )
    shutil.rmtree(tmp_path / "hf")
    del commits[COMMITS["main"]]["model.safetensors"]
    commits[COMMITS["main"]]["other.safetensors"] = b"new"
    assert f"model.safetensors: the sha256 is none, it is gone, recorded was {want}." in fetch_preset()
    shutil.rmtree(tmp_path / "hf")
    del commits[COMMITS["main"]]
    message = fetch_preset()
    assert message.startswith(f"DownloadError hf://org/bert@{COMMITS['main']} could not be fetched from the hub (")
    assert message.endswith(
        "That revision was recorded at the first download; if the hub has it no more, kbz presets fetch tiny"
        " --accept-changed takes the one it has now."
    )
    assert "\n" not in message


def test_a_preset_of_another_model(hub, fetch_preset, tmp_path):
    files = hub.repositories["org/bert"][COMMITS["main"]]
    files["tokenizer_config.json"] = b'{"do_lower_case": false}'
    assert fetch_preset(hidden=24) == (
        "DownloadError tiny: what came is another model: hidden_size is 12, expected 24. To use it as it is:"
        " hf://org/bert."
    )
    assert "another model: do_lower_case is False, expected True. " in fetch_preset(casing="uncased")
    assert not (tmp_path / "cache/checksums/tiny.json").exists()
    assert fetch_preset().endswith(COMMITS["main"])


def test_a_preset_without_a_hub(hub, fetch_preset):
    hub.close()
    message = fetch_preset()
    assert message.startswith("DownloadError hf://org/bert@main could not be fetched from the hub (")
    assert "recorded" not in message
