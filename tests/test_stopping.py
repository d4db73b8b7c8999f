"""Ctrl-C under `kbz`: what is half done is undone, last things first, and the process is gone."""

import signal
import subprocess
import sys

import pytest

from keras_bert_zoo import stopping

SCRIPT = """
import os, signal, sys
from pathlib import Path
from keras_bert_zoo.files import new_file, new_folder
from keras_bert_zoo.stopping import end_on_interrupt, undone_at_stop
end_on_interrupt()
def broken():
    raise OSError("it cannot be undone")
def broken_too():
    raise RuntimeError("reentrant call")
try:
    with new_folder("run") as folder, new_file(Path("figures.json")) as aside, undone_at_stop(broken):
        (folder / "half.txt").write_text("half")
        aside.write_text("half")
        with undone_at_stop(lambda: os.write(1, b"the first")):
            pass
        with undone_at_stop(lambda: os.write(1, f"undone {len(os.listdir())}\\n".encode())), undone_at_stop(broken_too):
            print("ready", flush=True)  # the signal may come in the midst of it, so what is undone cannot print
            while True:
                signal.pause()
finally:
    print("never printed: nothing unwinds")
"""


def test_what_is_half_done_is_undone(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == stopping.INTERRUPTED == 130
    assert said == "undone 2\n"
    assert errors == "\nStopped. No half-written folder is left.\n"
    assert list(tmp_path.iterdir()) == []


UNCUT = """
import os, signal
from keras_bert_zoo.stopping import end_on_interrupt, uncut
end_on_interrupt()
with uncut():
    with uncut():
        os.kill(os.getpid(), signal.SIGINT)
        print("still here", flush=True)
    print("and here", flush=True)
print("never printed")
"""


def test_a_block_is_not_cut():
    done = subprocess.run([sys.executable, "-c", UNCUT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stdout == "still here\nand here\n"


@pytest.mark.parametrize(("broken", "atexit"), [(True, ""), (False, "orderly\n")])
def test_a_broken_cluster_is_not_waited_for(broken, atexit):
    script = (
        "import atexit, sys; from keras_bert_zoo import stopping;"
        "atexit.register(print, 'orderly');"
        f"{'stopping.cluster_is_broken();' if broken else ''}"
        "stopping.ended_at_once_if_broken()(sys.exit)(3)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, atexit, "")


def test_a_script_does_not_wait_without_end_for_a_broken_cluster():
    script = (
        "import atexit, threading; from keras_bert_zoo import stopping;"
        "atexit.register(threading.Event().wait);"  # as TensorFlow waits for a worker that is gone
        "stopping.PATIENCE = 1; stopping.cluster_is_broken(); print('an error', flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "an error\n")
