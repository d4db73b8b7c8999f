"""Presets that are archives on the web: fetched, recorded, compared, unpacked.  No network but 127.0.0.1."""

import dataclasses
import errno
import io
import json
import os
import stat
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tf1_oracle
import tiny
from package_index import make_tar
from sizes import HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB
from web_server import drop

import keras_bert_zoo as kbz
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError, DownloadError
from keras_bert_zoo.zoo import archive, checksums, entries, fetch, https
from keras_bert_zoo.zoo.https import WebFile
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import PRESETS
from keras_bert_zoo.zoo.presets.google import TF1_FILES

CONFIG = BertConfig(
    vocab_size=VOCAB,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=POSITIONS,
    type_vocab_size=TYPES,
    hidden_act="gelu_tanh",
)
FILES = {
    "bert_config.json": json.dumps({**CONFIG.to_google(), "pooler_fc_size": 768}).encode(),
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "bert_model.ckpt.index": b"index" * 17,
    "bert_model.ckpt.data-00000-of-00001": os.urandom(5000),
}


def make_zip(files, folder=""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in {**files, "bert_model.ckpt.meta": b"graph"}.items():
            made.writestr(zipfile.ZipInfo(folder + name), data)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(https, "PAUSE", 0)


@pytest.fixture
def preset(cache, web, monkeypatch):
    web.files["/bert.zip"] = make_zip(FILES, "tiny_L-3/")
    made = Preset(
        name="tiny",
        description="",
        source=WebFile(f"{web.url}/bert.zip", "tiny.zip"),
        members=TF1_FILES,
        config=CONFIG,
        casing="cased",
        license="",
        citation="",
    )
    monkeypatch.setitem(PRESETS, "tiny", made)
    return made


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(cache):
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def remove(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def recorded():
    return checksums.read("tiny", PRESETS["tiny"].source.address)


def test_an_archive_is_fetched_once_and_its_checksum_kept(cache, web, preset):
    said, metered = [], []
    assert entries.cached(preset) is None
    folder = fetch("tiny", progress=said.append, meter=lambda *bytes: metered.append(bytes))
    data = web.files["/bert.zip"]
    assert contents(folder) == FILES
    assert said == ["fetching tiny.zip", "unpacking tiny.zip"]
    assert metered[-1] == (len(data), len(data))
    assert entries.cached(preset) == folder == fetch("tiny")
    assert len(web.asked) == 1
    record = recorded()
    assert record.sizes == {"tiny.zip": len(data)}
    assert list(record.sha256) == ["tiny.zip"]
    assert sorted(path.name for path in leftovers(cache)) == sorted([*FILES, "tiny.json"])  # the archive is gone


@pytest.mark.parametrize("make", [make_zip, lambda files: make_tar({f"./x/y/{name}": files[name] for name in files})])
def test_files_come_from_whatever_folder_holds_them(cache, web, preset, monkeypatch, make):
    name = "/bert.zip" if make is make_zip else "/bert.tar.gz"
    web.files[name] = make(FILES)
    source = WebFile(web.url + name, f"tiny{name[5:]}")
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(preset, source=source))
    assert contents(fetch("tiny")) == FILES


def test_another_file_later_is_refused_until_it_is_accepted(cache, web, preset):
    remove(fetch("tiny"))
    first = recorded().sha256["tiny.zip"]
    web.files["/bert.zip"] = make_zip({**FILES, "vocab.txt": b"[PAD]\nevil\n"})
    with pytest.raises(DownloadError) as e:
        fetch("tiny")
    second = str(e.value).split("the sha256 is ")[1].split(",")[0]
    assert str(e.value) == (
        f"{web.url}/bert.zip is not what was fetched first. tiny.zip: the sha256 is {second}, recorded was {first}."
        " If the change is expected: kbz presets fetch tiny --accept-changed."
    )
    assert [path.name for path in leftovers(cache)] == ["tiny.json"]
    assert recorded().sha256 == {"tiny.zip": first}
    folder = fetch("tiny", accept_changed=True)
    assert (folder / "vocab.txt").read_bytes() == b"[PAD]\nevil\n"
    assert recorded().sha256 == {"tiny.zip": second}
    assert fetch("tiny") == folder


def test_accepting_fetches_anew_and_keeps_the_old_one_where_that_fails(cache, web, preset):
    folder = fetch("tiny")
    web.files["/bert.zip"] = b"<html>"
    with pytest.raises(DownloadError, match=r"tiny\.zip cannot be unpacked: File is not a zip file"):
        fetch("tiny", accept_changed=True)
    assert contents(folder) == FILES
    web.files["/bert.zip"] = make_zip({**FILES, "vocab.txt": b"new\n"})
    assert fetch("tiny", accept_changed=True) == folder
    assert (folder / "vocab.txt").read_bytes() == b"new\n"
    assert len(web.asked) == 3


def test_a_checksum_that_is_known_is_compared_the_first_time(cache, web, preset, monkeypatch):
    source = dataclasses.replace(preset.source, sha256="0" * 64)
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(preset, source=source))
    with pytest.raises(DownloadError, match=f"tiny.zip: the sha256 is [0-9a-f]{{64}}, recorded was {'0' * 64}"):
        fetch("tiny")
    assert leftovers(cache) == []
    with pytest.raises(DownloadError, match="The checksum of tiny is part of this version"):
        fetch("tiny", accept_changed=True)


