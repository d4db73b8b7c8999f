"""`kbz estimate`: what it prints, what a program reads, and what may be wrong."""

import json
import subprocess
import sys

import pytest
from command_line import json_lines, kbz, refused

from keras_bert_zoo.estimate import DEVICES, SIZES, Run, estimate, find_device

LARGE = ["estimate", "--preset", "bert-large", "--tokens", "137G"]


def test_the_figures_are_those_of_the_formulas():
    (printed,) = json_lines(kbz(*LARGE, "--device", "a100-80gb", "--devices", "8,64,1024", "--json"))
    run = Run(SIZES["bert-large"], 137e9)
    assert printed["parameters"] == 336_226_108
    assert printed["run"]["steps"] == run.steps == 1_045_228
    assert printed["config"]["num_hidden_layers"] == 24
    want = [estimate(run, DEVICES["a100-80gb"], devices).to_dict() for devices in (8, 64, 1024)]
    assert printed["estimates"] == json.loads(json.dumps(want))
    assert printed["estimates"][0]["cost"] == pytest.approx(8 * 5.12 * printed["estimates"][0]["seconds"] / 3600)


def test_every_option_reaches_the_formulas(tmp_path):
    config = SIZES["bert-mini"]
    (tmp_path / "config.json").write_text(json.dumps(config.to_huggingface()))
    options = "--task finetuning --length 96 --batch-size 24 --precision bfloat16 --rematerialize --layout packed"
    more = "--filled 0.5 --device h100 --devices 3 --utilization 0.5 --peak 100T --memory 2 --price 1.5 --json"
    words = ["estimate", "--preset", tmp_path, "--tokens", "7_000k", *options.split(), *more.split()]
    (printed,) = json_lines(kbz(*words))
    run = Run(config, 7e6, "finetuning", 96, 24, "bfloat16", True, "packed", 0.5)
    device = find_device("h100", peak=1e14, memory=2 * 2**30, price=1.5)
    assert printed["estimates"] == [json.loads(json.dumps(estimate(run, device, 3, utilization=0.5).to_dict()))]


def test_a_table_for_people():
    output = kbz(*LARGE, "--device", "v100", "--devices", "8,1024", "--precision", "mixed_float16").stdout
    assert output.startswith("bert-large: 336,226,108 weights; pretraining, mixed_float16.\n137 G tokens in 1,045,228 ")
    assert "│ 8 x v100     │ 32 " in output
    fits = estimate(Run(SIZES["bert-large"], 137e9, precision="mixed_float16"), DEVICES["v100"], 8).fitting_rows
    assert f"8 x v100: 32 rows do not fit, {fits} do. Accumulate gradients over {-(-32 // fits)} parts" in output
    assert "1,024 x v100: a batch of 256 rows feeds 256 of them; the rest idle and are paid for." in output


def test_padding_is_told():
    words = ["estimate", "--preset", "bert-base", "--tokens", "1M", "--length", "128", "--task", "inference"]
    output = kbz(*words, "--filled", "0.25", "--device", "cpu").stdout
    assert "Padding fills 75% of the rows: padded " in output
    assert "inference, float32." in output  # cpu's precision unless told otherwise
    assert " - " in output  # no price
    assert "Padding" not in kbz(*words, "--device", "cpu").stdout


def test_nothing_fits():
    output = kbz(*LARGE, "--memory", "4").stdout
    assert "1 x a100-80gb: not even one row fits. Take --rematerialize, a shorter length, or a device " in output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--preset", "bert-lrge", "--tokens", "1G"], 1, "'bert-lrge' is not known here. Did you mean bert-large"),
        (["--preset", "bert-base", "--tokens", "1G", "--device", "a10"], 1, "There is no device 'a10'."),
        (["--preset", "bert-base", "--tokens", "1G", "--length", "600"], 1, "length is 600, but the model has 512"),
        (["--preset", "bert-base", "--tokens", "1G", "--filled", "0"], 1, "filled is 0.0, it must be above 0"),
        (["--preset", "bert-base", "--tokens", "1G", "--price", "-1"], 1, "price is -1.0, it must be a number"),
        (["--preset", "bert-base", "--tokens", "1G", "--memory", "nan"], 1, "memory is nan, it must be a number"),
        (["--preset", "bert-base", "--tokens", "-5"], 2, "'-5' is no number above 0; write 137e9 or 137G"),
        (["--preset", "bert-base", "--tokens", "1e999"], 2, "'1e999' is no number above 0"),
        (["--preset", "bert-base", "--tokens", "5q"], 2, "'5q' is no number above 0"),
        (["--preset", "bert-base", "--tokens", "1G", "--devices", "8,0"], 2, "'8,0' must be whole numbers above 0"),
        (["--preset", "bert-base"], 2, "Missing option '--tokens'."),
    ],
)
def test_what_cannot_be_estimated(arguments, exit_code, message):
    assert message in refused("estimate", *arguments, exit_code=exit_code)


def test_it_imports_no_framework():
    script = (
        "import sys; from keras_bert_zoo.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print([name for name in ('tensorflow', 'keras', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script, *LARGE], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
