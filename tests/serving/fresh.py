"""Asks exported models in a process of its own, which never imports the package."""

import json
import subprocess
import sys
from pathlib import Path

from keras_bert_zoo.serving import fresh_process

HERE = Path(__file__).parent


def ask_fresh(jobs):
    """Return an answer for each [folder, "tf2" or "tf1", signature, columns]; see ask.py."""
    done = subprocess.run(
        [sys.executable, HERE / "ask.py", fresh_process.__file__],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