def test_another_address_is_another_first_time(cache, web, preset, monkeypatch):
    fetch("tiny")
    web.files["/moved.zip"] = make_zip({**FILES, "vocab.txt": b"new\n"})
    moved = dataclasses.replace(preset, source=WebFile(f"{web.url}/moved.zip", "tiny.zip"))
    monkeypatch.setitem(PRESETS, "tiny", moved)
    assert entries.cached(moved) is None
    assert (fetch("tiny") / "vocab.txt").read_bytes() == b"new\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"source": "x"}'])
def test_a_record_that_cannot_be_read(cache, web, preset, content):
    path = checksums.path_of("tiny")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DownloadError, match=r"tiny\.json cannot be read \(.*Delete it, and the next download"):
        fetch("tiny")
    assert web.asked == []
    path.unlink()
    fetch("tiny")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hidden_size": 24}, "hidden_size is 24, expected 12"),
        (
            {"vocab_size": 98, "num_hidden_layers": 4},
            "vocab_size is 98, expected 99; num_hidden_layers is 4, expected 3",
        ),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', expected 'gelu_tanh'"),
    ],
)
def test_another_config_than_the_preset_says(cache, web, preset, change, told):
    config = json.dumps({**CONFIG.to_google(), **change}).encode()
    web.files["/bert.zip"] = make_zip({**FILES, "bert_config.json": config})
    with pytest.raises(DownloadError) as e:
        fetch("tiny")
    assert str(e.value) == f"tiny: what came is another model: {told}."
    assert leftovers(cache) == []  # nothing is recorded, either


def test_what_does_not_shape_the_answers_may_differ(web, preset):
    free = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.2, "initializer_range": 0.01}
    web.files["/bert.zip"] = make_zip({**FILES, "bert_config.json": json.dumps(CONFIG.to_google() | free).encode()})
    fetch("tiny")


@pytest.mark.parametrize(
    ("config", "error", "told"),
    [
        (b"{", DownloadError, "bert_config.json: what came is no JSON"),
        (b"[]", DownloadError, "bert_config.json: what came is a JSON list, not an object"),
        (b'{"moe": 8}', ConfigError, "bert_config.json: unknown key moe"),
    ],
)
def test_a_config_that_is_none(cache, web, preset, config, error, told):
    web.files["/bert.zip"] = make_zip({**FILES, "bert_config.json": config})
    with pytest.raises(error, match=told):
        fetch("tiny")
    assert leftovers(cache) == []


def test_archives_that_are_refused_leave_nothing(cache, web, preset, monkeypatch):
    for data, told in [
        (make_zip({**FILES, "../evil": b""}), "would be written outside its folder"),
        (make_zip({**FILES, "x/vocab.txt": b""}), r"several members '\*\*/vocab.txt': vocab.txt, x/vocab.txt"),
        (make_zip({"vocab.txt": b""}), r"has no member '\*\*/bert_config.json', '\*\*/bert_model.ckpt.index'"),
        (make_zip(FILES)[:-30], "cannot be unpacked"),
    ]:
        web.files["/bert.zip"] = data
        with pytest.raises(DownloadError, match=told):
            fetch("tiny")
        assert leftovers(cache) == []
    monkeypatch.setattr(archive, "MAX_BYTES", 4000)
    web.files["/bert.zip"] = make_zip(FILES)
    with pytest.raises(DownloadError, match=r"brings the unpacked size to .* bytes; the limit is 4,000"):
        fetch("tiny")
    assert leftovers(cache) == []


def test_a_broken_download_is_taken_up_by_the_next_fetch(cache, web, preset):
    web.turns = [drop(2000), drop(0), drop(0), drop(0)]
    with pytest.raises(DownloadError, match="The 2,000 bytes that came are kept"):
        fetch("tiny")
    assert sorted(path.suffix for path in leftovers(cache)) == [".json", ".partial"]
    assert contents(fetch("tiny")) == FILES
    assert web.asked[-1][1] == "bytes=2000-"


