"""Vocabulary files and settings: what is read, what is written, and what is refused."""

import json
from pathlib import Path

import pytest
from text_strings import SPECIAL

from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.text import vocabulary
from keras_bert_zoo.text.tokenizer import Tokenizer

TOKENS = [*SPECIAL, "film", "a", "##s", "keep", "é"]


def folder_with(path: Path, config: object = None, tokens: list[str] | None = None) -> Path:
    (path / "vocab.txt").write_text("".join(f"{t}\n" for t in tokens or TOKENS), encoding="utf-8")
    if config is not None:
        (path / "tokenizer_config.json").write_text(
            config if isinstance(config, str) else json.dumps(config), encoding="utf-8"
        )
    return path


def test_the_line_number_is_the_id(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(folder_with(tmp_path) / "vocab.txt", lower=True)
    assert tokenizer.vocabulary == tuple(TOKENS)
    assert tokenizer.vocab_size == len(TOKENS) == 10
    ids = tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id
    assert ids == (0, 1, 2, 3, 4)
    assert tokenizer.tokenize(["a FILMS"]).to_list() == [[6, 5, 7]]


def test_lines_are_stripped_and_cut_only_at_line_feeds(tmp_path: Path) -> None:
    data = "\n".join([*SPECIAL, " film\t\r", "a\u2028b", "", "\u00e9"]).encode()
    (tmp_path / "vocab.txt").write_bytes(data)
    tokenizer = Tokenizer.from_file(tmp_path / "vocab.txt", lower=False)
    assert tokenizer.vocabulary == (*SPECIAL, "film", "a\u2028b", "", "é")
    # A token with white space inside, or none at all, is never produced, as in the original.
    assert tokenizer.tokenize(["film é a\u2028b"]).to_list() == [[5, 8, 1, 1]]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"vocab\.txt: no such vocabulary file\. It holds one token a line"):
        Tokenizer.from_file(tmp_path / "vocab.txt", lower=True)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"")
    with pytest.raises(VocabularyError, match=r"vocab\.txt: the vocabulary is empty"):
        Tokenizer.from_file(tmp_path / "vocab.txt", lower=True)
    with pytest.raises(VocabularyError, match=r"vocabulary: the vocabulary is empty\. It must hold one token per id"):
        Tokenizer([])


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\nfilm\n\xffx\n")
    with pytest.raises(VocabularyError, match=r"vocab\.txt: line 3 \(id 2\) is not UTF-8: b'\\xffx'"):
        Tokenizer.from_file(tmp_path / "vocab.txt", lower=True)


def test_missing_special_tokens() -> None:
    message = r"vocabulary: no \[CLS\], \[MASK\] among its 4 tokens\. .* pass special_tokens"
    with pytest.raises(VocabularyError, match=message):
        Tokenizer(["[PAD]", "[UNK]", "[SEP]", "film"])


def test_duplicates(tmp_path: Path) -> None:
    tokens = [*TOKENS, "film"]
    path = folder_with(tmp_path, tokens=tokens) / "vocab.txt"
    with pytest.raises(VocabularyError, match=r"vocab\.txt: 'film' stands twice, on lines 6 and 11 \(ids 5 and 10\)"):
        Tokenizer.from_file(path, lower=True)
    kept = Tokenizer.from_file(path, lower=True, duplicates="last")
    assert kept.tokenize(["film"]).to_list() == [[10]]
    assert kept.vocabulary == tuple(tokens)
    with pytest.raises(VocabularyError, match="duplicates is 'first', want 'error' or 'last'"):
        Tokenizer(tokens, duplicates="first")


def test_private_use_that_the_tokenizer_needs() -> None:
    with pytest.raises(VocabularyError, match=r"vocabulary: line 11 \(id 10\) is .*; U\+F1003 is private use"):
        Tokenizer([*TOKENS, "x\U000f1003"])


def test_other_special_tokens() -> None:
    tokens = ["<pad>", "<unk>", "<s>", "</s>", "<mask>", "film"]
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), tokens, strict=False))
    tokenizer = Tokenizer(tokens, special_tokens=names)
    assert tokenizer.tokenize(["film zzz"]).to_list() == [[5, 1]]
    assert (tokenizer.pad_id, tokenizer.mask_id) == (0, 4)
    with pytest.raises(VocabularyError, match=r"special_tokens names \['bos'\], want some of \['pad'"):
        Tokenizer(tokens, special_tokens={"bos": "<s>"})


def test_unknown_choices() -> None:
    with pytest.raises(VocabularyError, match="rules is 'google', want one of 'original', 'huggingface'"):
        Tokenizer(TOKENS, rules="google")
    with pytest.raises(VocabularyError, match="word_limit is 0, want 1 or more characters"):
        Tokenizer(TOKENS, word_limit=0)
    with pytest.raises(VocabularyError, match="'moon' is not among the 10 tokens of the vocabulary"):
        Tokenizer(TOKENS).token_id("moon")


