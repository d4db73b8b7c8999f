"""The REST API, asked by a stranger; expected answers are arithmetic and TensorFlow Serving's documentation."""

import json

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

JSON = "application/json"


@pytest.fixture(scope="module")
def ask(server):
    session = requests.Session()

    def ask(path, body=None, method=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        answer = session.request(
            method or ("GET" if body is None else "POST"), server.rest + path, data=data, timeout=20
        )
        return answer.status_code, answer

    return ask


def said(ask, path, body=None, method=None, code=200):
    status, answer = ask(path, body, method)
    assert (status, answer.headers["content-type"]) == (code, JSON), answer.text
    return answer.json()


def test_predict_by_rows_and_columns(ask):
    assert said(ask, "/v1/models/half:predict", {"instances": [1.0, 2.0, 5.0]}) == {"predictions": [5.5, 6.0, 7.5]}
    assert said(ask, "/v1/models/half:predict", {"inputs": {"x": [1, 2]}}) == {"outputs": [5.5, 6.0]}
    assert said(ask, "/v1/models/words:predict", {"instances": ["ab c", {"text": "ä"}][:1]}) == {
        "predictions": [{"count": 2, "length": [2, 1], "share": [2.0, 1.0], "word": ["ab", "c"]}]
    }
    assert said(ask, "/v1/models/words:predict", {"inputs": ["ab c", "ä"]}) == {
        "outputs": {
            "count": [2, 1],
            "length": [[2, 1], [2, -1]],  # bytes
            "share": [[2.0, 1.0], [2.0, 0.0]],
            "word": [["ab", "c"], ["ä", ""]],
        }
    }


def test_versions_and_labels(ask):
    for path in ("/v1/models/half/versions/1:predict", "/v1/models/half/labels/stable:predict"):
        assert said(ask, path, {"instances": [1]}) == {"predictions": [2.5]}
    assert said(ask, "/v1/models/half/versions/3:predict", {"instances": [1]}) == {"predictions": [5.5]}
    assert said(ask, "/V1/Models/half/VERSIONS/3:Predict", {"instances": [1]}) == {"predictions": [5.5]}


def test_other_signatures_and_every_type(ask):
    inputs = {"whole": [[1, 2], [3, 4]], "yes": [True, False], "real": [[0.1, 1e-9]], "times": 3}
    body = {"signature_name": "types", "inputs": inputs}
    assert said(ask, "/v1/models/words:predict", body) == {
        "outputs": {
            "sum": 30,
            "no": [False, True],
            "real": [[0.2, 2e-9]],
            "raw_bytes": [{"b64": "/wA="}, {"b64": "YQ=="}],
        }
    }
    rows = said(ask, "/v1/models/words:predict", {"signature_name": "rows", "inputs": ["a b", "c"]})
    assert rows == {"outputs": {"word": ["a", "b", "c"], "owner": [0, 0, 1]}}


def test_classify_and_regress(ask):
    examples = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}, {"x": [-3.0]}]}
    assert said(ask, "/v1/models/half:classify", examples) == {
        "results": [[["high", 6.0], ["ü", 2.0]], [["low", 3.5], ["ü", -3.0]]]
    }
    alone = {"signature_name": "scores_alone", "examples": [{"x": 2.0}]}
    assert said(ask, "/v1/models/half:classify", alone) == {"results": [[["", 2.0]]]}
    shared = {"signature_name": "regress_x_to_y", "context": {"x": 0.2}, "examples": [{}, {"other": ["a", "b"]}]}
    assert said(ask, "/v1/models/half/versions/1:regress", shared) == {"results": [2.1, 2.1]}


def test_status(ask):
    fine = {"error_code": "OK", "error_message": ""}
    both = [{"version": number, "state": "AVAILABLE", "status": fine} for number in ("3", "1")]
    assert said(ask, "/v1/models/half") == {"model_version_status": both}
    assert said(ask, "/v1/models/half/versions/1") == {"model_version_status": both[1:]}
    assert said(ask, "/v1/models/half/labels/stable") == {"model_version_status": both[1:]}
    assert said(ask, "/v1/models/half/versions/2", code=404) == {"error": "Could not find version 2 of model half"}
    assert said(ask, "/v1/models/none", code=404) == {"error": "Could not find any versions of model none"}


