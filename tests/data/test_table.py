"""Table: selecting, splitting, labels, and what it refuses."""

import subprocess
import sys

import pytest

from keras_bert_zoo.data import Table
from keras_bert_zoo.data.tables import Row
from keras_bert_zoo.errors import DataError

TEXTS = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs"]


def table(count: int = 7) -> Table:
    labels = [str(i % 3) for i in range(count)]
    return Table(TEXTS[:count], None, labels, "numbers.tsv", [2 * i + 2 for i in range(count)])


def test_rows_and_places():
    assert len(table()) == 7
    assert list(table(2)) == [Row("null", None, "0", 2), Row("eins", None, "1", 4)]
    assert table().place(6) == "numbers.tsv, line 14"
    paired = Table.from_lists(("a", "b"), pairs=["x", "y"])
    assert list(paired) == [Row("a", "x", None, 1), Row("b", "y", None, 2)]
    assert paired.place(1) == "the lists handed in, item 2"
    assert list(Table.from_lists([])) == []


def test_select_keeps_every_column_in_step():
    chosen = Table(["a", "b", "c"], ["x", "y", "z"], [1, 2, 3], "t.csv", [2, 5, 9]).select(i for i in (2, 0, 2))
    assert chosen == Table(["c", "a", "c"], ["z", "x", "z"], [3, 1, 3], "t.csv", [9, 2, 9])
    for outside in (7, -1):
        with pytest.raises(DataError, match=rf"numbers\.tsv: row {outside} asked for, the table has rows 0 to 6"):
            table().select([outside])


def test_where_takes_a_mask_or_a_function():
    assert table().where(lambda row: row.label == "2").texts == ["zwei", "fünf"]
    assert table(3).where([True, False, True]).lines == [2, 6]
    with pytest.raises(DataError, match=r"numbers\.tsv: the mask has 2 entries, the table 7 rows"):
        table().where([True, False])


def test_shuffles_and_splits_are_the_same_everywhere():
    # Recorded: the order is a promise, an experiment must be repeatable on another Python.
    assert table().shuffled(3).texts == ["sechs", "fünf", "null", "zwei", "eins", "drei", "vier"]
    assert table().shuffled(4).texts != table().shuffled(3).texts
    train, test = table().split([0.7, 0.3], seed=3)
    assert train.texts == ["sechs", "fünf", "null", "zwei", "eins"]
    assert test.texts == ["drei", "vier"]
    assert test.labels == ["0", "1"]
    assert [len(part) for part in Table.from_lists(TEXTS * 3).split((0.5, 0.25, 0.25), 0)] == [10, 6, 5]


@pytest.mark.parametrize("fractions", [[0.5, 0.6], [1.2, -0.2], [0.0, 1.0], []])
def test_fractions_that_are_none(fractions):
    with pytest.raises(DataError, match="fractions must be above 0 and add up to 1"):
        table().split(fractions, 0)


def test_a_split_with_an_empty_part():
    with pytest.raises(DataError, match=r"numbers\.tsv: 3 rows cannot be split into \[0\.9, 0\.1\]: a part is empty"):
        table(3).split([0.9, 0.1], 0)


def test_map_labels():
    assert table(3).map_labels(float).labels == [0.0, 1.0, 2.0]
    assert table(3).labels == ["0", "1", "2"]
    with pytest.raises(DataError, match=r"numbers\.tsv, line 4: label '1': KeyError: '1'"):
        table(3).map_labels({"0": "no"}.__getitem__)
    bad = Table.from_lists(["a"], labels=["good"])
    with pytest.raises(DataError, match="the lists handed in, item 1: label 'good': ValueError: could not convert"):
        bad.map_labels(float)
    with pytest.raises(DataError, match="the lists handed in was read without labels"):
        Table.from_lists(["a"]).map_labels(float)


def test_columns_of_different_lengths():
    with pytest.raises(DataError, match="the lists handed in: 2 texts but 1 labels"):
        Table.from_lists(["a", "b"], labels=["x"])
    with pytest.raises(DataError, match="the lists handed in: 2 texts but 3 pairs"):
        Table.from_lists(["a", "b"], pairs=["x", "y", "z"])


def test_one_string_instead_of_a_list():
    with pytest.raises(DataError, match="texts must be a list with one entry a row, got the single string 'a film'"):
        Table.from_lists("a film")
    with pytest.raises(DataError, match="labels must be a list"):
        Table.from_lists(["a", "b"], labels="xy")


def test_texts_that_are_none():
    with pytest.raises(DataError, match="item 2: the text must be a string, got float nan"):
        Table.from_lists(["a", float("nan")])
    with pytest.raises(DataError, match="item 1: the text pair must be a string, got NoneType None"):
        Table.from_lists(["a"], pairs=[None])
    with pytest.raises(DataError, match=r"item 1: the text has the lone surrogate '\\ud83d', which is no character"):
        Table.from_lists(["half a smile \ud83d"])


def test_batches_hands_everything_on(monkeypatch):
    def fake(*arguments, **options):
        return arguments, options

    module = type(sys)("keras_bert_zoo.data.batching")
    module.batches = fake
    monkeypatch.setitem(sys.modules, "keras_bert_zoo.data.batching", module)
    rows = table(2)
    assert rows.batches("head", "tokenizer", 4, shuffle=True) == ((rows, "head", "tokenizer", 4), {"shuffle": True})


def test_tables_and_the_zoo_import_neither_tensorflow_nor_a_hub_client():
    heavy = "{'tensorflow', 'keras', 'numpy', 'huggingface_hub', 'filelock'} & set(sys.modules)"
    imports = (
        "import sys; import keras_bert_zoo.zoo; from keras_bert_zoo.data import read_table, load_dataset, DATASETS"
    )
    script = f"sys_path = {sys.path!r}; import sys; sys.path[:0] = sys_path; {imports}; print({heavy})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_public_names():
    import keras_bert_zoo.data as data

    assert {"Table", "read_table", "load_dataset", "DATASETS", "Splits"} <= set(dir(data))
    with pytest.raises(AttributeError, match="has no attribute 'read_tables'"):
        data.read_tables  # noqa: B018
