"""The README and docs: every block is run here, on tiny weights, or by `make quickstart`, or checked word by word."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

import keras_bert_zoo as zoo
from keras_bert_zoo.serving import fresh_process
from keras_bert_zoo.serving.saved_model import export_bundle

ROOT = Path(zoo.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRESET = "minilm_l6_h384_uncased"
# What the pages say -> what it is here.
SHORT = {PRESET: "weights", "900_000": "3", "100_000": "2", "batch_size=256": "batch_size=2", '"base"': '"tiny"'}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines():
    return [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def place(folders, tmp_path_factory):
    """Return a working folder in which the README's names mean tiny things."""
    root = tmp_path_factory.mktemp("readme")
    shutil.copytree(folders / "encoder", root / "weights")
    table = tiny.mood_table(copies=12).map_labels({"good": "positive", "bad": "negative"}.__getitem__)
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        table.write(root / name)
    (root / "MRPC").mkdir()
    rows = zip(tiny.GOOD, tiny.BAD[1:] + tiny.GOOD[:1], "010101", strict=True)
    mrpc = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n" + "".join(f"{q}\t1\t2\t{a}\t{b}\n" for a, b, q in rows)
    for name in ("train.tsv", "dev.tsv"):
        (root / "MRPC" / name).write_text(mrpc)
    (root / "corpus").mkdir()
    (root / "corpus/notes.txt").write_text("A good film. So very dull, the other film.\n\nThe film was good.\n" * 3)
    (root / "reviews.txt").write_text("a good film\nso very dull\n")
    mood = tiny.bundle(zoo.heads.Classification(["negative", "positive"]))
    export_bundle(mood, root / "saved_models/movie_mood")
    return root


