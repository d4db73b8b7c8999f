"""Archives that are damaged or that try to leave their folder."""

import errno
import gzip
import io
import itertools
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from package_index import make_tar

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import archive
from keras_bert_zoo.zoo.archive import unpack

WANTED = {"model/config.json": "config.json", "model/deep/vocab.txt": "text/vocab.txt"}
BYTES = {"model/config.json": b"{}\n" * 7, "model/deep/vocab.txt": b"[PAD]\n" * 11, "other.py": b"import this\n"}


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members:
            made.writestr(name, data)
    return buffer.getvalue()


def tar_of(*infos: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name, data in BYTES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
        for info in infos:
            made.addfile(info)
    return buffer.getvalue()


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.fixture
def try_unpack(tmp_path):
    """Unpack bytes under a file name and return what came out; what is refused must leave nothing anywhere."""
    rounds = itertools.count()

    def run(filename: str, data: bytes, members=WANTED):
        place = tmp_path / str(next(rounds))
        into = place / "sub" / "into"
        into.mkdir(parents=True)
        (place / filename).write_bytes(data)
        try:
            unpack(place / filename, members, into)
        except DownloadError as error:
            if "cannot be unpacked" not in str(error):
                assert {path.relative_to(place) for path in place.rglob("*")} == {
                    Path(filename),
                    Path("sub"),
                    Path("sub/into"),
                }
            raise
        return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}

    return run


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("a.whl", zip_of(*BYTES.items())),
        ("a.zip", zip_of(("model/", b""), *BYTES.items())),
        ("a.tar.gz", make_tar(BYTES)),
    ],
)
def test_wanted_members_come_out_under_their_new_names(try_unpack, filename, data):
    assert try_unpack(filename, data) == {
        "config.json": BYTES["model/config.json"],
        "text/vocab.txt": BYTES["model/deep/vocab.txt"],
    }


def test_folders_in_a_tar_are_fine(try_unpack):
    assert try_unpack("a.tar.gz", tar_of(tar_info("model", tarfile.DIRTYPE)), {"other.py": "o"}) == {
        "o": BYTES["other.py"]
    }


@pytest.mark.parametrize("name", ["../evil", "model/../../evil", "/etc/evil", "..\\evil", "C:/evil", "c:evil", ".."])
def test_a_member_that_escapes_refuses_the_whole_archive(try_unpack, name):
    for filename, data in [
        ("a.whl", zip_of(*BYTES.items(), (name, b"evil"))),
        ("a.tar.gz", make_tar(BYTES | {name: b"evil"})),
    ]:
        with pytest.raises(DownloadError, match="would be written outside its folder") as error:
            try_unpack(filename, data)
        assert str(error.value).startswith(f"{filename} is refused: its member '{name}'")