def test_an_archive_put_there_by_hand(cache, web, preset):
    path = cache / "archives" / "tiny.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(web.files["/bert.zip"][:-40])
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        fetch("tiny")
    path.write_bytes(web.files["/bert.zip"])
    assert contents(fetch("tiny")) == FILES
    assert web.asked == []
    assert path.is_file()
    assert recorded().sizes == {"tiny.zip": len(web.files["/bert.zip"])}


def test_a_cache_whose_path_has_spaces_and_other_scripts(tmp_path, monkeypatch, web, preset):
    monkeypatch.setenv("KBZ_CACHE", str(tmp_path / "mon cache, дом 家"))
    folder = fetch("tiny")
    assert folder.is_relative_to(tmp_path / "mon cache, дом 家")
    assert contents(folder) == FILES


# --- disks ---


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def read_only(*arguments, **options):
    raise OSError(errno.EROFS, "Read-only file system")


def one_line(error, cache):
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{cache / 'presets'}/tiny-")
    assert str(error.value).endswith("Make room there, or set KBZ_CACHE to a folder you can write to.")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_disk_that_is_full_in_the_midst_of_a_download(cache, web, preset):
    partial = https.kept(preset.source).with_name(f"{https.kept(preset.source).name}.partial")
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"cannot be prepared: .*No space left on device") as e:
        fetch("tiny")
    one_line(e, cache)
    assert list((cache / "presets").glob("[!.]*")) == []
    partial.unlink()
    assert contents(fetch("tiny")) == FILES


def test_a_disk_that_is_full_in_the_midst_of_unpacking(cache, web, preset, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(archive.shutil, "copyfileobj", full)
        with pytest.raises(DownloadError, match=r"cannot be prepared: .*No space left on device") as e:
            fetch("tiny")
    one_line(e, cache)
    assert [path.name for path in leftovers(cache)] == [https.kept(preset.source).name]  # the archive is good
    assert contents(fetch("tiny")) == FILES
    assert len(web.asked) == 1


def test_a_cache_that_cannot_be_written(cache, web, preset, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        with pytest.raises(DownloadError, match=r"cannot be prepared: .*Read-only file system") as e:
            fetch("tiny")
    one_line(e, cache)
    folder = fetch("tiny")
    for name in ("mkdir", "touch", "write_text", "unlink"):
        monkeypatch.setattr(Path, name, read_only)
    monkeypatch.setattr(os, "open", read_only)
    assert fetch("tiny") == folder  # to read it needs no writing


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write(cache, web, preset):
    cache.mkdir()
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(DownloadError, match="Permission denied"):
        fetch("tiny")


def test_ctrl_c_while_it_comes(cache, web, preset, monkeypatch):
    monkeypatch.setattr(https, "_PIECE", 1000)

    def interrupted(done, total):
        if done == 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("tiny", meter=interrupted)
    assert list((cache / "presets").glob("[!.]*")) == list((cache / "presets").glob("*.partial")) == []
    assert contents(fetch("tiny")) == FILES
    assert web.asked[-1][1] == "bytes=3000-"


def test_two_at_once_fetch_once(cache, web, preset, monkeypatch):
    monkeypatch.setattr(https, "_PIECE", 1000)
    web.turns = [web.half_way]
    ends, said = [], []

    def second(words):
        said.append(words)
        web.gate.set()  # it waits for the first one, which may go on now

    def first(done, total):
        if not others:
            others.append(threading.Thread(target=lambda: ends.append(fetch("tiny", progress=second))))
            others[0].start()

    others = []
    ends.append(fetch("tiny", meter=first))
    others[0].join(60)
    assert len(web.asked) == 1
    assert ends[0] == ends[1]
    assert said[0].startswith("waiting for another process that prepares tiny-")


def test_a_preset_of_google_s_loads_by_its_name(web, preset, tmp_path):
    """The archive holds a checkpoint of TF1 and nothing that tells its casing: the entry does."""
    want = tf1_oracle.named(tf1_oracle.tensors("pretraining"))
    folder = tf1_oracle.write_folder(tmp_path / "google", {**want, **tf1_oracle.adam(want)}, tiny.VOCABULARY)
    web.files["/bert.zip"] = make_zip({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    bundle = kbz.load("tiny")
    assert bundle.head.name == "pretraining"
    assert bundle.tokenizer.settings.lower is False
    assert bundle.config == CONFIG
    table = bundle.encoder.get_layer("embeddings").token.embeddings
    np.testing.assert_array_equal(table, want["bert/embeddings/word_embeddings"])