def test_a_line_end_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"token 10 is 'a\\nb'; a line end inside a token cannot be written"):
        Tokenizer([*TOKENS, "a\nb"]).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "want"),
    [
        ({"do_lower_case": True}, (True, True, True, None)),
        ({"do_lower_case": False, "model_max_length": 512}, (False, False, True, 512)),
        ({"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": False}, (True, True, False, None)),
        ({"do_lower_case": True, "strip_accents": False, "model_max_length": int(1e30)}, (True, False, True, None)),
        ({"do_lower_case": False, "strip_accents": True, "model_max_length": 128.0}, (False, True, True, 128)),
    ],
)
def test_hugging_face_switches(tmp_path: Path, config: dict, want: tuple) -> None:
    tokenizer = Tokenizer.from_folder(folder_with(tmp_path, config))
    assert (tokenizer.lower, tokenizer.strip_accents, tokenizer.split_cjk, tokenizer.max_length) == want


def test_added_token_objects(tmp_path: Path) -> None:
    config = {"do_lower_case": True, "mask_token": {"content": "keep", "__type": "AddedToken"}, "pad_token": "a"}
    tokenizer = Tokenizer.from_folder(folder_with(tmp_path, config))
    assert (tokenizer.mask_id, tokenizer.pad_id) == (8, 6)


def test_a_folder_that_does_not_say_its_casing(tmp_path: Path) -> None:
    folder_with(tmp_path)
    with pytest.raises(VocabularyError, match=r"tokenizer_config\.json: no such file, .* Pass lower=True"):
        Tokenizer.from_folder(tmp_path)
    assert Tokenizer.from_folder(tmp_path, lower=False).lower is False
    folder_with(tmp_path, {"model_max_length": 7})
    with pytest.raises(VocabularyError, match=r"tokenizer_config\.json: no do_lower_case, .* Pass lower=True"):
        Tokenizer.from_folder(tmp_path)
    assert Tokenizer.from_folder(tmp_path, lower=True).max_length == 7


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", r"tokenizer_config\.json: not valid JSON"),
        ([1], r"tokenizer_config\.json: holds a JSON list, not an object"),
        ({"do_lower_case": "yes"}, "do_lower_case is 'yes', want true or false"),
        ({"do_lower_case": True, "strip_accents": 1}, "strip_accents is 1, want true or false"),
        ({"do_lower_case": True, "do_basic_tokenize": False}, "do_basic_tokenize is false; only BERT's own"),
        (
            {"do_lower_case": True, "model_max_length": "long"},
            "model_max_length is 'long', want a whole number above 0",
        ),
        ({"do_lower_case": True, "model_max_length": 0}, "model_max_length is 0, want a whole number above 0"),
        ({"do_lower_case": True, "sep_token": 5}, "sep_token is 5, want a string"),
        ({"do_lower_case": True, "sep_token": "[END]"}, r"vocab\.txt: no \[END\] among its 10 tokens"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, config: object, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Tokenizer.from_folder(folder_with(tmp_path, config))


@pytest.mark.parametrize(
    "options",
    [
        {"lower": True, "max_length": 23},
        {"lower": False, "strip_accents": True, "split_cjk": False},
        {"lower": True, "rules": "huggingface"},
        {"lower": True, "word_limit": 37, "special_tokens": {"mask": "keep"}},
    ],
)
def test_save_and_load(tmp_path: Path, options: dict) -> None:
    first = Tokenizer(TOKENS, **options)
    first.save(tmp_path / "new" / "folder")
    second = Tokenizer.from_folder(tmp_path / "new" / "folder")
    assert second.vocabulary == first.vocabulary
    assert second.settings == first.settings
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == ["tokenizer_config.json", "vocab.txt"]


def test_the_file_is_the_one_hugging_face_writes(tmp_path: Path) -> None:
    Tokenizer(TOKENS, lower=True, max_length=512).save(tmp_path)
    written = json.loads((tmp_path / "tokenizer_config.json").read_bytes())
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    # The fields of a folder that transformers 4 saved.
    assert written == {
        "added_tokens_decoder": {str(i): {"content": token, **flags} for i, token in enumerate(SPECIAL)},
        "clean_up_tokenization_spaces": True,
        "cls_token": "[CLS]",
        "do_lower_case": True,
        "extra_special_tokens": {},
        "mask_token": "[MASK]",
        "model_max_length": 512,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
        "unk_token": "[UNK]",
    }
    assert (tmp_path / "vocab.txt").read_text(encoding="utf-8") == "".join(f"{t}\n" for t in TOKENS)


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(vocabulary.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        vocabulary.write_vocabulary(TOKENS, tmp_path / "vocab.txt")
    assert list(tmp_path.iterdir()) == []
