"""`kbz predict`: every way in, both ways out, and what may be wrong with the texts."""

import json
import subprocess

import pytest
import tiny
from command_line import SCRIPT, json_lines, kbz, own_words, refused, shell

import keras_bert_zoo as zoo

TEXTS = ["a good film", "so very dull"]


@pytest.fixture(scope="module")
def answers():
    """Return what the model says, asked in Python and never saved."""
    return tiny.bundle(zoo.heads.Classification(["bad", "good"])).predict(TEXTS)


def same(got, want):
    assert [list(answer) for answer in got] == [list(answer) for answer in want]
    for one, other in zip(got, want, strict=True):
        assert one["label"] == other["label"]
        assert one["labels"] == other["labels"] == ["bad", "good"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert one["score"] == pytest.approx(max(other["probabilities"]), abs=1e-6)


def test_texts_as_arguments(folders, answers):
    assert answers[0]["probabilities"] != pytest.approx(answers[1]["probabilities"], abs=1e-3)
    same(json_lines(kbz("predict", folders / "mood", *TEXTS, "--json")), answers)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("t.tsv", "text\tlabel\na good film\t?\nso very dull\t?\n", []),
        ("t.csv", 'id,review\r\n1,"a good film"\r\n2,so very dull\r\n', ["--text", "review"]),
        ("t.jsonl", '{"text": "a good film"}\n{"text": "so very dull"}\n', []),
        ("t.txt", "a good film\r\nso very dull\n", []),
    ],
)
def test_texts_in_a_file(folders, answers, tmp_path, name, content, options):
    (tmp_path / name).write_bytes(content.encode())
    same(json_lines(kbz("predict", folders / "mood", "--file", tmp_path / name, "--json", *options)), answers)


def test_texts_on_standard_input(folders, answers):
    same(json_lines(kbz("predict", folders / "mood", "--json", stdin="\n".join(TEXTS))), answers)


def test_a_table_for_people(folders, answers):
    output = kbz("predict", folders / "mood", "[red]a good film[/]", "so very dull").stdout
    assert "[red]a good film[/]" in output  # a text is no markup
    assert f"│ {answers[1]['label']} " in output
    assert f"{answers[1]['score']:.4f}" in output
    assert f"good {answers[1]['probabilities'][1]:.4f}" in output


def test_other_heads(folders):
    bundle = tiny.bundle(zoo.heads.Regression())
    want = bundle.predict(["warm"])[0]["value"]
    assert json_lines(kbz("predict", folders / "rating", "warm", "--json"))[0]["value"] == pytest.approx(want, abs=1e-6)
    topics = json_lines(kbz("predict", folders / "topics", "warm", "--json"))[0]
    assert topics["predicted"] == [probability >= 0.4 for probability in topics["probabilities"]]
    named = [label for label, yes in zip(topics["labels"], topics["predicted"], strict=True) if yes]
    assert f"│ {', '.join(named)} " in kbz("predict", folders / "topics", "warm").stdout


def test_pairs(folders, tmp_path):
    want = tiny.bundle(zoo.heads.Classification(["no", "yes"], pair=True)).predict(
        ["a film", "a story"], text_pair=["it was good", "it was good"]
    )
    command = ["predict", folders / "pair", "--json"]
    got = json_lines(kbz(*command, "a film", "a story", "--text-pair", "it was good"))
    (tmp_path / "p.jsonl").write_text('{"a": "a film", "b": "it was good"}\n{"a": "a story", "b": "it was good"}\n')
    read = json_lines(kbz(*command, "--file", tmp_path / "p.jsonl", "--text", "a", "--text-pair", "b"))
    for one, other, oracle in zip(got, read, want, strict=True):
        assert one == other
        assert one["probabilities"] == pytest.approx(oracle["probabilities"], abs=1e-6)


def test_a_pair_head_says_what_it_misses(folders):
    assert refused("predict", folders / "pair", "a film", exit_code=2).endswith(
        "pair reads text and text_pair: give the second one, or its column, with --text-pair."
    )
    assert refused("predict", folders / "mood", "a film", "--text-pair", "b", exit_code=2).endswith(
        "mood reads single texts: leave out --text-pair."
    )


def test_nothing_to_answer(folders, tmp_path):
    result = kbz("predict", folders / "mood", "--json", stdin="")
    assert result.stdout == ""
    assert result.stderr == "Standard input is empty: nothing to answer.\n"
    (tmp_path / "empty.txt").write_text("")
    assert refused("predict", folders / "mood", "--file", tmp_path / "empty.txt").endswith("empty.txt is empty.")


def test_bad_input(folders, tmp_path):
    bad = b"fine\ncaf\xe9\n"
    assert "standard input, line 2: invalid UTF-8 at byte 3" in refused("predict", folders / "mood", stdin=bad)
    (tmp_path / "bad.txt").write_bytes(bad)
    assert "bad.txt: invalid UTF-8 at byte 8" in refused("predict", folders / "mood", "--file", tmp_path / "bad.txt")
    assert "nope.tsv does not exist." in refused("predict", folders / "mood", "--file", tmp_path / "nope.tsv")
    assert "encoder without a head" in refused("predict", folders / "encoder", "a text")
    # a broken byte on the command line reaches Python as half of a surrogate pair
    assert "text, item 0" in refused("predict", folders / "mood", "caf\udce9")


def test_a_reader_that_leaves_early(folders, tmp_path):
    (tmp_path / "many.txt").write_text("a good film\n" * 20_000)  # more than a pipe holds
    command = [SCRIPT, "predict", folders / "mood", "--file", tmp_path / "many.txt", "--json"]
    with subprocess.Popen(
        [*command, "--batch-size", "4096"], env=shell(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        first = process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert set(json.loads(first)) == {"label", "score", "labels", "probabilities"}
    assert own_words(errors) == ""
