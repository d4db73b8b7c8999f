"""`kbz vocabulary`, as a person or a program types it."""

import json

from command_line import json_lines, kbz, refused

WORDS = "the film was good and the plot was good\n" * 5


def test_a_vocabulary_is_written_and_told_about(tmp_path):
    (tmp_path / "a.txt").write_text(WORDS)
    (tmp_path / "b.jsonl").write_text(json.dumps({"body": "The Film"}) + "\n")
    out = tmp_path / "new/vocab.txt"
    result = kbz("vocabulary", tmp_path / "a.txt", tmp_path / "b.jsonl", "--text", "body", "--size", 99, "--out", out)
    tokens = out.read_text().splitlines()
    assert result.stdout.startswith(f"Wrote {len(tokens)} tokens to {out}\n")
    assert "the text has no more to teach; 99 were asked for" in result.stderr
    assert "│ words                      │ 47" in result.stdout
    assert tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert {"the", "film", "good"} <= set(tokens)


def test_options_and_json(tmp_path):
    (tmp_path / "a.txt").write_text(WORDS + "THE THE é é")
    out = tmp_path / "vocab.txt"
    options = ["--cased", "--unused", 2, "--min-frequency", 2, "--limit-alphabet", 15, "--overwrite", "--json"]
    for _ in range(2):
        (told,) = json_lines(kbz("vocabulary", tmp_path, "--size", 48, "--out", out, *options))
        tokens = out.read_text().splitlines()
        assert told["out"] == str(out)
        assert told["size"] == len(tokens) == 48
        assert (told["words"], told["documents"], told["characters"]) == (49, 1, 15)
        out.rename(tmp_path / ".kept")  # not to be read as a part of the corpus
        out.write_text("")
    assert tokens[5:7] == ["[unused0]", "[unused1]"]
    assert "the" in tokens
    (told,) = json_lines(kbz("vocabulary", tmp_path / "a.txt", "--size", 60, "--out", out, *options[:1], *options[-2:]))
    assert {"THE", "é"} <= set(out.read_text().splitlines())
    assert told["unknown"] == 0


def test_what_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text(WORDS)
    there = tmp_path / "there.txt"
    there.write_text("mine")
    assert "Missing argument" in refused("vocabulary", "--out", "v.txt", exit_code=2)
    assert "Missing option '--out'" in refused("vocabulary", tmp_path / "a.txt", exit_code=2)
    assert "there.txt is there already" in refused("vocabulary", tmp_path / "a.txt", "--out", there)
    assert "four_book does not exist. A corpus is" in refused("vocabulary", "four_book", "--out", tmp_path / "v.txt")
    message = refused("vocabulary", tmp_path / "a.txt", "--size", 9, "--out", tmp_path / "v.txt")
    assert "size is 9, but special tokens" in message
    assert there.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "there.txt"]