def test_every_block_has_a_language_that_is_looked_at():
    for page in PAGES:
        fences = re.findall(r"^\s*```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences[0::2]) <= {"sh", "python", "json", "text"}
        assert set(fences[1::2]) <= {""}


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.is_file(), f"{page.name}: {link}"
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    lines = [line for line in shell_lines() if line.startswith("make ")]
    assert len(lines) == 2
    for line in lines:
        target = line.split()[1]
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert re.search(r"^test: lint types pytest$", makefile, re.MULTILINE)
    assert (ROOT / "locks/python3.11.txt").is_file()
    assert (ROOT / ".ci/run").read_text() == "#!/usr/bin/env bash\nexec make test\n"


def test_the_commands(place, monkeypatch):
    from click.testing import CliRunner

    from keras_bert_zoo.cli import main
    from keras_bert_zoo.serving.server.run import _Server

    serve = _Server.run

    def serve_until_it_listens(server, listen):
        serve(server, lambda addresses: (listen(addresses), server.stop()))

    monkeypatch.setattr(_Server, "run", serve_until_it_listens)
    monkeypatch.chdir(place)
    ran = []
    for line in shell_lines():
        if line.startswith(("make ", "docker ", "curl ")):  # other tests look at these
            continue
        first, _, after = line.partition(" | ")
        given = (place / first.removeprefix("cat ")).read_text() if after else None
        words = shlex.split(after or first)
        assert words[0] == "kbz", line
        arguments = ["weights" if word == PRESET else word for word in words[1:]]
        if "train" in arguments:
            arguments += ["--epochs", "1"]
        if "serve" in arguments:  # the usual ports may be taken
            arguments += ["--port", "0", "--grpc-port", "0"]
        result = CliRunner().invoke(main, arguments, input=given)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        ran.append((words[1], result.stdout))
    assert [name for name, _ in ran] == [
        "train",
        "evaluate",
        "predict",
        "predict",
        "export",
        "convert",
        "presets",
        "estimate",
        "serve",
    ]
    out = [text for _, text in ran]
    assert "val_accuracy" in out[0]
    assert "accuracy" in out[1]
    assert "two hours I want back" in out[2]
    assert len([json.loads(row)["label"] for row in out[3].splitlines()]) == 2
    assert out[4] == "saved_models/mood/1\n"
    assert "hidden_act 'gelu_erf' -> 'gelu_tanh'" in out[5]
    assert PRESET in out[6]
    assert "1,024 x a100-80gb" in out[7]
    assert re.search(r"(?m)^REST   http://127.0.0.1:[1-9]\d+/v1/models/NAME:predict$", out[8])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python(page, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    if not Path("runs/mood").exists():
        zoo.save(tiny.bundle(zoo.heads.Classification(["negative", "positive"])), "runs/mood")
    if not Path("runs/notes").exists():
        zoo.save(tiny.bundle(zoo.heads.MaskedLM()), "runs/notes")
    for block in blocks(page, "python"):
        if "kbz.pretrain(" in block:
            for data in ("phase2", "held"):
                shutil.copytree("records", data)
        for told, here in SHORT.items():
            block = block.replace(told, here)
        if "kbz.serving.Client(" in block:
            from keras_bert_zoo.serving.server.run import running

            with running("saved_models/movie_mood", grpc_port=None) as addresses:
                exec(compile(block.replace("http://127.0.0.1:8501", addresses.rest), str(page), "exec"), {})
        else:
            exec(compile(block, str(page), "exec"), {})
    printed = capsys.readouterr().out
    if page.name == "README.md":
        assert "'label': '" in printed
        assert Path("saved_models/sentiment/1/saved_model.pb").is_file()
    if page.name == "data.md":
        assert re.search(r"(?m)^\((\d+), \d+\) \(\1,\)$", printed)
        assert len(zoo.data.read_table("short.jsonl")) == round(0.8 * 144)
    if page.name == "tokenizer.md":
        assert "['a', 'good', 'film']" in printed
        assert "b'a good film'" in printed
    if page.name == "pretraining.md":
        assert "2 A good film." in printed
        assert "pretraining-00001-of-00002.tfrecord" in printed
        assert re.search(r"(?m)^\d+\.\d+$", printed)  # perplexity
        assert zoo.load("runs/base").head.name == "pretraining"
        assert zoo.data.read_lines("vocab.txt").texts[:5] == tiny.SPECIAL
    if page.name == "masked-lm.md":
        assert re.search(r"(?m)^a good ?\S+\.$", printed)
    if page.name == "question-answering.md":
        assert printed.startswith("True\n{'exact_match': ")
    if page.name == "glue.md":
        assert 0 <= float(printed.splitlines()[-1]) <= 1
    if page.name == "weights.md":
        assert "hidden_act 'gelu_erf' -> 'gelu_tanh'" in printed
    if page.name == "serving.md":
        assert re.search(r"b'(negative|positive)'", printed)
        assert re.search(r"(?m)^(negative|positive)\nScore\(label='positive', score=0\.\d+\)$", printed)
        assert "VersionStatus(version=1, state='AVAILABLE', error='')" in printed


def test_serving_lines_agree_with_one_another_and_with_the_export(place):
    (docker,) = [shlex.split(line) for line in shell_lines() if line.startswith("docker ")]
    (curl,) = [shlex.split(line) for line in shell_lines() if line.startswith("curl ")]
    source, target = docker[docker.index("-v") + 1].removeprefix("$PWD/").split(":")
    name = docker[docker.index("-e") + 1].removeprefix("MODEL_NAME=")
    assert source == "saved_models/movie_mood"  # where `kbz quickstart` exports to
    assert target == f"/models/{name}"  # where the image looks for MODEL_NAME
    port = docker[docker.index("-p") + 1].split(":")[0]
    assert curl[-1] == f"http://localhost:{port}/v1/models/{name}:predict"
    asked = json.loads(curl[curl.index("-d") + 1])
    (shown,) = [json.loads(block) for block in blocks(ROOT / "README.md", "json")]

    # TensorFlow Serving's REST row format: one value an instance in, one dict of the outputs an instance out.
    done = subprocess.run(
        [sys.executable, fresh_process.__file__, place / source / "1", "tf1"],
        input=json.dumps({"text": asked["instances"]}),
        capture_output=True,
        text=True,
        check=True,
    )
    columns = json.loads(done.stdout)
    answers = [{key: values[i] for key, values in columns.items()} for i in range(len(asked["instances"]))]
    assert len(shown["predictions"]) == len(answers)
    for got, told in zip(answers, shown["predictions"], strict=True):
        assert set(got) == set(told)
        assert got["labels"] == told["labels"]
        for one in (got, told):
            place_of = one["labels"].index(one["label"])
            assert one["score"] == pytest.approx(one["probabilities"][place_of], abs=1e-5)
            assert sum(one["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert "Not run in the image" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_citation_tells_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "cff-version: 1.2.0\n" in citation
    assert f"\nversion: {zoo.__version__}\n" in citation
    assert f"## {zoo.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
