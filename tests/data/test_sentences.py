"""Running text cut into sentences, on cases written by hand."""

import time

import pytest

from keras_bert_zoo.data.sentences import LONGEST, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\t\n ", []),
        ("no end", ["no end"]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. J. R. Smith paid $3.50. He left.", ["Dr. J. R. Smith paid $3.50.", "He left."]),
        (
            "The U.S. Army met at 5 p.m. on Jan. 5. See e.g. Fig. 3 of v1.2.",
            ["The U.S. Army met at 5 p.m. on Jan. 5.", "See e.g. Fig. 3 of v1.2."],
        ),
        ('"Really?" she asked. He went... home.', ['"Really?" she asked.', "He went... home."]),
        ("是的。你好吗？很好！完", ["是的。", "你好吗？", "很好！", "完"]),
        ("यह है। वह था।", ["यह है।", "वह था।"]),
        ("wrapped at\nsome column. And\r\nmore", ["wrapped at some column.", "And more"]),
        ("A heading\n\nText.\n \t\nMore  text", ["A heading", "Text.", "More text"]),
    ],
)
def test_where_sentences_end(text, sentences):
    assert list(split_sentences(text)) == sentences


def test_abbreviations_are_the_language_s():
    text = "Das gilt z. B. hier. Gut."
    assert list(split_sentences(text, "de")) == ["Das gilt z. B. hier.", "Gut."]


def test_what_has_no_ends_is_cut_at_white_space():
    words = [f"word{i}" for i in range(400)]
    pieces = list(split_sentences("\n".join(words)))
    assert " ".join(pieces).split() == words
    assert max(map(len, pieces)) <= LONGEST
    assert min(map(len, pieces[:-1])) > LONGEST - len(" word399")
    assert [len(piece) for piece in split_sentences("漢" * 1203)] == [500, 500, 203]
    assert list(split_sentences("a" * 499 + " b")) == ["a" * 499, "b"]


@pytest.mark.parametrize("unit", ["word ", "word. ", "a\n", "a.\n\n", '"a. ', "(A. ", "漢", "。", "."])
def test_time_grows_with_length_alone(unit):
    def seconds(count):
        begin = time.process_time()
        for _ in split_sentences(unit * count):
            pass
        return time.process_time() - begin

    seconds(10)
    short = min(seconds(10_000) for _ in range(3))
    assert min(seconds(160_000) for _ in range(2)) < 16 * 8 * max(short, 1e-3)  # quadratic would be 256 times
