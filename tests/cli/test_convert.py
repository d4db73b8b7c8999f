"""`kbz convert`: its options, what it prints, and that a target is whole or not there."""

import json
import resource
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tiny
from command_line import SCRIPT, kbz, own_words, refused, shell

import keras_bert_zoo as zoo

CONFIG = tiny.CONFIG.replace(hidden_act="gelu_tanh", initializer_range=0.02)
MOOD = zoo.heads.Classification(["sad", "calm", "glad"])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a Hugging Face folder with a classifier."""
    return zoo.save(tiny.bundle(MOOD, config=CONFIG), tmp_path_factory.mktemp("source") / "mood")


@contextmanager
def full_disk(bytes_left=4096):
    """Let no file of this process grow beyond so many bytes: writing on fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def plain_copy(source, target, change=lambda tensors: tensors, **config):
    """Copy config, vocabulary and tensors, changed, without what we alone add."""
    target.mkdir()
    told = {**json.loads((source / "config.json").read_text()), **config}
    (target / "config.json").write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
    (target / "vocab.txt").write_bytes((source / "vocab.txt").read_bytes())
    tensors = safetensors.numpy.load_file(source / "model.safetensors")
    safetensors.numpy.save_file(change(tensors), target / "model.safetensors", metadata={"format": "pt"})
    return target


