"""JSON of TensorFlow Serving's REST API, read and written; expected texts are those of its documentation."""

import json

import numpy as np
import pytest

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.serving.json_values import DTYPES, Spec, short_decimals
from keras_bert_zoo.serving.rest_json import parse, read_answer, read_request, write_answer, write_request

TEXT = {"text": Spec("DT_STRING", (None,))}
# The example of the documentation's section on rows.
NAMED = {
    "tag": Spec("DT_STRING", (None,)),
    "signal": Spec("DT_INT32", (None, 5)),
    "sensor": Spec("DT_INT64", (None, 2, 2)),
}
ROWS = [
    {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
    {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
]
COLUMNS = {
    "tag": ["foo", "bar"],
    "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
    "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
}


def read(body, specs):
    return read_request(body if isinstance(body, bytes) else json.dumps(body).encode(), lambda name: specs)


def one(body, dtype):
    return read(body, {"x": Spec(dtype, (None,))}).tensors["x"]


def test_the_documentation_s_rows_and_columns_are_the_same_request():
    by_row, by_column = read({"instances": ROWS}, NAMED), read({"inputs": COLUMNS}, NAMED)
    assert (by_row.form, by_column.form) == ("row", "columnar")
    for found in (by_row.tensors, by_column.tensors):
        assert {name: array.tolist() for name, array in found.items()} == {**COLUMNS, "tag": [b"foo", b"bar"]}
        assert [found[name].dtype for name in ("tag", "signal", "sensor")] == [object, "int32", "int64"]


def test_the_only_input_needs_no_name():
    for body in ({"instances": ["ä", "b"]}, {"instances": [{"text": "ä"}, {"text": "b"}]}, {"inputs": ["ä", "b"]}):
        assert read(body, TEXT).tensors["text"].tolist() == ["ä".encode(), b"b"]
    assert read({"inputs": {"text": ["ä"]}}, TEXT).tensors["text"].shape == (1,)
    assert one({"instances": [[[1, 2]], [[3, 4]]]}, "DT_FLOAT").shape == (2, 1, 2)  # the documentation's second example
    assert one({"inputs": 3}, "DT_INT32").shape == ()


def test_binary_values():
    image = {"b64": "aW1hZ2UgYnl0ZXM="}  # the documentation's
    assert read({"instances": [image, {"b64": "/wA="}]}, TEXT).tensors["text"].tolist() == [b"image bytes", b"\xff\x00"]
    assert read({"instances": [{"text": image}]}, TEXT).tensors["text"].tolist() == [b"image bytes"]
    assert read({"inputs": image}, TEXT).tensors["text"].tolist() == b"image bytes"
    answer = write_answer({"raw_bytes": np.array([b"\xff\x00"], object)}, "row")
    assert json.loads(answer) == {"predictions": [{"b64": "/wA="}]}


def test_the_signature_and_its_default():
    asked = []
    for body in ({"instances": [1]}, {"signature_name": "tokens", "instances": [1]}):
        read_request(json.dumps(body).encode(), lambda name: asked.append(name) or {"x": Spec("DT_INT8", (None,))})
    assert asked == ["serving_default", "tokens"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_goes_there_and_back(dtype):
    values = {"DT_STRING": [b"a", "ü€😀".encode()], "DT_BOOL": [True, False]}.get(dtype, [1, 100])
    array = np.array(values, DTYPES[dtype])
    specs = {"x": Spec(dtype, (None,)), "y": Spec(dtype, (None,))}
    for form in ("row", "columnar"):
        request = read_request(write_request({"x": array, "y": array[::-1]}, form=form), lambda name: specs)
        answer = read_answer(write_answer(request.tensors, form), specs)
        for found in (request.tensors, answer):
            assert found["x"].dtype == array.dtype
            assert (found["x"].tolist(), found["y"].tolist()) == (array.tolist(), array[::-1].tolist())


def test_numbers_that_are_none_of_json():
    found = one(b'{"inputs": [NaN, Infinity, -Infinity, 1]}', "DT_FLOAT")
    assert np.array_equal(found, [np.nan, np.inf, -np.inf, 1], equal_nan=True)
    assert write_answer({"x": found}, "columnar") == b'{"outputs": [NaN, Infinity, -Infinity, 1.0]}'


def test_answers_are_written_as_documented():
    scores, label = np.array([[0.25, 0.5]], "float32"), np.array([b"a"], object)
    assert json.loads(write_answer({"y": scores}, "row")) == {"predictions": [[0.25, 0.5]]}
    assert json.loads(write_answer({"y": scores}, "columnar")) == {"outputs": [[0.25, 0.5]]}
    both = {"label": label, "y": scores}
    assert json.loads(write_answer(both, "row")) == {"predictions": [{"label": "a", "y": [0.25, 0.5]}]}
    assert json.loads(write_answer(both, "columnar")) == {"outputs": {"label": ["a"], "y": [[0.25, 0.5]]}}
    empty = np.zeros((2, 0), object)
    assert json.loads(write_answer({"entity": empty}, "row")) == {"predictions": [[], []]}
    assert json.loads(write_answer({"entity": np.zeros((2, 3, 0), object)}, "row")) == {"predictions": [[[]] * 3] * 2}
    broken = np.array([b"\xff!"], object)  # an output that claims to be text
    assert json.loads(write_answer({"text": broken}, "row")) == {"predictions": ["\N{REPLACEMENT CHARACTER}!"]}


def test_rows_of_different_numbers_cannot_be_an_answer_by_rows():
    outputs = {"tokens": np.zeros((3, 2)), "word": np.zeros(1)}
    with pytest.raises(DataError, match=r"numbers of rows differ \(tokens: 3, word: 1\): ask by columns"):
        write_answer(outputs, "row")
    assert json.loads(write_answer(outputs, "columnar"))["outputs"]["word"] == [0.0]
    with pytest.raises(DataError, match="must all have the same number of rows"):
        write_request({"a": [1], "b": [1, 2]}, form="row")


def test_decimals_are_short_and_exact():
    random = np.random.default_rng(5)
    values = np.concatenate([random.normal(size=900), 10.0 ** random.uniform(-44, 38, 900), [0, 1, 0.2, 9e6, 3e-5]])
    values = values.astype("float32")
    short = short_decimals(values)
    assert np.array_equal(short.astype("float32"), values)
    by_few = np.concatenate([short_decimals(values[i : i + 32]) for i in range(0, len(values), 32)])
    assert np.array_equal(by_few.astype("float32"), values)
    written = [float(f"{value:.6g}") for value in values.tolist()]  # as TensorFlow Serving chooses
    expected = [
        six if np.float32(six) == value else float(f"{value:.9g}") for six, value in zip(written, values, strict=True)
    ]
    normal = (np.abs(values) > 1e-13) & (np.abs(values) < 1e30)  # where the power of ten is an exact number
    assert np.array_equal(short[normal], np.array(expected)[normal])
    assert np.array_equal(by_few, expected)
    odd = np.array([np.nan, np.inf, -np.inf, np.finfo("float32").max, -0.0], "float32")
    assert np.array_equal(short_decimals(odd).astype("float32"), odd, equal_nan=True)
    assert np.array_equal(short_decimals(np.tile(odd, 9)).astype("float32"), np.tile(odd, 9), equal_nan=True)
    assert json.dumps(short_decimals(np.array([0.2, 0.1, 1e-5, 1], "float32")).tolist()) == "[0.2, 0.1, 1e-05, 1.0]"
    assert short_decimals(np.zeros((0, 3), "float32")).shape == (0, 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The document is empty"),
        (b"{", "JSON Parse error: Expecting property name enclosed in double quotes at offset: 1"),
        (b'{"instances": ["\xff"]}', "the body is not UTF-8 at byte 16"),
        (b"[1]", r"JSON Value: \[1\] Is not object"),
        (b'{"instances": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "JSON Parse error: Exceeds the limit"),
        ({"signature_name": 3, "instances": ["a"]}, "'signature_name' key must be a string value"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": ["a"], "inputs": ["a"]}, "only one of 'inputs' or 'instances' keys"),
        ({"instances": "a"}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": ["a", {"text": "b"}]}, "Expecting value/list but got object at item 1"),
        ({"instances": [{"text": "b"}, "a"]}, "Expecting object but got value/list at item 1"),
        ({"instances": [{"text": "b"}, {"txt": "a"}]}, "element: 1 .* keys must be equal to: text; they are: txt"),
        ({"instances": ["a", 1]}, "JSON Value: 1 is not of expected type: DT_STRING"),
        ({"instances": ["a", None]}, "JSON Value: null is not of expected type: DT_STRING"),
        ({"instances": [["a"], "b"]}, "expecting lists of 1 at level 2, but got: b"),
        ({"instances": ["b", ["a"]]}, "encountered list at unexpected level 2"),
        ({"instances": [{"b64": "a"}]}, "Unable to base64 decode"),
        ({"instances": [["x", {"b64": "YQ==", "more": 1}]]}, "not formatted correctly for base64 data"),
        (b'{"instances": ["\\ud83d"]}', "a string is no Unicode at character 0"),
        ({"inputs": {"txt": ["a"]}}, "Missing named input: text in 'inputs' object"),
        ({"inputs": {"text": ["a"], "more": 1}}, "'inputs' object has 'more', which is none of: text"),
    ],
)
def test_bad_requests(body, message):
    with pytest.raises(DataError, match=message):
        read(body, TEXT)


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ("1", "DT_INT32", "JSON Value: 1 is not of expected type: DT_INT32"),
        (1.0, "DT_INT32", "JSON Value: 1.0 is not of expected type: DT_INT32"),
        (True, "DT_INT32", "JSON Value: true is not of expected type: DT_INT32"),
        (True, "DT_FLOAT", "JSON Value: true is not of expected type: DT_FLOAT"),
        (1, "DT_BOOL", "JSON Value: 1 is not of expected type: DT_BOOL"),
        (2**31, "DT_INT32", "Cannot convert JSON value: 2147483648 to int32 without loss of precision"),
        (-1, "DT_UINT64", "Cannot convert JSON value: -1 to uint64"),
        (1435774380, "DT_FLOAT", "Cannot convert JSON value: 1435774380 to float32 without loss of precision"),
        ("1", "DT_COMPLEX64", "type: DT_COMPLEX64 is not supported"),
    ],
)
def test_values_of_another_type(value, dtype, message):
    with pytest.raises(DataError, match=message):
        one({"instances": [value]}, dtype)


def test_several_inputs_need_names():
    with pytest.raises(DataError, match=r"instances is a plain list, but expecting list of objects .*: tag, signal"):
        read({"instances": ["a"]}, NAMED)
    with pytest.raises(DataError, match="inputs is a plain value/list, but expecting an object"):
        read({"inputs": ["a"]}, NAMED)


def test_what_is_no_answer():
    with pytest.raises(DataError, match="An answer has 'predictions' or 'outputs', this one error"):
        read_answer(b'{"error": "x"}', TEXT)
    assert parse(b'{"a": 1}') == {"a": 1}
