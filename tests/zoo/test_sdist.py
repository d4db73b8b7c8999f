"""The bytes of an sdist, through whatever pip is configured with, and nothing of it run."""

from pathlib import Path

import pytest
from package_index import make_sdist

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import pypi


@pytest.fixture
def sdist(index, tmp_path):
    return index.add("tiny-data", *make_sdist("tiny-data", tmp_path / "setup_py_ran", {"data.txt": b"1"}))


def fetch_bytes(file: pypi.PackageFile, tmp_path: Path) -> bytes:
    (tmp_path / "got").mkdir(exist_ok=True)
    data = pypi.fetch_file(file, tmp_path / "got").read_bytes()
    assert not (tmp_path / "setup_py_ran").exists()
    return data


def test_an_sdist_is_fetched_and_its_setup_py_never_run(cache, index, sdist, tmp_path):
    assert fetch_bytes(sdist, tmp_path) == index.files["tiny-data"][sdist.filename]


def test_an_sdist_from_an_index_with_a_password_by_a_user_who_prefers_wheels(
    cache, index, sdist, tmp_path, monkeypatch
):
    index.password = "me:secret"
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:secret@"))
    monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")
    index.link_attributes = 'data-requires-python="&lt;3"'  # the file is read, not installed
    assert fetch_bytes(sdist, tmp_path) == index.files["tiny-data"][sdist.filename]


def test_an_sdist_from_find_links(cache, index, sdist, tmp_path, monkeypatch):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / sdist.filename).write_bytes(index.files["tiny-data"][sdist.filename])
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch_bytes(sdist, tmp_path) == index.files["tiny-data"][sdist.filename]
    assert index.served == []


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        ({}, "the configured index offers no file of that package"),
        ({"tiny-data-0.9.tar.gz": b""}, "the configured index offers 1 other files, such as tiny-data-0.9.tar.gz"),
    ],
)
def test_an_sdist_that_the_index_lacks(cache, index, sdist, tmp_path, offered, told):
    index.files["tiny-data"] = offered
    with pytest.raises(DownloadError, match=f"pip could not fetch tiny-data-1.0.tar.gz: .*{told}"):
        fetch_bytes(sdist, tmp_path)


def test_an_sdist_link_that_is_dead(cache, index, sdist, tmp_path):
    index.files["tiny-data"] = {sdist.filename: None}
    with pytest.raises(DownloadError, match=r"pip could not fetch tiny-data-1.0.tar.gz: .*404"):
        fetch_bytes(sdist, tmp_path)


def test_a_pip_of_another_make(cache, index, sdist, tmp_path, monkeypatch):
    other = tmp_path / "other" / "pip" / "_internal"
    other.mkdir(parents=True)
    (other.parent / "__init__.py").write_text("__version__ = '99.1'")
    (other / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    with pytest.raises(DownloadError, match=r"pip 99\.1: ModuleNotFoundError: .*Update pip, or download tiny-data-1.0"):
        fetch_bytes(sdist, tmp_path)