def stored(folder):
    with safetensors.safe_open(folder / "model.safetensors", "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_what_is_printed_accounts_for_every_tensor(source, tmp_path):
    count = len(stored(source))
    lines = kbz("convert", source, tmp_path / "preset", "--to", "keras_hub").stdout.splitlines()
    assert lines == [
        f"Read huggingface, {source / 'model.safetensors'}: {count} tensors matched.",
        f"Wrote keras_hub, {tmp_path / 'preset'}: {count} tensors matched.",
    ]
    told = json.loads(kbz("convert", tmp_path / "preset", tmp_path / "back", "--to", "huggingface", "--json").stdout)
    assert (told["from"], told["to"]) == ("keras_hub", "huggingface")
    assert (told["source"], told["target"]) == (str(tmp_path / "preset"), str(tmp_path / "back"))
    assert told["written"]["where"] == str(tmp_path / "back/model.safetensors")
    assert len(told["read"]["matched"]) == len(told["written"]["matched"]) == count
    assert told["read"]["unused"] == ["task/optimizer/vars/0", "task/optimizer/vars/1"]  # a new one's: no step counted
    assert ["head_logits/bias", "classifier.bias"] in told["written"]["matched"]
    assert {n: x.tobytes() for n, x in stored(tmp_path / "back").items()} == {
        n: x.tobytes() for n, x in stored(source).items()
    }
    assert json.loads((tmp_path / "back/config.json").read_text()) == json.loads((source / "config.json").read_text())


def test_fields_that_may_change(tmp_path):
    config = CONFIG.replace(hidden_act="gelu_erf", layer_norm_eps=1e-6)
    source = zoo.save(tiny.bundle(config=config), tmp_path / "source")
    order = ["convert", source, tmp_path / "preset", "--to", "keras_hub", "--allow-change", "hidden_act"]
    line = refused(*order)
    assert line.endswith("allow it with allow=['layer_norm_eps'] (--allow-change layer_norm_eps).")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    text = kbz(*order, "--allow-change", "layer_norm_eps").stdout
    assert "changed in the config: hidden_act 'gelu_erf' -> 'gelu_tanh', layer_norm_eps 1e-06 -> 1e-12." in text


def test_precision(source, tmp_path):
    count = len(stored(source))
    text = kbz("convert", source, tmp_path / "half", "--to", "huggingface", "--dtype", "bfloat16").stdout
    assert text.splitlines()[1] == (
        f"Wrote huggingface, {tmp_path / 'half/model.safetensors'}: {count} tensors matched; changed in dtype: {count}"
        " of float32 -> bfloat16."
    )
    assert {value.dtype.name for value in stored(tmp_path / "half").values()} == {"bfloat16"}
    # A half stays a half, also by way of another format; nothing is told, for nothing changes.
    for format in set(MOOD.places) - {"huggingface"}:
        there, back = tmp_path / format, tmp_path / f"back from {format}"
        first = kbz("convert", tmp_path / "half", there, "--to", format)
        again = kbz("convert", there, back, "--to", "huggingface")
        for result in (first, again):
            assert "dtype" not in result.stdout
            assert result.stderr == ""
        assert {n: x.tobytes() for n, x in stored(back).items()} == {
            n: x.tobytes() for n, x in stored(tmp_path / "half").items()
        }
    told = json.loads(
        kbz("convert", tmp_path / "half", tmp_path / "w", "--to", "huggingface", "--dtype", "float32", "--json").stdout
    )
    assert "'classifier.bias' bfloat16 -> float32" in told["written"]["dtype_changes"]
    assert len(told["written"]["dtype_changes"]) == count


def test_other_commands_tell_that_a_half_is_widened_in_one_line(source, tmp_path):
    zoo.save(zoo.load(source), tmp_path / "half", dtype="float16")
    done = subprocess.run(
        [SCRIPT, "export", "half", "--to", "served"], cwd=tmp_path, env=shell(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "served/1\n"), done.stderr
    (line,) = own_words(done.stderr).splitlines()
    assert line.startswith("Note: half/model.safetensors stores float16; it is loaded as float32")


def test_double_precision_is_halved_with_a_word(source, tmp_path):
    double = plain_copy(source, tmp_path / "d", lambda t: {name: x.astype("float64") for name, x in t.items()})
    text = kbz("convert", double, tmp_path / "out", "--to", "huggingface", "--uncased").stdout
    assert "of float64 -> float32." in text


def test_a_source_that_does_not_tell_its_casing(source, tmp_path):
    bare = plain_copy(source, tmp_path / "bare")
    assert "Pass lower=True for an uncased model" in refused("convert", bare, tmp_path / "no", "--to", "keras_hub")
    for flag, lower in (("--cased", False), ("--uncased", True)):
        kbz("convert", bare, tmp_path / flag, "--to", "keras_hub", flag)
        assert zoo.load(tmp_path / flag).tokenizer.settings.lower is lower
        told = json.loads((tmp_path / flag / "tokenizer.json").read_text())["config"]
        assert (told["lowercase"], told["strip_accents"]) == (lower, lower)


def test_parts_that_are_left_out(source, tmp_path):
    order = ["convert", source, tmp_path / "out", "--to", "keras_hub", "--encoder-only"]
    assert "unused: 'classifier.bias', 'classifier.weight'" in refused(*order)
    text = kbz(*order, "--unused", "classifier.*").stdout
    assert "unused: classifier.bias, classifier.weight." in text.splitlines()[0]
    assert not (tmp_path / "out/task.json").exists()
    headless = plain_copy(source, tmp_path / "headless", lambda t: {n: x for n, x in t.items() if "class" not in n})
    order = ["convert", headless, tmp_path / "new", "--to", "keras_hub", "--uncased"]
    assert "missing: 'classifier.bias'" in refused(*order)
    assert "missing: head_logits/bias, head_logits/kernel." in kbz(*order, "--missing", "head_*").stdout
    pretraining = zoo.save(tiny.bundle(zoo.heads.Pretraining(), config=CONFIG), tmp_path / "p")
    line = refused("convert", pretraining, tmp_path / "no", "--to", "keras_hub")
    assert "no place for the head 'pretraining'" in line
    assert "--encoder-only" in line


def test_shards(source, tmp_path):
    kbz("convert", source, tmp_path / "parts", "--to", "huggingface", "--max-shard-size", "10KB")
    assert (tmp_path / "parts/model.safetensors.index.json").is_file()
    line = refused("convert", source, tmp_path / "no", "--to", "keras_hub", "--max-shard-size", "10KB")
    assert line == "The format 'keras_hub' has one file of weights: leave out max_shard_size."


def test_names_with_spaces_and_more(source, tmp_path):
    target = tmp_path / "a b" / "模型 é"
    kbz("convert", source, target, "--to", "keras_hub")
    text = kbz("convert", target, tmp_path / "wieder da", "--to", "huggingface").stdout
    assert f"Read keras_hub, {target}: " in text
    assert zoo.load(tmp_path / "wieder da").head.labels == MOOD.labels


def test_a_target_that_is_there(source, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "old.txt").write_text("old")
    order = ["convert", source, target, "--to", "keras_hub"]
    assert "the folder is there already" in refused(*order)
    assert [path.name for path in target.iterdir()] == ["old.txt"]
    kbz(*order, "--overwrite")
    assert not (target / "old.txt").exists()
    copy = tmp_path / "copy"
    kbz("convert", target, copy, "--to", "huggingface")
    kbz("convert", copy, copy, "--to", "keras_hub", "--overwrite")  # in its own place
    assert zoo.load(copy, format="keras_hub").head.labels == MOOD.labels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "target"]


@pytest.mark.parametrize("format", zoo.weights.TARGETS)
def test_a_full_disk_leaves_nothing(source, tmp_path, format):
    bare = ["--encoder-only", "--unused", "classifier.*"] if format not in MOOD.places else []
    with full_disk():
        line = refused("convert", source, tmp_path / "target", "--to", format, *bare)
    assert line.startswith(f"{tmp_path / 'target'} cannot be written: ")
    assert "File too large" in line
    assert line.endswith("Nothing is left of it: make room, or choose another folder.")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_what_was_there(source, tmp_path):
    target = tmp_path / "target"
    kbz("convert", source, target, "--to", "keras_hub")
    with full_disk():
        refused("convert", source, target, "--to", "huggingface", "--overwrite")
    assert zoo.load(target, format="keras_hub").head.labels == MOOD.labels
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_written(source):
    line = refused("convert", source, "/proc/no/place", "--to", "huggingface")  # not even by root
    assert line.startswith("/proc/no/place cannot be written: ")


def test_numbers_that_are_none_are_told(source, tmp_path):
    def spoil(tensors):
        tensors["classifier.bias"] = np.array([1, np.nan, 2], "float32")
        return tensors

    spoilt = plain_copy(source, tmp_path / "spoilt", spoil)
    result = kbz("convert", spoilt, tmp_path / "out", "--to", "huggingface", "--uncased")
    assert "Note: " in result.stderr
    assert "'classifier.bias' holds numbers that are NaN or infinite" in result.stderr


def test_a_source_of_no_format_or_of_two(source, tmp_path):
    (tmp_path / "empty").mkdir()
    order = ["convert", tmp_path / "empty", tmp_path / "no", "--to", "huggingface"]
    assert "is of no weight format known here" in refused(*order)
    assert "has no config.json" in refused(*order, "--from", "huggingface")
    assert "is not known here" in refused("convert", tmp_path / "absent", tmp_path / "no", "--to", "huggingface")
    assert "'BertForX'" in refused(
        "convert",
        plain_copy(source, tmp_path / "x", architectures=["BertForX"]),
        tmp_path / "no",
        "--to",
        "keras_hub",
        "--uncased",
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--to", "onnx"], "Invalid value for '--to': 'onnx' is not one of 'huggingface', 'tf1',"),
        (["--to", "huggingface", "--from", "onnx"], "Invalid value for '--from'"),
        (["--to", "huggingface", "--dtype", "int8"], "Invalid value for '--dtype'"),
    ],
)
def test_wrong_words_exit_2(source, options, told):
    assert told in refused("convert", source, "out", *options, exit_code=2)


def test_without_a_format_there_is_nothing_to_do(source):
    assert "Missing option '--to'" in kbz("convert", source, "out", exit_code=2).stderr


def test_python_says_the_same(source, tmp_path):
    done = zoo.convert(source, tmp_path / "out", to="keras_hub")
    assert (done.from_format, done.to_format) == ("huggingface", "keras_hub")
    assert done.written.matched[0] == ("embeddings/token/embeddings", "model/layers/reversible_embedding/vars/0")
    with pytest.raises(zoo.errors.ConfigError, match="no weight format 'onnx'"):
        zoo.convert(source, tmp_path / "no", to="onnx")
