"""What exports carry along, and a data set's figures measured on what is served."""

import dataclasses
import json

import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.answers import KINDS
from keras_bert_zoo.errors import ConfigError, DataError, ExportError
from keras_bert_zoo.serving.answerer import Answerer
from keras_bert_zoo.serving.exported import Exported, version_folder
from keras_bert_zoo.serving.figures import FILE, Part, Training, read_figures, read_run
from keras_bert_zoo.serving.interface import Metadata, Signature, Tensor
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.serving.scoring import beside_training, evaluate_served, head_by_answers
from keras_bert_zoo.serving.sources import Source

TABLES = {"validation": tiny.mood_table(), "test": tiny.mood_table(2)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run's folder, as `finetune` leaves it, whose test and validation rows lie beside it in files."""
    root = tmp_path_factory.mktemp("work")
    for part, table in TABLES.items():
        table.write(root / f"{part}.tsv")
    files = {"train": str(root / "test.tsv"), **{part: str(root / f"{part}.tsv") for part in TABLES}}
    bundle = dataclasses.replace(tiny.bundle(kbz.heads.Classification(["bad", "good"])), max_length=9)
    kbz.save(bundle, root / "mood")
    figures = {part: bundle.evaluate(table) for part, table in TABLES.items()}
    worse = {f"val_{name}": value / 2 for name, value in figures["validation"].items()}
    history = {
        "epochs": [worse, {"loss": 1.5, **{f"val_{name}": value for name, value in figures["validation"].items()}}],
        "best_epoch": 2,
        "test": figures["test"],
        "rows": {"train": 24, "validation": 12, "test": 24},
        "digests": {part: table.digest() for part, table in TABLES.items()},
        "read": {**files, "text": "text", "label": "label", "text_pair": None, "kind": "table", "glue": None},
    }
    (root / "mood" / "history.json").write_text(json.dumps(history))
    return root / "mood"


@pytest.fixture(scope="module")
def export(run):
    return export_bundle(run, run.parent / "saved" / "mood")


@pytest.fixture(scope="module")
def served(export):
    return Exported(export.parent)


# What is carried


def test_a_run_tells_what_it_measured(run):
    told, bundle = read_run(run), kbz.load(run)
    assert [(part.name, part.rows) for part in told.parts] == [("test", 24), ("validation", 12)]
    for part in told.parts:
        assert part.figures == pytest.approx(bundle.evaluate(TABLES[part.name]), abs=1e-6)
    assert told.part_of(TABLES["validation"]).name == "validation"
    assert told.part_of(tiny.mood_table(3)) is None
    name, rows = told.table()
    assert (name, rows.texts, rows.labels) == ("test", TABLES["test"].texts, TABLES["test"].labels)


def test_an_export_carries_it_along(run, export):
    carried = read_figures(export)
    bundle = kbz.load(run)
    assert (carried.head, carried.config, carried.max_length) == ("classification", bundle.head.get_config(), 9)
    assert carried.training == read_run(run)
    source = Source(export)
    texts = ["A good FILM", "caf\u00e9 \u5317\u4eac"]
    assert source.tokenizer.tokenize(texts).to_list() == bundle.tokenizer.tokenize(texts).to_list()
    assert Source(export.parent).training == source.training  # a model's folder means its newest version
    alone = export_bundle(bundle, export.parent, version=7)
    assert read_figures(alone).training is None  # a bundle alone knows of no run
    assert read_figures(export_bundle(bundle, export.parent, version=8, run=run)).training == carried.training
    assert version_folder(export.parent) == export.parent / "8"
    assert version_folder(run) is None
    assert version_folder(run / "nowhere") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not what kbz export writes"),
        ("[]", "not what kbz export writes"),
        ('{"format": 2}', r"its format is 2, this version reads 1\. Update"),
        ('{"format": 1}', "not what kbz export writes .KeyError"),
        ('{"format": 1, "head": 1, "training": {"parts": [{"x": 1}], "read": null}}', "not what kbz export writes"),
    ],
)
def test_a_damaged_note_is_told(tmp_path, content, words):
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ExportError, match=words):
        read_figures(tmp_path)


def test_what_tells_nothing(tmp_path, run):
    with pytest.raises(ExportError, match=r"there is no assets\.extra/zoo\.json"):
        read_figures(tmp_path)
    assert read_run(tmp_path) is None
    (tmp_path / "history.json").write_text('{"rows": []}')  # of pretraining
    assert read_run(tmp_path) is None
    (tmp_path / "history.json").write_text("{")
    with pytest.raises(ConfigError, match=r"history\.json: broken JSON"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match="noted no data that it was measured on"):
        Training((Part("test", {}, 1, None),)).table()
    lost = Source(run)
    lost.training = Training(lost.training.parts, {**lost.training.read, "test": str(tmp_path / "gone.tsv")})
    with pytest.raises(DataError, match=r"gone\.tsv.*It is what training was measured on; name another table"):
        lost.table()
    lost.training = Training(lost.training.parts, {"train": "a.tsv"})
    with pytest.raises(DataError, match="The run had no test data of its own"):
        lost.table()
    lost.training = None
    with pytest.raises(ConfigError, match="mood tells of no data"):
        lost.table()


