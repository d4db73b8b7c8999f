"""Every signature of every head's export, asked through both loaders.

B texts, R rows, T tokens of the longest row, C classes.
"""

import base64
import dataclasses
import functools
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny
import tokenizers
from fresh import ask_fresh
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

import keras_bert_zoo as kbz
from keras_bert_zoo.heads import HEADS as TABLE
from keras_bert_zoo.serving.fresh_process import plain
from keras_bert_zoo.serving.saved_model import export_bundle

LENGTH = 13
HEADS = {
    "classification": kbz.heads.Classification(["sad", "calm", "glad"], pair=True),
    "masked_lm": kbz.heads.MaskedLM(top_k=2),
    "multi_label": kbz.heads.MultiLabel(["x", "y", "z"]),
    "multiple_choice": kbz.heads.MultipleChoice(),
    "next_sentence": kbz.heads.NextSentence(),
    "pretraining": kbz.heads.Pretraining(top_k=2),
    "question_answering": kbz.heads.QuestionAnswering(doc_stride=3, max_query_length=4, n_best=3),
    "regression": kbz.heads.Regression(),
    "sentence_embedding": kbz.heads.SentenceEmbedding(),
    "token_classification": kbz.heads.TokenClassification(["O", "B-X", "I-X"], stride=4),
}
TEXTS = [
    "a good [MASK]",
    "The plot: caf\u00e9 \u5317\u4eac zz",
    "",
    "so very bad and dull and cold and poor and sad or fine",
]
PAIRS = ["it was", "", "the end is near", "good good good good good good good good good good good good"]
CHOICES = [["bad", "", "it was good"], ["\u5317\u4eac", "", ""], ["", "", ""], ["a", "so and so and so " * 5, "b"]]
COLUMNS = {
    "text": TEXTS,
    "text_pair": PAIRS,
    "question": PAIRS,
    "context": TEXTS,
    "choices": CHOICES,
}
METHODS = {
    "classification": "classify",
    "multi_label": "classify",
    "multiple_choice": "classify",
    "next_sentence": "classify",
    "regression": "regress",
}
SEVERAL = ("multiple_choice", "question_answering", "token_classification")  # rows an example


def columns(name):
    return {column: COLUMNS[column] for column in HEADS[name].columns}


def examples(name):
    """Return serialised tf.Example, made by hand."""
    made = []
    for row in zip(*columns(name).values(), strict=True):
        example = tf.train.Example()
        for column, cell in zip(columns(name), row, strict=True):
            values = [cell]
            if column == "choices":  # the last ones are left out where they are empty
                values = cell[: max((i + 1 for i, text in enumerate(cell) if text), default=0)]
            example.features.feature[column].bytes_list.value.extend(text.encode() for text in values)
        made.append(example.SerializeToString())
    return made


def method(name):
    return METHODS.get(name)


@pytest.fixture(scope="module")
def bundles():
    config = tiny.CONFIG.replace(num_hidden_layers=1)
    made = {name: tiny.bundle(head, config=config) for name, head in HEADS.items()}
    return {name: dataclasses.replace(bundle, max_length=LENGTH) for name, bundle in made.items()}


@pytest.fixture(scope="module")
def exports(bundles, tmp_path_factory):
    root = tmp_path_factory.mktemp("saved_models")
    return {name: export_bundle(bundle, root / name) for name, bundle in bundles.items()}


@pytest.fixture(scope="module")
def loaded(exports):
    return {name: tf.saved_model.load(str(folder)).signatures for name, folder in exports.items()}


@pytest.fixture(scope="module")
def graphs(exports):
    return {
        name: saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
        for name, folder in exports.items()
    }


def asked(name):
    """Return what each signature is asked; examples are bytes."""
    given = {"serving_default": columns(name), "tokens": columns(name), "examples": {"examples": examples(name)}}
    return {**given, **({method(name): {"inputs": examples(name)}} if method(name) else {})}


@pytest.fixture(scope="module")
def answers(exports, loaded):
    """Ask by the TF2 loader here, where signatures are traced once for all tests, by a TF1 session in a new process."""
    told, jobs = {}, {}
    for name, folder in exports.items():
        for signature, given in asked(name).items():
            found = loaded[name][signature](**{key: tf.constant(values) for key, values in given.items()})
            told[name, signature, "tf2"] = {key: plain(values.numpy().tolist()) for key, values in found.items()}
            if signature != "serving_default":  # each head's own tests ask that
                coded = {key: [in_base64(value) for value in values] for key, values in given.items()}
                jobs[name, signature, "tf1"] = [str(folder), "tf1", signature, coded]
    return {**told, **dict(zip(jobs, ask_fresh(list(jobs.values())), strict=True))}


def in_base64(value):
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


BOTH = pytest.mark.parametrize("loader", ["tf2", "tf1"])
ALL = pytest.mark.parametrize("name", list(HEADS))


