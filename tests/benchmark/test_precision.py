"""benchmarks/precision.py, run as a user runs it, on a tiny model."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_bert_zoo as kbz

SCRIPT = Path(kbz.__file__).parents[1] / "benchmarks" / "precision.py"


@pytest.mark.slow
def test_a_table_of_both_precisions(folders, tmp_path):
    (tmp_path / "texts.txt").write_text("a good film\nit was so very dull\n")
    options = [
        "--source",
        folders / "encoder",
        "--file",
        "texts.txt",
        "--rows",
        "50",
        "--batch-size",
        "8",
        "--turns",
        "3",
    ]
    done = subprocess.run([sys.executable, SCRIPT, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    header, rule, whole, smaller, gain = done.stdout.splitlines()[-5:]
    assert (header, rule) == ("| precision | MiB | texts/s | one text, ms |", "| --- | --: | --: | --: |")
    number = r"(\d+\.?\d*)"
    for name, row in (("float32", whole), ("bfloat16", smaller)):
        found = re.fullmatch(rf"\| {name} \| {number} \| {number} \| {number} \|", row)
        assert all(float(value) > 0 for value in found.groups())
    found = re.fullmatch(rf"\| gain \| {number} x(?: \| {number} x \({number} to {number}\)){{2}} \|", gain)
    assert float(found.group(3)) <= float(found.group(2)) <= float(found.group(4))