# What is measured


def test_an_export_scores_as_its_run_did(run, served):
    told = Source(served.folder)
    part, rows = told.table()
    figures = told.evaluate(rows, served, batch_size=5)
    want = json.loads((run / "history.json").read_text())["test"]
    assert part == "test"
    assert figures == pytest.approx(want, abs=1e-5)
    beside = beside_training(figures, told.part_of(rows))
    assert list(beside) == list(want)
    assert beside["loss"].training == want["loss"]
    assert abs(beside["loss"].difference) < 1e-5
    told.hold(figures, rows, 0.01)
    with pytest.raises(
        ExportError, match=r"accuracy is 0\.2000, training measured .* on the same rows: lower by more than 0\.1"
    ):
        told.hold({**figures, "accuracy": 0.2}, rows, 0.1)
    with pytest.raises(ExportError, match="accuracy is nan"):
        told.hold({**figures, "accuracy": float("nan")}, rows, 0.1)
    with pytest.raises(ConfigError, match="training measured no accuracy on these rows"):
        told.hold(figures, tiny.mood_table(3), 0.1)
    assert Source(run).evaluate(rows) == pytest.approx(want, abs=1e-5)


def test_a_head_is_known_by_its_answers(served):
    guessed = Source(None)
    rows = TABLES["validation"]
    assert guessed.reader(served) == "table"
    assert guessed.evaluate(rows, served) == pytest.approx(Source(served.folder).evaluate(rows, served))
    assert guessed.head.labels == ("bad", "good")
    assert guessed.head.pair is False


def test_an_export_answers_as_python_does(run, served):
    texts = [*tiny.GOOD, "", b"\xff\xfe good \xc3", "The plot: caf\u00e9 \U0001f3ac"]
    got, want = served.predict(texts, batch_size=3), kbz.load(run).predict(texts)
    for one, other in zip(got, want, strict=True):
        assert list(one) == list(other)
        assert one["probabilities"] == pytest.approx(other.pop("probabilities"), abs=1e-6)
        assert one["score"] == pytest.approx(other.pop("score"), abs=1e-6)
        assert {name: one[name] for name in other} == other
    assert served.metadata.version == 8
    assert str(served) == str(served.folder)
    assert served.signature("tokenized").inputs["input_mask"] == Tensor("int32", (None, None))
    with pytest.raises(ExportError, match="the signature 'tokenized' failed"):
        served.run({name: [[1000]] for name in served.signature("tokenized").inputs}, signature="tokenized")


