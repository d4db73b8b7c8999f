"""Tags of words: every scheme, against seqeval."""

import numpy as np
import pytest
import seqeval.metrics as oracle
from seqeval.metrics.sequence_labeling import get_entities

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.training.tags import Tag, check_spans, entity_figures, predicted_tags, read_tags, tags_in


@pytest.mark.parametrize(
    "tags", [["O", "B-X", "I-X", "B-Y", "I-Y"], ["O", *(f"{p}-{t}" for p in "BIES" for t in "XY")]]
)
def test_figures_are_seqevals(tags):
    random = np.random.default_rng(len(tags))
    true, guessed = ([[tags[i] for i in random.integers(0, len(tags), n)] for n in (11, 0, 7, 1, 40)] for _ in range(2))
    true[0] = guessed[0] = ["O", "B-X", "I-X", "O", "I-Y", "I-Y", "B-Y", "O", "O", "I-X", "I-Y"]
    parsed = dict(zip(tags, read_tags(tags), strict=True))
    words = [[(3 * i, 3 * i + 2, tag) for i, tag in enumerate(row)] for row in true]
    answers = [[(3 * first, 3 * last + 2, type_) for type_, first, last in get_entities(row)] for row in guessed]
    predicted = [predicted_tags(row, found) for row, found in zip(words, answers, strict=True)]
    assert [get_entities(row) for row in predicted] == [get_entities(row) for row in guessed]
    figures = entity_figures([[parsed[tag] for tag in row] for row in true], predicted, ["X", "Y"])
    for name in ("precision", "recall", "f1"):
        assert figures[name] == getattr(oracle, f"{name}_score")(true, guessed)
    report = oracle.classification_report(true, guessed, output_dict=True)
    assert [figures["f1_X"], figures["f1_Y"]] == [report[name]["f1-score"] for name in "XY"]
    if len(tags) == 5:  # two spellings of one entity are the same tag here, not to seqeval
        spelled = [predicted_tags([(i, i + 1, "") for i in range(len(row))], _spans(row)) for row in true]
        assert figures["accuracy"] == oracle.accuracy_score(spelled, predicted)


def _spans(tags):
    return [(first, last + 1, type_) for type_, first, last in get_entities(tags)]


def test_figures_of_nothing():
    assert entity_figures([[]], [[]], ["X"]) == {"f1": 0, "precision": 0, "recall": 0, "accuracy": 0, "f1_X": 0}
    none = entity_figures([[Tag("O", "")]], [["O"]], [])
    assert none == {"f1": 0, "precision": 0, "recall": 0, "accuracy": 1}


def test_tags_taken_apart():
    assert read_tags(["O", "B-a-b", "L-X", "U-X", "I"]) == [("O", ""), ("B", "a-b"), ("E", "X"), ("S", "X"), ("I", "_")]
    assert read_tags(["O", "PER"]) == [("O", ""), ("I", "PER")]
    assert read_tags(["O", "PER"], "words") == [("S", "O"), ("S", "PER")]
    assert read_tags(["NOUN", "-LRB-", "B-X"]) == [("S", "NOUN"), ("S", "-LRB-"), ("S", "B-X")]
    assert read_tags(["O"]) == [("O", "")]


def test_tags_found():
    rows = [[(0, 1, "I-b"), (2, 3, "O")], [], [(0, 1, "B-a"), (2, 3, "I-a")]]
    assert tags_in(rows) == ["O", "B-a", "I-a", "B-b", "I-b"]
    assert tags_in(rows[2:]) == ["B-a", "I-a"]
    assert tags_in([[(0, 1, "VERB"), (2, 3, "DET"), (4, 5, "O")]]) == ["O", "DET", "VERB"]
    assert tags_in([]) == []


def test_rows_of_json_are_tuples():
    assert check_spans([[0, 2, "O"], [2, 4, "B-X"]], "t") == [(0, 2, "O"), (2, 4, "B-X")]
    with pytest.raises(DataError, match=r"t\.jsonl, line 4: word 1 is"):
        check_spans([[0, 2.5, "O"]], "t.jsonl, line 4")
