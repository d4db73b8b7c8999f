"""From files to a vocab.txt that our tokenizer and Hugging Face's cut texts with alike."""

import gzip
import json

import pytest
from tokenizers import BertWordPieceTokenizer

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, DataError, VocabularyError

TEXTS = """
The quick brown fox jumps over the lazy dog; it's unaffable, isn't it? E-mail: someone@example.org, 3.14 + 2 = 5.14!
Falsches Üben von Xylophonmusik quält jeden größeren Zwerg. Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes.
敏捷的棕色狐狸跳过了懒狗。いろはにほへと ちりぬるを カタカナ 키스의 고유조건은 입술끼리 만나야 하고 नमस्ते दुनिया
The foxes jumped; the dogs' laziness is unquestionable 😀 👩‍👩‍👧 🎉🎉. ＦＵＬＬ　ｗｉｄｔｈ！ ﬁne cafés cafe\u0301s
""".strip().split("\n")
UNSEEN = [
    "The fox's laziest jump, quickly!",
    "préférée ZÉPHYR cafe\u0301",
    "狐狸和懒狗 of 敏",
    "😀🎉 party 👩‍👧",
    "xyzzy größte Ω unknown",
    "",
    "a\tb\xa0c",
]


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
def test_both_libraries_cut_alike(tmp_path, lower):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    learnt = kbz.learn_vocabulary(tmp_path / "a.txt", size=280, lower=lower, min_frequency=1, out=tmp_path / "v.txt")
    assert len(learnt.tokens) == 280
    assert (tmp_path / "v.txt").read_text(encoding="utf-8").split("\n")[:-1] == list(learnt.tokens)
    ours = kbz.Tokenizer.from_file(tmp_path / "v.txt", lower=lower)
    theirs = BertWordPieceTokenizer(str(tmp_path / "v.txt"), lowercase=lower)
    texts = TEXTS + UNSEEN
    wanted = [encoding.ids for encoding in theirs.encode_batch(texts, add_special_tokens=False)]
    assert ours.tokenize(texts).to_list() == wanted
    known = [1 not in ids for ids in wanted]
    assert all(known[: len(TEXTS)])  # nothing that was learnt from is unknown
    assert not known[-3]
    assert learnt.tokens_per_word == pytest.approx(sum(map(len, wanted[: len(TEXTS)])) / learnt.words)
    assert learnt.unknown == 0


def test_the_same_text_gives_the_same_tokens_however_it_is_cut(tmp_path):
    lines = TEXTS * 3 + [f"word{i % 7} other{i % 11}" for i in range(60)]
    (tmp_path / "one.txt").write_text("\n".join(lines))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/2.jsonl").write_text("".join(json.dumps({"body": line}) + "\n" for line in lines[5:]))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n\n".join(lines[4::-1]).encode()))
    options = {"size": 300, "unused": 3, "text": "body"}
    one = kbz.learn_vocabulary(tmp_path / "one.txt", **options)
    several = kbz.learn_vocabulary([tmp_path / "b", tmp_path / "a.txt.gz"], **options)
    again = kbz.learn_vocabulary([tmp_path / "a.txt.gz", tmp_path / "b"], **options)
    assert one.tokens == several.tokens == again.tokens
    assert one.tokens[5:8] == ("[unused0]", "[unused1]", "[unused2]")
    assert (one.documents, several.documents) == (1, 5 + len(lines) - 5)
    same = ("words", "distinct_words", "tokens_per_word", "whole", "unknown", "characters", "characters_left_out")
    assert [getattr(one, name) for name in same] == [getattr(several, name) for name in same]


def test_what_is_told(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"aa aa ab\xff\n\naa z aa")
    said, met = [], []
    learnt = kbz.learn_vocabulary(
        tmp_path / "a.txt", size=99, progress=said.append, meter=lambda *place: met.append(place)
    )
    assert learnt.to_dict() == {
        "size": len(learnt.tokens),
        "words": 6,
        "distinct_words": 3,
        "tokens_per_word": pytest.approx(6 / 6),
        "whole": pytest.approx(4 / 6),
        "unknown": pytest.approx(2 / 6),
        "characters": 1,
        "characters_left_out": 2,
        "documents": 2,
        "replaced": 1,
    }
    assert learnt.tokens[5:] == ("a", "##a", "aa")
    assert said == ["loading TensorFlow", "reading 1 file", "learning 99 tokens from 6 words"]
    assert met[-1] == ((tmp_path / "a.txt").stat().st_size,) * 2


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"unused": -1}, VocabularyError, "unused is -1, it must be at least 0"),
        ({"min_frequency": 0}, VocabularyError, "min_frequency is 0, it must be at least 1"),
        ({"limit_alphabet": 0}, VocabularyError, "limit_alphabet is 0, it must be at least 1 character"),
        ({"size": 7}, VocabularyError, "size is 7, but special tokens"),
        ({"invalid": "refuse"}, DataError, r"a\.txt, line 1: byte 0xff is not UTF-8"),
        ({"out": "a.txt"}, ConfigError, r"a\.txt is there already\. Choose another name, or allow overwriting"),
        ({"out": ".", "overwrite": True}, ConfigError, r" is there already\. Name a file in it"),
        ({"out": "a.txt/v.txt"}, VocabularyError, r"a\.txt/v\.txt cannot be written: (Not a directory|File exists)"),
    ],
)
def test_what_cannot_be_done_leaves_everything_as_it_was(tmp_path, options, error, told):
    (tmp_path / "a.txt").write_bytes(b"aa ab\xff aa")
    options = {"size": 50, **options}
    if "out" in options:
        options["out"] = tmp_path / options["out"]
    with pytest.raises(error, match=told):
        kbz.learn_vocabulary(tmp_path / "a.txt", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"aa ab\xff aa"


def test_a_file_that_is_missing_is_told_before_tensorflow_is_loaded(tmp_path):
    said = []
    with pytest.raises(DataError, match=r"b\.txt does not exist\. A corpus is a file, a folder, or one of: four_books"):
        kbz.learn_vocabulary(tmp_path / "b.txt", size=50, progress=said.append)
    (tmp_path / "a.txt").write_text(" \n\n")
    with pytest.raises(DataError, match=r"a\.txt: there is no text in it"):
        kbz.learn_vocabulary(tmp_path / "a.txt", size=50, progress=said.append)
    assert said == ["loading TensorFlow", "reading 1 file"]