def test_every_head_is_here():
    assert set(HEADS) == set(TABLE)


# ---- tokens, against the `tokenizers` library and Google's loops in plain Python


@functools.cache
def library(masked):
    """Return the library's tokenizer; only heads that mask take [MASK] in a text for the token."""
    numbers = {token: i for i, token in enumerate(tiny.VOCABULARY)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(numbers, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    if masked:
        made.add_special_tokens(["[MASK]"])
    return made


def cut_pair(first, second, room):
    """google-research/bert run_classifier.py, _truncate_seq_pair."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


def windows(tokens, room, stride):
    """google-research/bert run_squad.py, doc_spans."""
    start = 0
    while True:
        yield tokens[start : start + room]
        if start + room >= len(tokens):
            return
        start += min(room, stride)


def row(first, second=None):
    tokens = ["[CLS]", *first, "[SEP]"]
    types = [0] * len(tokens)
    if second is not None:
        tokens += [*second, "[SEP]"]
        types += [1] * (len(tokens) - len(types))
    return tokens, types


def rows_of(name):
    """Yield (example, tokens, types) of every row that the head reads."""
    given = columns(name)
    cut = library(name in ("masked_lm", "pretraining"))

    def pieces(text):
        return cut.encode(text, add_special_tokens=False).tokens

    for i in range(len(TEXTS)):
        if name == "question_answering":
            asked = pieces(given["question"][i])[:4]
            for window in windows(pieces(given["context"][i]), LENGTH - 3 - len(asked), 3):
                yield i, *row(asked, window)
        elif name == "token_classification":
            for window in windows(pieces(TEXTS[i]), LENGTH - 2, 4):
                yield i, *row(window)
        elif name == "multiple_choice":
            for choice in CHOICES[i]:
                both = cut_pair(pieces(TEXTS[i]), pieces(choice), LENGTH - 3)
                yield i, *(row(*both) if choice else ([], []))
        elif "text_pair" in given:
            yield i, *row(*cut_pair(pieces(TEXTS[i]), pieces(PAIRS[i]), LENGTH - 3))
        else:
            yield i, *row(pieces(TEXTS[i])[: LENGTH - 2])


@BOTH
@ALL
def test_tokens_are_the_rows_as_bert_sees_them(answers, name, loader):
    got = answers[name, "tokens", loader]
    owner, tokens, types = zip(*rows_of(name), strict=True)
    width = max(map(len, tokens))
    assert got["tokens"] == [[*row, *[""] * (width - len(row))] for row in tokens]
    assert got["type_ids"] == [[*row, *[0] * (width - len(row))] for row in types]
    assert got.get("owner") == (list(owner) if name in SEVERAL else None)


# ---- tf.Example


@BOTH
@ALL
def test_examples_are_answered_as_texts_are(answers, name, loader):
    want, got = answers[name, "serving_default", "tf2"], answers[name, "examples", loader]
    assert set(got) == set(want)
    for key, values in want.items():
        if np.array(values).dtype.kind == "f":
            np.testing.assert_allclose(got[key], values, atol=1e-5, err_msg=key)
        else:
            assert got[key] == values, key


def test_examples_lack_a_column(loaded):
    lacking = tf.train.Example()
    lacking.features.feature["text"].bytes_list.value.append(b"a film")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"text_pair .*is required but could not be found"):
        loaded["classification"]["examples"](examples=tf.constant([lacking.SerializeToString()]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="parse"):
        loaded["classification"]["classify"](inputs=tf.constant([b"no example"]))


@ALL
def test_no_examples_at_all(loaded, name):
    nothing = tf.constant([], tf.string)
    got = loaded[name]["examples"](examples=nothing)
    assert all(values.shape[0] == 0 for values in got.values())
    if method(name):
        assert all(values.shape[0] == 0 for values in loaded[name][method(name)](inputs=nothing).values())


# ---- Classify and Regress


@ALL
def test_methods_are_those_tensorflow_serving_checks(graphs, name):
    """As classifier.cc and regressor.cc check a signature before they run it."""
    kept = ("serving_default", "tokenized", "tokens", "examples")
    found = {key: value for key, value in graphs[name].signature_def.items() if not key.startswith("__")}
    more = {"words"} if name == "token_classification" else {method(name)} if method(name) else set()
    assert set(found) == {*kept, *more}
    for key, signature in found.items():
        if key not in ("classify", "regress"):
            assert signature.method_name == "tensorflow/serving/predict"
            continue
        assert signature.method_name == f"tensorflow/serving/{key}"
        assert [(n, x.dtype, len(x.tensor_shape.dim)) for n, x in signature.inputs.items()] == [
            ("inputs", tf.string.as_datatype_enum, 1)
        ]
        outputs = {n: (tf.as_dtype(x.dtype).name, len(x.tensor_shape.dim)) for n, x in signature.outputs.items()}
        if key == "classify":
            assert outputs == {"classes": ("string", 2), "scores": ("float32", 2)}
        else:
            assert outputs == {"outputs": ("float32", 1)}


@BOTH
@pytest.mark.parametrize("name", list(METHODS))
def test_classes_and_values(bundles, answers, name, loader):
    got = answers[name, METHODS[name], loader]
    given = columns(name)
    want = bundles[name].predict(given.pop("text"), **given)
    if name == "regression":
        assert list(got) == ["outputs"]
        assert got["outputs"] == pytest.approx([answer["value"] for answer in want], abs=1e-5)
        return
    assert set(got) == {"classes", "scores"}
    for i, answer in enumerate(want):
        if name == "next_sentence":
            classes, scores = ["is_next", "not_next"], [answer["probability"], 1 - answer["probability"]]
        elif name == "multiple_choice":
            classes, scores = CHOICES[i], [*answer["probabilities"], 0, 0, 0][:3]
        else:
            classes, scores = list(HEADS[name].labels), answer["probabilities"]
        assert got["classes"][i] == classes
        assert got["scores"][i] == pytest.approx(scores, abs=1e-5)


# ---- metadata


@ALL
def test_metadata_has_names_for_people(graphs, name):
    """What GetModelMetadata tells; the REST API answers in base64 what is called `..._bytes`."""
    told = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in graphs[name].signature_def.items():
        told.signature_def[key].CopyFrom(signature)
    told = get_model_metadata_pb2.SignatureDefMap.FromString(told.SerializeToString())
    keys = [key for key in told.signature_def if key != "__saved_model_init_op"]
    names = {key: [*told.signature_def[key].inputs, *told.signature_def[key].outputs] for key in keys}
    for found in names.values():
        for each in found:
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", each)  # no output_0, no args_0
            assert not each.endswith("_bytes")
    assert list(told.signature_def["examples"].inputs) == ["examples"]
    assert set(told.signature_def["serving_default"].inputs) == set(HEADS[name].columns)
    assert set(told.signature_def["tokens"].inputs) == set(HEADS[name].columns)
    assert set(told.signature_def["tokens"].outputs) == {
        "tokens",
        "type_ids",
        *(["owner"] if name in SEVERAL else []),
    }
    assert set(told.signature_def["examples"].outputs) == set(told.signature_def["serving_default"].outputs)


def test_the_fingerprint_is_that_of_the_file(exports, tmp_path):
    folder = shutil.copytree(exports["classification"], tmp_path / "copy")
    told = tf.saved_model.experimental.read_fingerprint(str(exports["classification"]))
    write_fingerprint(str(folder))
    assert tf.saved_model.experimental.read_fingerprint(str(folder)) == told
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    updater.replace_method_name("classify", "tensorflow/serving/predict", "serve")  # as it was saved first
    updater.save()
    write_fingerprint(str(folder))
    assert tf.saved_model.experimental.read_fingerprint(str(folder)).signature_def_hash != told.signature_def_hash


# ---- warm-up


def replayed(record, functions):
    """Ask what a warm-up record asks, as a server would; return its kind, spec, what is asked and the answer."""
    log = prediction_log_pb2.PredictionLog.FromString(record)
    kind = log.WhichOneof("log_type")
    request = getattr(log, kind).request
    function = functions[request.model_spec.signature_name]
    if kind == "predict_log":
        given = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
    else:
        given = {"inputs": [example.SerializeToString() for example in request.input.example_list.examples]}
    answer = function(**{key: tf.constant(values) for key, values in given.items()})
    return kind, request.model_spec, next(iter(given.values())), answer


@ALL
def test_every_kind_of_request_is_warmed_up(exports, loaded, graphs, name):
    records = tf.data.TFRecordDataset(str(exports[name] / "assets.extra" / "tf_serving_warmup_requests"))
    asked = [replayed(record.numpy(), loaded[name]) for record in records]
    assert len(asked) <= 1000
    assert {spec.name for _, spec, _, _ in asked} == {name}
    signatures = {key: value for key, value in graphs[name].signature_def.items() if not key.startswith("__")}
    kinds = {"classify": "classify_log", "regress": "regress_log"}
    assert sorted((spec.signature_name, kind) for kind, spec, _, _ in asked) == sorted(
        [(key, kinds.get(key, "predict_log")) for key in signatures] * 3
    )
    for key in signatures:
        held, batches = zip(*(each[2:] for each in asked if each[1].signature_name == key), strict=True)
        if key == "tokenized":
            assert all(len(ids) >= count for ids, count in zip(held, (1, 8, 1), strict=True))  # rows
            continue
        assert [len(texts) for texts in held] == [1, 8, 1]
        short, middle, long = (len(np.ravel(texts)[0]) for texts in held)
        assert short < middle < long
        assert long > 1500
        if key != "tokens":
            assert [{x.shape[0] for x in answer.values()} for answer in batches] == [{1}, {8}, {1}]