@pytest.mark.parametrize(
    "info",
    [
        tar_info("link", tarfile.SYMTYPE, "/etc/passwd"),
        tar_info("link", tarfile.LNKTYPE, "model/config.json"),
        tar_info("link", tarfile.CHRTYPE),
        tar_info("link", tarfile.BLKTYPE),
        tar_info("link", tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(try_unpack, info):
    with pytest.raises(DownloadError, match=r"a\.tar\.gz is refused: its member 'link' is a link or device"):
        try_unpack("a.tar.gz", tar_of(info))


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(try_unpack, mode):
    with pytest.raises(DownloadError, match=r"a\.whl is refused: its member 'link' is a link or device"):
        try_unpack("a.whl", zip_of(*BYTES.items(), (zip_mode("link", mode), b"/etc/passwd")))


def test_an_encrypted_member_is_refused(try_unpack):
    data = bytearray(zip_of(("secret", b"x")))
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    with pytest.raises(DownloadError, match="its member 'secret' is a password-protected file"):
        try_unpack("a.whl", bytes(data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["model/config.json", "./model/config.json", "model//config.json"])
def test_a_member_that_appears_twice_is_refused(try_unpack, name):
    with pytest.raises(DownloadError, match=f"its member '{name}' appears twice"):
        try_unpack("a.whl", zip_of(*BYTES.items(), (name, b"other")))
    with pytest.raises(DownloadError, match=f"its member '{name}' appears twice"):
        try_unpack("a.tar.gz", tar_of(tar_info(name)))


def test_a_bomb_is_refused_before_it_is_inflated(try_unpack, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    told = r"its member 'big' brings the unpacked size to 1,\d\d\d bytes; the limit is 1,000"
    with pytest.raises(DownloadError, match=told):
        try_unpack("a.whl", zip_of(*BYTES.items(), ("big", bytes(1000))))
    with pytest.raises(DownloadError, match=told):
        try_unpack("a.tar.gz", make_tar(BYTES | {"big": bytes(1000)}))
    huge = tar_info("big")
    huge.size = 1000  # its data is not there: had they been read, the error would be another one
    whole = gzip.decompress(make_tar(BYTES)).rstrip(b"\0")
    with pytest.raises(DownloadError, match=told):
        try_unpack("a.tar.gz", gzip.compress(whole + bytes(-len(whole) % 512) + huge.tobuf()))


def test_data_after_the_end_of_a_tar_is_refused(try_unpack):
    data = gzip.compress(gzip.decompress(make_tar(BYTES)) + bytes(2**20))
    with pytest.raises(DownloadError, match=r"a\.tar\.gz cannot be unpacked: data after its end"):
        try_unpack("a.tar.gz", data)


def test_a_missing_member_is_named(try_unpack):
    with pytest.raises(DownloadError, match=r"a\.tar\.gz has no member 'model/deep/vocab\.txt'\."):
        try_unpack("a.tar.gz", make_tar({"model/config.json": b"{}"}))
    with pytest.raises(DownloadError, match="has no member 'model'"):  # a folder is not a file
        try_unpack("a.whl", zip_of(("model/", b"")), {"model": "model"})


def test_a_member_of_whatever_folder(try_unpack):
    found = {"**/config.json": "c", "**/other.py": "o"}
    assert try_unpack("a.zip", zip_of(*BYTES.items()), found) == {
        "c": BYTES["model/config.json"],
        "o": BYTES["other.py"],
    }
    with pytest.raises(DownloadError, match=r"a\.zip has no member '\*\*/fig\.json'"):  # a part of a name is no name
        try_unpack("a.zip", zip_of(*BYTES.items()), {"**/fig.json": "c"})
    with pytest.raises(DownloadError, match=r"has several members '\*\*/other\.py': other\.py, x/other\.py\."):
        try_unpack("a.tar.gz", make_tar(BYTES | {"x/other.py": b""}), found)


def test_a_full_disk_is_not_the_archives_fault(try_unpack, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        try_unpack("a.zip", zip_of(*BYTES.items()))


@pytest.mark.parametrize("filename", ["a.whl", "a.tar.gz"])
def test_truncated_and_garbage_archives(try_unpack, filename):
    whole = zip_of(*BYTES.items()) if filename == "a.whl" else make_tar(BYTES)
    for length in range(0, len(whole) - 1, 3):
        with pytest.raises(DownloadError, match=f"{filename} (cannot be unpacked|has no member)"):
            try_unpack(filename, whole[:length])
    with pytest.raises(DownloadError, match=f"{filename} cannot be unpacked"):
        try_unpack(filename, b"<html>not found</html>" * 40)


@pytest.mark.parametrize("filename", ["a.whl", "a.tar.gz"])
def test_flipped_bytes_end_in_our_error_or_the_right_bytes(tmp_path, filename):
    whole = zip_of(*BYTES.items()) if filename == "a.whl" else make_tar(BYTES)
    (tmp_path / "into").mkdir()
    for position in range(len(whole)):
        (tmp_path / filename).write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            unpack(tmp_path / filename, WANTED, tmp_path / "into")
        except DownloadError:
            continue
        for name, target in WANTED.items():
            assert (tmp_path / "into" / target).read_bytes() == BYTES[name]