def test_metadata(ask):
    told = said(ask, "/v1/models/half/labels/stable/metadata")
    assert told["model_spec"] == {"name": "half", "signature_name": "", "version": "1"}
    signature = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["inputs"]["x"]["tensor_shape"] == shape
    assert set(signature["outputs"]) == {"y"}
    assert said(ask, "/v1/models/words/metadata")["model_spec"]["version"] == "7"


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        ("/v1/models/none:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(none)"),
        ("/v1/models/half/versions/2:predict", {"instances": [1]}, 404, "request: Specific(half, 2)"),
        ("/v1/models/half/labels/new:predict", {"instances": [1]}, 400, "Unrecognized servable version label: new"),
        ("/v1/models/half/labels/new", None, 400, "Unrecognized servable version label: new"),
        ("/v1/models/half/versions/9999999999999999999:predict", {"instances": [1]}, 400, "Failed to convert version"),
        ("/v1/models/half:bend", {"instances": [1]}, 400, "Malformed request: POST /v1/models/half:bend"),
        ("/v1/models/half:predict", None, 400, "Malformed request: GET /v1/models/half:predict"),
        ("/v1/models", None, 400, "Malformed request: GET /v1/models"),
        ("/v1/models/..%2f..%2fetc%2fpasswd:predict", {"instances": [1]}, 404, "Latest(../../etc/passwd)"),
        ("/v1/models/half/../../etc/passwd", None, 400, "Malformed request"),
        (
            "/v1/models/half:predict",
            {"signature_name": "no", "instances": [1]},
            400,
            'name: "no" not found in signature',
        ),
        ("/v1/models/half:predict", b"{", 400, "JSON Parse error"),
        ("/v1/models/half:predict", b"\xff\xfe", 400, "the body is not UTF-8 at byte 0"),
        ("/v1/models/half:predict", {"instances": ["1"]}, 400, "JSON Value: 1 is not of expected type: DT_FLOAT"),
        ("/v1/models/half:predict", {"instances": [[1]]}, 400, "input 'x' has shape [1,1], expected: [?]"),
        ("/v1/models/half:predict", {"inputs": []}, 400, "Input is empty"),
        ("/v1/models/half:predict", {"instances": [1] * 21}, 400, "21 rows in one request, at most 20 are taken"),
        ("/v1/models/half:classify", {"examples": [{"x": 1.0}]}, 400, "Was: tensorflow/serving/predict"),
        ("/v1/models/half:classify", {"signature_name": "no", "examples": [{"x": 1.0}]}, 400, '"no" not found'),
        ("/v1/models/half:regress", {"examples": {"x": 1.0}}, 400, "Expecting 'examples' value to be an list/array"),
        ("/v1/models/half:regress", {"examples": []}, 400, "'examples' value is an empty array"),
        ("/v1/models/half:regress", {"examples": [3]}, 400, "Example must be JSON object but got JSON int"),
        ("/v1/models/half:regress", {"examples": [{"x": [1.0, "a"]}]}, 400, "x has element with unexpected JSON type"),
        ("/v1/models/half:regress", {"examples": [{"x": None}]}, 400, "x has element with unexpected JSON type"),
        ("/v1/models/half:regress", {"examples": [{"x": 2**63}]}, 400, "x has a number that is out of range"),
        ("/v1/models/half:regress", b'{"examples": [{"\\ud800": 1}]}', 400, "A feature's name is no Unicode"),
    ],
)
def test_what_is_refused(ask, path, body, code, message):
    assert message in said(ask, path, body, code=code)["error"]


def test_the_model_s_own_refusal_is_told(ask):
    examples = {"signature_name": "regress_x_to_y", "examples": [{"y": 2.0}]}
    assert (
        "Feature: x (data type: float) is required" in said(ask, "/v1/models/half:regress", examples, code=400)["error"]
    )
    many = {"signature_name": "loose", "instances": ["a b", "c"]}
    assert said(ask, "/v1/models/words:predict", many) == {"predictions": ["a", "b", "c"]}


def test_a_body_that_is_too_large(ask):
    for path in ("/v1/models/half:predict", "/v1/models/none:predict"):
        assert "more than 10000 bytes" in said(ask, path, b"x" * 10_001, code=413)["error"]
    try:  # so much that the server does not read it to the end
        code = ask("/v1/models/half:predict", b"x" * 1_000_000)[0]
    except requests.ConnectionError:  # it was still sending
        code = 413
    assert code == 413
    assert said(ask, "/v1/models/half:predict", {"instances": [1]}) == {"predictions": [5.5]}


def test_a_run_that_takes_too_long_ends(ask):
    busy = {"signature_name": "busy", "instances": [10**15]}
    assert "Timed out" in said(ask, "/v1/models/words:predict", busy, code=504)["error"]
    assert said(ask, "/v1/models/words:predict", {**busy, "instances": [3, 5]}) == {"predictions": [5, 5]}


def test_health_metrics_and_the_rest(ask):
    assert said(ask, "/healthz") == {"status": "ok"}
    assert "the API is below /v1/models/" in said(ask, "/etc/passwd", code=404)["error"]
    said(ask, "/v1/models/half:predict", {"instances": [1, 2, 3]})
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        status, answer = ask(path)
        assert status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        samples = {
            (
                sample.name,
                sample.labels.get("model_name"),
                sample.labels.get("status"),
                sample.labels.get("API"),
            ): sample
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        assert samples[":tensorflow:serving:request_count", "half", "OK", None].value >= 1
        assert samples[":tensorflow:serving:request_latency_count", "half", None, "Predict"].value >= 1
        assert samples[":tensorflow:serving:runtime_latency_sum", "half", None, None].value > 1  # microseconds
        assert samples["kbz_batch_rows_sum", "half", None, None].value >= 3
        assert {key[1] for key in samples} <= {"half", "words", "", None}  # nobody makes up names


def test_models_describe_themselves(small):
    from keras_bert_zoo.serving.server.loaded import Loaded
    from keras_bert_zoo.serving.server.models import Models, Status

    models = Models()
    models.add(Loaded("half", 1, small / "half" / "1", timeout=9))
    models.tell("half", 2, Status("END", "DATA_LOSS", "broken"))
    models.set_labels("half", {"stable": 1})
    (told,) = models.describe()
    assert told["name"] == "half"
    assert told["labels"] == {"stable": 1}
    assert told["versions"] == [
        {"version": 2, "state": "END", "message": "broken"},
        {"version": 1, "state": "AVAILABLE", "message": ""},
    ]
    assert told["signatures"]["serving_default"] == {
        "method": "tensorflow/serving/predict",
        "inputs": {"x": {"dtype": "DT_FLOAT", "shape": (None,)}},
        "outputs": {"y": {"dtype": "DT_FLOAT", "shape": (None,)}},
    }
    models.close()
