"""A package index on this machine alone, with packages made up on the spot, and the pip settings that point to it."""

from __future__ import annotations

import base64
import contextlib
import ensurepip
import hashlib
import importlib.util
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from keras_bert_zoo.zoo.pypi import PackageFile


class Index:
    """Serves files by package; `served` records every file sent, `gate` holds files back while it is clear."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes | None]] = {}  # package -> filename -> bytes; None is a dead link
        self.link_attributes = ""
        self.password: str | None = None
        self.served: list[str] = []
        self.gate, self.asked = threading.Event(), threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}/simple/"

    def add(self, package: str, filename: str, data: bytes, version: str = "1.0") -> PackageFile:
        self.files.setdefault(package, {})[filename] = data
        return PackageFile(package, version, filename, hashlib.sha256(data).hexdigest())

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(index) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, package, *rest = self.path.strip("/").split("/")
                files = index.files.get(package, {})
                if index.password and self.headers.get("Authorization") != _basic(index.password):
                    self._send(401, b"who are you?")
                elif kind == "simple" and files:
                    links = [f'<a href="/files/{package}/{name}" {index.link_attributes}>{name}</a>' for name in files]
                    self._send(200, "<!DOCTYPE html><html><body>{}</body></html>".format("".join(links)).encode())
                elif kind == "files" and rest and files.get(rest[0]) is not None:
                    index.asked.set()
                    index.gate.wait()
                    index.served.append(rest[0])
                    self._send(200, files[rest[0]], "application/octet-stream")
                else:
                    self._send(404, b"no such thing")

            def _send(self, status: int, body: bytes, kind: str = "text/html") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # the test may have ended the process that asked
                    self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


def _basic(user_and_password: str) -> str:
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("KBZ_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def pip_home(tmp_path_factory):
    """A folder with pip for an environment that has none, or None; Python brings the wheel along."""
    if importlib.util.find_spec("pip"):
        return None
    (wheel,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    home = tmp_path_factory.mktemp("pip")
    zipfile.ZipFile(wheel).extractall(home)
    return home


@pytest.fixture
def index(pip_home, monkeypatch):
    """An empty index, the only one that pip knows of."""
    server = Index()
    for name in list(os.environ):
        if name.upper().startswith("PIP_"):
            monkeypatch.delenv(name)
    settings = {"PIP_INDEX_URL": server.url, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
    settings |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if pip_home:
        settings["PYTHONPATH"] = str(pip_home)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def make_wheel(package: str, members: Mapping[str, bytes], version: str = "1.0") -> tuple[str, bytes]:
    """Return the file name and bytes of a wheel that pip accepts and that holds these members."""
    info = f"{package}-{version}.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{package}-{version}-py3-none-any.whl", buffer.getvalue()


def make_tar(members: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a tar.gz of plain files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def make_sdist(package: str, marker: Path, members: Mapping[str, bytes], version: str = "1.0") -> tuple[str, bytes]:
    """Return the file name and bytes of an sdist whose setup.py writes `marker` when anything runs it."""
    root = f"{package}-{version}"
    setup = f"open({str(marker)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name={package!r})\n"
    info = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    own = {f"{root}/setup.py": setup.encode(), f"{root}/PKG-INFO": info.encode()}
    return f"{root}.tar.gz", make_tar(own | {f"{root}/{name}": data for name, data in members.items()})
