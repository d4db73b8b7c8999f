"""`kbz train`: several seeds, and the options that say how steps are computed."""

import json

import numpy as np
import pytest
from command_line import json_lines, kbz, refused

from keras_bert_zoo.cli import tuning


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory):
    """Return the folder of two seeds and what was printed, as JSON."""
    out = tmp_path_factory.mktemp("runs") / "two"
    data = ["--train", folders / "train.tsv", "--validation", folders / "train.tsv", "--out", out]
    how = ["--pad-to", "9,15", "--drop-remainder", "--steps-per-execution", 2, "--freeze-layers", 1]
    more = ["--layer-decay", "0.9", "--rematerialize", "--epochs", 1, "--batch-size", 7, "--learning-rate", "2e-3"]
    how += ["--gradient-accumulation", 3, "--precision", "mixed_float16"]
    result = kbz("train", folders / "encoder", *data, *how, *more, "--seed", 5, "--seeds", 2, "--json")
    return out, json_lines(result)


def test_two_seeds_and_every_option(runs):
    out, (printed,) = runs
    assert printed["folder"] == str(out)
    assert printed["seeds"] == [5, 6]
    every = printed["all_figures"]
    assert len(every) == 2
    assert printed["figures"] == every[[5, 6].index(printed["seed"])]
    assert printed["mean"]["val_loss"] == pytest.approx(np.mean([one["val_loss"] for one in every]))
    assert printed["std"]["val_loss"] == pytest.approx(np.std([one["val_loss"] for one in every], ddof=1))
    assert printed["std"]["val_loss"] > 0
    told = json.loads((out / "seeds.json").read_text())
    assert (told["kept"], told["mean"], told["std"]) == tuple(printed[name] for name in ("seed", "mean", "std"))
    assert "## Over 2 seeds" in (out / "README.md").read_text()
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == []
    settings = json.loads((out / "history.json").read_text())["settings"]
    told = {"pad_to": [9, 15], "drop_remainder": True, "steps_per_execution": 2, "freeze_layers": 1, "length": 15}
    told |= {"layer_decay": 0.9, "rematerialize": True, "jit_compile": False, "layout": "padded"}
    told |= {"gradient_accumulation": 3, "precision": "mixed_float16"}
    assert {name: settings[name] for name in told} == told


def test_the_table_of_several_seeds(capsys):
    class History:
        best = 1

    figures = [{"f1": 0.5}, {"f1": 0.9}, {"f1": 0.7}]
    tuning.print_repeats("runs/three", History, figures[1], (4, 5, 6), 1, figures, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "runs/three: seed 5 of 4, 5, 6 was kept, epoch 2"
    assert any(line.split("│")[1:4] == [" f1     ", " 0.9000   ", " 0.7000 ± 0.2000 "] for line in lines), lines


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--pad-to", "long"], 2, "'long' is no length of 3 or more, or several parted by commas, such as 32,64,128."),
        (["--pad-to", "64,2"], 2, "'64,2' is no length of 3 or more"),
        (["--pad-to", "64", "--max-length", "23"], 1, "pad_to ends at 64, but the model has 23 positions"),
        (["--pad-to", "15", "--max-length", "16"], 1, "pad_to ends at 15, but rows may be of 16 tokens"),
        (["--layer-decay", "0"], 1, "layer_decay is 0.0, it must be above 0 and at most 1"),
        (["--freeze-layers", "4"], 1, "freeze_layers is 4, it must be from 0 to the model's 3 blocks"),
        (["--jit-compile", "--layout", "packed"], 1, "jit_compile=True needs shapes that stay"),
        (["--drop-remainder", "--batch-size", "99"], 1, "48 rows do not fill a batch of 99"),
        (["--gradient-accumulation", "0"], 2, "0 is not in the range x>=1"),
        (["--precision", "half"], 2, "'half' is not one of 'float32', 'mixed_bfloat16', 'mixed_float16'"),
        (["--seeds", "0"], 2, "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_tuned(folders, tmp_path, options, exit_code, message):
    out = tmp_path / "run"
    data = ["--train", folders / "train.tsv", "--out", out]
    assert message in refused("train", folders / "encoder", *data, *options, exit_code=exit_code)
    assert not out.exists()