def test_what_is_no_export(tmp_path):
    with pytest.raises(ExportError, match=r"no saved_model\.pb here"):
        Exported(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\x00broken")
    with pytest.raises(ExportError, match="cannot be loaded"):
        Exported(tmp_path)


class Scripted(Answerer):
    """A model whose answers are told row by row; of the heads that the test is about, none is exported."""

    def __init__(self, outputs, inputs=("text",), signature="serving_default", **logits):
        self.asked, self._outputs = [], {name: np.array(rows) for name, rows in outputs.items()}
        dtypes = {"U": "string", "b": "bool", "f": "float32", "i": "int32"}
        given = {name: Tensor("string", (None,)) for name in inputs}
        got = {name: Tensor(dtypes[rows.dtype.kind], (None,) * rows.ndim) for name, rows in self._outputs.items()}
        self._signatures = {name: Signature(name, "predict", given, got) for name in ("serving_default", signature)}
        self._logits = logits.get("logits")
        if self._logits is not None:
            names = ("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions")
            ids = {name: Tensor("int32", (None, None)) for name in names}
            some = {"logits": Tensor("float32", (None, None, None))}
            self._signatures["tokenized"] = Signature("tokenized", "predict", ids, some)

    def __str__(self):
        return "there"

    @property
    def metadata(self):
        return Metadata(1, self._signatures)

    def ask(self, signature, inputs):
        if signature.name == "tokenized":
            return {"logits": self._logits(dict(inputs))}
        self.asked.append((signature.name, inputs))
        rows = [int(text) for text in inputs[signature.columns[0]]]  # a text is the number of its answer
        return {name: values[rows] for name, values in self._outputs.items()}


def test_pairs_of_a_head_that_answers_single_texts():
    vectors = np.random.default_rng(7).normal(size=(10, 3)).astype("float32")
    table = kbz.data.Table.from_lists(
        [str(i) for i in range(5)], [0.1, 0.9, 0.5, 0.2, 0.7], [str(i) for i in range(5, 10)]
    )
    served = Scripted({"embedding": vectors})
    head = head_by_answers(served, table, {"highest": 1.0})
    assert (head.name, head.objective) == ("sentence_embedding", "similarity")
    figures = evaluate_served(served, head, table, batch_size=4)
    want = head.report(np.array(table.labels), np.stack([vectors[:5], vectors[5:]], axis=1))
    assert figures == pytest.approx(want, abs=1e-6)
    assert set(figures) == {"loss", "pearson", "spearman"}
    plain = kbz.data.Table.from_lists(table.texts, None, table.pairs)
    assert head_by_answers(served, plain, {}).objective == "ranking"


def test_heads_that_are_scored_by_answers(tmp_path):
    """Two tagged texts: of three entities one is found, and one that is none."""
    table = kbz.data.from_words([["0", "y"], ["1", "x"]], [["B-A", "O"], ["B-A", "B-B"]])
    empty = {"entity": ["", ""], "label": ["", ""], "start": [-1, -1], "end": [-1, -1], "score": [0.0, 0.0]}
    found = {"entity": ["1", "x"], "label": ["A", "A"], "start": [0, 2], "end": [1, 3], "score": [0.9, 0.5]}

    class Tagged(Scripted):
        def ask(self, signature, inputs):
            self.asked.append((signature.name, inputs))
            rows = [int(text[0]) for text in inputs["text"]]
            return {name: values[rows] for name, values in self._outputs.items()}

    served = Tagged({name: [empty[name], found[name]] for name in found}, signature="words")
    head = head_by_answers(served, table, {})
    assert head.labels == ("O", "B-A", "B-B")
    figures = evaluate_served(served, head, table)
    assert {name for name, _ in served.asked} == {"words"}
    assert figures["precision"] == pytest.approx(1 / 2)
    assert figures["recall"] == pytest.approx(1 / 3)
    with pytest.raises(ConfigError, match="head 'token_classification' has no files of predictions"):
        evaluate_served(served, head, table, predictions=tmp_path / "out")


def test_heads_that_are_measured_on_hidden_tokens():
    bundle = tiny.bundle(kbz.heads.MaskedLM())
    table = kbz.data.Table.from_lists(tiny.GOOD + tiny.BAD)
    outputs = {"tokens": [[["a"]]], "scores": [[[0.5]]], "filled": ["a"]}
    served = Scripted(outputs, logits=lambda inputs: np.asarray(bundle.model(inputs)))
    figures = evaluate_served(
        served, bundle.head, table, batch_size=5, tokenizer=bundle.tokenizer, max_length=bundle.max_length
    )
    assert figures == pytest.approx(bundle.evaluate(table, batch_size=5), rel=1e-5)
    assert figures["perplexity"] > 1
    with pytest.raises(ConfigError, match="'masked_lm' is measured on tokens that it hides"):
        evaluate_served(served, bundle.head, table)


def test_pairs_and_settings_of_a_head():
    labels = {"labels": [["no", "yes"]] * 2, "probabilities": [[0.75, 0.25], [0.125, 0.875]]}
    served = Scripted({**labels, "label": ["no", "yes"], "score": [0.75, 0.875]}, inputs=("text", "text_pair"))
    table = kbz.data.Table.from_lists(["0", "1"], ["yes", "yes"], ["a", "b"])
    head = head_by_answers(served, table, {"dropout": 0.3})
    assert (head.labels, head.pair, head.dropout) == (("no", "yes"), True, 0.3)
    figures = evaluate_served(served, head, table)
    assert figures["accuracy"] == 0.5
    assert figures["loss"] == pytest.approx(-np.log([0.25, 0.875]).mean(), abs=1e-6)
    with pytest.raises(ConfigError, match="there has the labels no, yes, not yes, no in this order"):
        evaluate_served(served, kbz.heads.Classification(["yes", "no"], pair=True), table)
    with pytest.raises(ConfigError, match="which are no answers of the head 'regression'"):
        evaluate_served(served, kbz.heads.Regression(), table)
    with pytest.raises(DataError, match="no labels to compare with"):
        evaluate_served(served, head, kbz.data.Table.from_lists(["0"], None, ["a"]))
    with pytest.raises(ConfigError, match=r"the model reads text and text_pair\. Name the second column"):
        head_by_answers(served, kbz.data.Table.from_lists(["0"], ["yes"]), {})


def test_answers_of_nobody_knows_which_head(tmp_path):
    stranger = Scripted({"mood": [0.5]})
    table = kbz.data.Table.from_lists(["0"], ["1"])
    with pytest.raises(ConfigError, match="there gives mood, which are no head's answers"):
        head_by_answers(stranger, table, {})
    assert Source(None).reader(stranger) == "table"
    kbz.save(tiny.bundle(), tmp_path / "encoder")
    with pytest.raises(ConfigError, match="is an encoder without a head: it does not tell how to score"):
        Source(tmp_path / "encoder").evaluate(table, Scripted({"value": [0.5]}))


def test_an_export_is_measured_by_what_answers(export):
    with pytest.raises(ConfigError, match="is an export: hand in what answers"):
        Source(export).evaluate(TABLES["test"])
    assert KINDS[Source(export).head.name] is KINDS["classification"]
