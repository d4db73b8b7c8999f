"""Memory does not grow with the corpus: the command's peak, in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest
from own_words import NAMES


def peak(folder, name, documents):
    """Write a corpus of documents, make examples of it and return the most memory held, in MB."""
    rng = np.random.default_rng(4)
    lines = (" ".join(np.array(NAMES)[rng.integers(0, len(NAMES), 25)]) for _ in range(400))
    once = "\n".join(f"{line}\n" * (1 + (place % 20 == 19)) for place, line in enumerate(lines))
    with (folder / f"{name}.txt").open("w", encoding="utf-8") as file:
        file.writelines(f"{once}\n" for _ in range(documents))
    script = "from keras_bert_zoo.cli import run; run()"
    command = ["pretraining-data", f"{name}.txt", "--vocabulary", "vocab.txt", "--out", name, "--workers", "1"]
    with subprocess.Popen([sys.executable, "-c", script, *command], cwd=folder, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.slow
def test_ten_times_the_text_takes_a_tenth_more_at_most(tokenizer, tmp_path):
    """More, and to 5 GB: benchmarks/pretraining_data.py memory."""
    tokenizer.save_vocabulary(tmp_path / "vocab.txt")
    small, large = peak(tmp_path, "small", 150), peak(tmp_path, "large", 1500)  # 6 MB and 60 MB
    assert large < 1.1 * small
