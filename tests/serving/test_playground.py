"""The playground's routes: what is served, with which headers, and that nothing else is."""

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from playground_fake import Fake, serving

import keras_bert_zoo as kbz
from keras_bert_zoo.heads import HEADS
from keras_bert_zoo.serving import playground

STATIC = Path(playground.__file__).parent / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
PATHS = {name: "" if name == "index.html" else f"playground/{name}" for name in FILES}


@pytest.fixture(scope="module")
def url():
    with serving(Fake().app()) as address:
        yield address


def raw(url, method, path):
    """Return status and body for a path sent as it stands, which a client library would tidy up."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_as_it_is(url, name):
    found = requests.get(url + PATHS[name], timeout=20)
    assert found.status_code == 200
    assert found.content == (STATIC / name).read_bytes()
    assert found.headers["Content-Type"].split(";")[0] == TYPES[name.split(".")[1]]
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    again = requests.get(url + PATHS[name], headers={"If-None-Match": found.headers["ETag"]}, timeout=20)
    assert (again.status_code, again.content) == (304, b"")
    assert len({requests.head(url + PATHS[each], timeout=20).headers["ETag"] for each in FILES}) == len(FILES)


def test_the_policy_allows_this_server_alone(url):
    told = requests.get(url, timeout=20).headers["Content-Security-Policy"]
    policy = dict(part.split(" ", 1) for part in told.split("; "))
    assert policy["default-src"] == "'none'"
    for kind in ("script-src", "style-src", "img-src", "connect-src"):
        assert policy[kind] == "'self'"
    for kind in ("base-uri", "form-action", "frame-ancestors", "trusted-types"):
        assert policy[kind] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in told


def test_the_files_name_no_other_host_and_make_no_markup():
    for name in FILES:
        text = (STATIC / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            name
        )
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page)


def test_every_head_has_a_view_and_the_docs_tell_it():
    table = (STATIC / "heads.js").read_text(encoding="utf-8")
    found = re.findall(r'kind: "(\w+)",\s+outputs: \[([^]]+)\]', table)
    kinds = {kind: set(re.findall(r'"(\w+)"', outputs)) for kind, outputs in found}
    assert set(kinds) == set(HEADS)
    page = (Path(kbz.__file__).parents[1] / "docs" / "playground.md").read_text(encoding="utf-8")
    told = [set(re.findall(r"`(\w+)`", row)) for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)]
    for kind, outputs in kinds.items():
        # The page has a row for each but pretraining, which is two of them.
        assert kind == "pretraining" or any(row == outputs or row == outputs - {"score"} for row in told), kind


def test_the_models_are_listed(url):
    found = requests.get(f"{url}playground/models", timeout=20)
    assert found.headers["Cache-Control"] == "no-store"
    assert found.json()["models"] == Fake().describe()


@pytest.mark.parametrize(
    "path",
    [
        "/playground/",
        "/playground/../__init__.py",
        "/playground/..%2f__init__.py",
        "/playground/%2e%2e/%2e%2e/errors.py",
        "/playground/static/page.js",
        "/playground//etc/passwd",
        "/playground/page.js%00.html",
        "/playground/index.html",
        "/playground/models/x",
    ],
)
def test_nothing_else_is_served(url, path):
    assert raw(url, "GET", path)[0] == 404


def test_only_reading_is_allowed(url):
    for path in ("/", "/playground/page.js", "/playground/models"):
        assert raw(url, "POST", path)[0] == 405


def test_the_list_follows_the_server():
    fake = Fake()
    (route,) = [each for each in playground.routes(fake) if each.path == "/playground/models"]
    fake.versions = {"mood": {3: "AVAILABLE"}}
    fake.labels["mood"] = {"stable": 3}
    with serving(fake.app()) as url:
        assert route.methods == {"GET", "HEAD"}
        assert json.loads(raw(url, "GET", "/playground/models")[1]) == {
            "models": [{"name": "mood", "labels": {"stable": 3}}]
        }
