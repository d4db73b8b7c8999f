"""One file over HTTP, from servers that break off, lie, lead elsewhere or are slow.  No network but 127.0.0.1."""

import os
import signal
import subprocess
import sys

import pytest
from web_server import drop, redirect, status, told, without_range

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import https
from keras_bert_zoo.zoo.https import WebFile, download

DATA = bytes(range(256)) * 41 + b"the end"  # 10,503 bytes, no two neighbouring pieces alike


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(https, "PAUSE", 0)
    monkeypatch.setattr(https, "_PIECE", 1000)


@pytest.fixture
def file(cache, web):
    web.files["/a.zip"] = DATA
    return WebFile(f"{web.url}/a.zip", "tiny.zip")


@pytest.fixture
def partial(file):
    return https.kept(file).with_name(f"{https.kept(file).name}.partial")


def ranges(web):
    return [asked for _, asked in web.asked]


def left(cache):
    return sorted(path.name for path in (cache / "downloads").iterdir())


def test_a_file_comes_whole_and_is_told_byte_by_byte(cache, web, file):
    said, metered = [], []
    path = download(file, said.append, lambda *bytes: metered.append(bytes))
    assert path.read_bytes() == DATA
    assert said == ["fetching tiny.zip"]
    assert metered[0] == (1000, 10_503)
    assert metered[-1] == (10_503, 10_503)
    assert [done for done, _ in metered] == sorted(done for done, _ in metered)
    assert left(cache) == [path.name]
    assert download(file) == path
    assert len(web.asked) == 1  # it is there
    https.forget(file)
    assert left(cache) == []


def test_a_dropped_connection_is_taken_up_where_it_broke(cache, web, file):
    web.turns = [drop(2600), drop(1700), drop(0)]
    metered = []
    path = download(file, meter=lambda *bytes: metered.append(bytes))
    assert path.read_bytes() == DATA
    assert ranges(web) == [None, "bytes=2600-", "bytes=4300-", "bytes=4300-"]
    assert (3600, 10_503) in metered  # counted from the file's beginning
    assert left(cache) == [path.name]


def test_what_a_server_never_ends_is_kept_for_the_next_call(cache, web, file, partial):
    web.turns = [drop(2600), drop(0), drop(0), drop(0)]
    with pytest.raises(DownloadError) as e:
        download(file)
    assert str(e.value).startswith(f"{file.url}: it cannot be fetched (IncompleteRead: ") or "ProtocolError" in str(e)
    assert "The 2,600 bytes that came are kept: run this again to go on from there" in str(e.value)
    assert f"put the file into {cache / 'archives'} as tiny.zip." in str(e.value)
    assert "\n" not in str(e.value)
    assert partial.read_bytes() == DATA[:2600]
    assert download(file).read_bytes() == DATA
    assert ranges(web)[-1] == "bytes=2600-"


def test_a_file_that_changed_meanwhile_comes_whole(web, file, partial):
    web.turns = [drop(2600), *[status(503)] * 3]
    with pytest.raises(DownloadError, match="the server answers 503 Service Unavailable"):
        download(file)
    assert partial.stat().st_size == 2600
    web.files["/a.zip"] = other = DATA[::-1] + b"more"
    assert download(file).read_bytes() == other
    assert ranges(web)[-1] == "bytes=2600-"  # If-Range told the server to send it all


def test_a_server_that_ignores_ranges_sends_it_again(web, file):
    web.turns = [drop(2600), without_range]
    assert download(file).read_bytes() == DATA
    assert ranges(web) == [None, "bytes=2600-"]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_tag_nothing_is_taken_up(web, file, etag):
    weak = told(ETag=etag)
    web.turns = [lambda answer: answer.send(send=2600, headers={"ETag": etag}), weak]
    assert download(file).read_bytes() == DATA
    assert ranges(web) == [None, None]


def test_a_note_that_was_cut_begins_anew(web, file, partial):
    partial.parent.mkdir(parents=True)
    for note in ("{", "[]", "{}"):
        partial.write_bytes(b"another file's")
        https._note(partial).write_text(note)
        assert download(file).read_bytes() == DATA
        https.forget(file)
    assert ranges(web) == [None] * 3


@pytest.mark.parametrize(
    "lie",
    [
        told(Content_Range="bytes 5000-10502/10503"),
        told(Content_Range="nonsense"),
        told(ETag='"another"'),
        lambda answer: answer.send(416, headers={"Content-Range": "bytes */2599"}),
    ],
    ids=["another place", "no place", "another file", "no such place"],
)
def test_a_wrong_answer_to_a_range_begins_anew(web, file, lie):
    web.turns = [drop(2600), lie]
    assert download(file).read_bytes() == DATA
    assert ranges(web)[:2] == [None, "bytes=2600-"]


def test_a_whole_partial_file_is_whole(web, file, partial):
    """The process ended between the last byte and the move."""
    web.turns = [drop(2600), *[status(500)] * 3]
    with pytest.raises(DownloadError):
        download(file)
    partial.write_bytes(DATA)
    assert download(file).read_bytes() == DATA
    assert ranges(web)[-1] == f"bytes={len(DATA)}-"


def test_a_length_that_is_too_long(web, file, partial):
    web.turns = [told(Content_Length="20000")]
    assert download(file).read_bytes() == DATA  # a second question settled it
    assert ranges(web) == [None, "bytes=10503-"]
    https.forget(file)
    web.turns = [lambda answer: (answer.ignore_range(), answer.send(headers={"Content-Length": "20000"}))] * 9
    with pytest.raises(DownloadError, match=r"it cannot be fetched .* The 10,503 bytes that came are kept"):
        download(file)
    assert len(web.turns) == 9 - 4  # it does not go on for ever


def test_a_length_that_is_too_short_gives_a_short_file(web, file):
    web.turns = [told(Content_Length="700")]
    assert download(file).read_bytes() == DATA[:700]  # its checksum, or the archive's own, tells


def test_a_total_that_does_not_fit_the_body(web, file):
    lie = {"Content-Range": "bytes 10503-10503/11000", "Content-Length": "0"}
    web.turns = [drop(2600), told(Content_Range="bytes 2600-10502/11000")]
    web.turns += [lambda answer: answer.send(206, headers=lie)] * 3
    with pytest.raises(DownloadError, match=r"it broke off after 10,503 of 11,000 bytes\. The 10,503 bytes"):
        download(file)


def test_without_a_length_the_end_is_the_end(web, file):
    metered = []
    web.turns = [told(Content_Length=None)]
    assert download(file, meter=lambda *bytes: metered.append(bytes)).read_bytes() == DATA
    assert metered[-1] == (10_503, None)


def test_an_archive_that_is_called_a_transfer_encoding_is_not_unpacked(web, file):
    web.turns = [told(Content_Encoding="gzip")]
    assert download(file).read_bytes() == DATA


def test_redirects_are_followed(web, file):
    web.files["/elsewhere"] = web.files.pop("/a.zip")
    web.turns = [redirect("/next"), redirect(f"{web.url}/elsewhere")]
    assert download(file).read_bytes() == DATA
    assert [path for path, _ in web.asked] == ["/a.zip", "/next", "/elsewhere"]


def test_redirects_without_end(web, file):
    web.turns = [redirect("/a.zip")] * 100
    with pytest.raises(DownloadError, match="TooManyRedirects: Exceeded 30 redirects"):
        download(file)


def test_a_way_from_https_to_http_is_refused():
    https.check_secure(["http://a/x", "https://b/x", "https://c/x"])
    with pytest.raises(DownloadError, match=r"https://b/x is refused: it leads to http://c/x, where anybody"):
        https.check_secure(["https://a/x", "https://b/x", "http://c/x"])


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_file_that_is_not_there(cache, web, file, code):
    web.turns = [status(code)]
    with pytest.raises(DownloadError, match=rf"{file.url}: the server answers {code} .*put it into {cache}/archives"):
        download(file)
    assert len(web.asked) == 1  # asking again would not help


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(web, file, code):
    web.turns = [status(code), status(code)]
    assert download(file).read_bytes() == DATA


def test_a_server_that_cannot_be_reached(web, file):
    web.close()
    with pytest.raises(DownloadError, match=r"it cannot be fetched \(ConnectionError: .*refused.*The 0 bytes") as e:
        download(file)
    assert "\n" not in str(e.value)


def test_a_server_that_is_too_slow(web, file, monkeypatch):
    monkeypatch.setattr(https, "TIMEOUT", (5, 0.2))
    web.turns = [web.half_way, web.stall, web.stall, web.stall]
    with pytest.raises(DownloadError, match=r"Read timed out.*The 5,000 bytes that came are kept"):
        download(file)


def test_a_slow_server_is_waited_for_and_its_bytes_shown_as_they_come(web, file):
    web.turns = [web.half_way]
    metered = []

    def meter(done, total):
        metered.append(done)
        if done >= 5000:  # the first half is here, the second is not even sent
            web.gate.set()

    assert download(file, meter=meter).read_bytes() == DATA
    assert metered[-1] == len(DATA)


def test_a_file_that_is_too_large(cache, web, file, monkeypatch):
    monkeypatch.setattr(https, "MAX_BYTES", 10_000)
    with pytest.raises(DownloadError, match=r"a.zip is refused: 10,503 bytes; the limit is 10,000\."):
        download(file)
    web.turns = [told(Content_Length=None)]
    with pytest.raises(DownloadError, match=r"a.zip is refused: it is longer than 10,000 bytes, the limit\."):
        download(file)
    assert [name for name in left(cache) if not name.endswith(".json")] == []


CLIENT = """
import sys
sys.path[:0] = {path!r}
from keras_bert_zoo.stopping import end_on_interrupt
from keras_bert_zoo.zoo import https
https._PIECE = 1000
end_on_interrupt()
https.download(https.WebFile({url!r}, "tiny.zip"), meter=lambda done, total: print(done, flush=True))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_ends_leaves_what_came_and_the_next_takes_it_up(cache, web, file, partial, end):
    web.turns = [web.half_way]
    script = CLIENT.format(path=sys.path, url=file.url)
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    came = 0
    while came < 5000:  # half of the file is 5,251 bytes
        came = int(client.stdout.readline())
    os.kill(client.pid, end)
    assert client.communicate(timeout=60)[1] == (
        "" if end == signal.SIGKILL else "\nStopped. No half-written folder is left.\n"
    )
    assert 5000 <= partial.stat().st_size <= 5251
    came = partial.stat().st_size
    assert download(file).read_bytes() == DATA
    assert ranges(web) == [None, f"bytes={came}-"]
