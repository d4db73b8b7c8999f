"""The gRPC services, asked with TensorFlow Serving's own stubs."""

import grpc
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def stubs(server):
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://")) as channel:
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


def predict(name="half", signature="", version=None, label=None, **inputs):
    request = predict_pb2.PredictRequest()
    name_model(request.model_spec, name, signature, version, label)
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(
            value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        )
    return request


def name_model(spec, name, signature="", version=None, label=None):
    spec.name, spec.signature_name = name, signature
    if version:
        spec.version.value = version
    if label:
        spec.version_label = label


def examples(given, *values):
    for value in values:
        given.example_list.examples.add().features.feature["x"].float_list.value.append(value)


def refused(call, request, code):
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=20)
    assert error.value.code() == grpc.StatusCode[code]
    return error.value.details()


def test_predict(stubs):
    answer = stubs[0].Predict(predict(x=[1.0, 2.0]), timeout=20)
    y = answer.outputs["y"]
    assert list(y.float_val) == [5.5, 6.0]  # in the field that TensorFlow Serving fills
    assert (y.dtype, [axis.size for axis in y.tensor_shape.dim]) == (types_pb2.DT_FLOAT, [2])
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("half", 3)
    assert answer.model_spec.signature_name == "serving_default"
    for chosen in ({"version": 1}, {"label": "stable"}):
        assert list(stubs[0].Predict(predict(x=[1.0], **chosen), timeout=20).outputs["y"].float_val) == [2.5]


def test_every_type_and_the_output_filter(stubs):
    inputs = {
        "whole": tf.constant([[1, 2], [3, 4]]),
        "yes": [True, False],
        "real": tf.constant([[0.1, 1e-9]], tf.float64),
        "times": tf.constant(3, tf.int64),
    }
    request = predict("words", "types", **inputs)
    answer = stubs[0].Predict(request, timeout=20).outputs
    found = {name: tf.make_ndarray(value).tolist() for name, value in answer.items()}
    assert found == {"sum": 30, "no": [False, True], "real": [[0.2, 2e-9]], "raw_bytes": [b"\xff\x00", b"a"]}
    request.output_filter.extend(["no", "sum"])
    assert set(stubs[0].Predict(request, timeout=20).outputs) == {"no", "sum"}
    request.output_filter.append("none")
    assert "output tensor alias not found in signature: none" in refused(stubs[0].Predict, request, "INVALID_ARGUMENT")
    request.output_filter[-1] = "no"
    assert refused(stubs[0].Predict, request, "INVALID_ARGUMENT") == "duplicate output tensor alias"
    broken = b"caf\xe9 ol\xe9"  # bytes are the model's own business
    word = stubs[0].Predict(predict("words", text=[broken]), timeout=20).outputs["word"]
    assert list(word.string_val) == [b"caf\xe9", b"ol\xe9"]


def test_classify_and_regress(stubs):
    request = classification_pb2.ClassificationRequest()
    name_model(request.model_spec, "half", "classify_x_to_y")
    examples(request.input, 2.0, -3.0)
    answer = stubs[0].Classify(request, timeout=20)
    found = [[(each.label, each.score) for each in row.classes] for row in answer.result.classifications]
    assert found == [[("high", 6.0), ("ü", 2.0)], [("low", 3.5), ("ü", -3.0)]]
    assert (answer.model_spec.version.value, answer.model_spec.signature_name) == (3, "classify_x_to_y")
    request = regression_pb2.RegressionRequest()
    name_model(request.model_spec, "half", "regress_x_to_y", version=1)
    listed = request.input.example_list_with_context
    listed.context.features.feature["x"].float_list.value.append(0.5)
    listed.examples.add()
    assert [each.value for each in stubs[0].Regress(request, timeout=20).result.regressions] == [2.25]


def test_multi_inference(stubs):
    request = inference_pb2.MultiInferenceRequest()
    for name, method in (("regress_x_to_y", REGRESS), ("classify_x_to_y", CLASSIFY)):
        name_model(request.tasks.add(method_name=method).model_spec, "half", name)
    examples(request.input, 2.0)
    first, second = stubs[0].MultiInference(request, timeout=20).results
    assert first.regression_result.regressions[0].value == 6.0
    assert second.classification_result.classifications[0].classes[0].score == 6.0
    assert second.model_spec.signature_name == "classify_x_to_y"
    request.tasks[1].method_name = "tensorflow/serving/predict"
    assert "Unsupported signature method_name" in refused(stubs[0].MultiInference, request, "UNIMPLEMENTED")
    request.tasks[1].CopyFrom(request.tasks[0])
    assert "Duplicate evaluation" in refused(stubs[0].MultiInference, request, "INVALID_ARGUMENT")
    request.tasks[1].model_spec.name = "words"
    assert "must access the same model name" in refused(stubs[0].MultiInference, request, "INVALID_ARGUMENT")
    request.tasks[1].model_spec.name = ""
    assert "empty model name" in refused(stubs[0].MultiInference, request, "INVALID_ARGUMENT")


def test_metadata_and_status(stubs):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    name_model(request.model_spec, "words")
    answer = stubs[0].GetModelMetadata(request, timeout=20)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def["rows"].outputs) == {"word", "owner"}
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("words", 7)
    request.metadata_field[0] = "weights"
    assert "weights is not supported" in refused(stubs[0].GetModelMetadata, request, "INVALID_ARGUMENT")
    del request.metadata_field[:]
    assert "at least one metadata_field" in refused(stubs[0].GetModelMetadata, request, "INVALID_ARGUMENT")
    request = get_model_status_pb2.GetModelStatusRequest()
    name_model(request.model_spec, "half")
    states = stubs[1].GetModelStatus(request, timeout=20).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(each.version, each.state, each.status.error_code) for each in states] == [
        (3, available, 0),
        (1, available, 0),
    ]
    request.model_spec.version.value = 2
    assert refused(stubs[1].GetModelStatus, request, "NOT_FOUND") == "Could not find version 2 of model half"


def test_what_is_refused(stubs):
    ask = stubs[0].Predict
    assert refused(ask, predict("none", x=[1.0]), "NOT_FOUND") == "Servable not found for request: Latest(none)"
    assert "Specific(half, 2)" in refused(ask, predict(version=2, x=[1.0]), "NOT_FOUND")
    assert "label: new" in refused(ask, predict(label="new", x=[1.0]), "INVALID_ARGUMENT")
    assert '"no" not found' in refused(ask, predict(signature="no", x=[1.0]), "FAILED_PRECONDITION")
    assert "Sent extra: {z}. Missing but required: {x}" in refused(ask, predict(z=[1.0]), "INVALID_ARGUMENT")
    assert "input 'x' is int32, expected: DT_FLOAT" in refused(ask, predict(x=[1]), "INVALID_ARGUMENT")
    assert "has shape [1,1], expected: [?]" in refused(ask, predict(x=[[1.0]]), "INVALID_ARGUMENT")
    assert "inputs have different numbers of rows" in refused(
        ask, predict("words", "pair", text=["a"], other=["a", "b"]), "INVALID_ARGUMENT"
    )
    empty = regression_pb2.RegressionRequest()
    name_model(empty.model_spec, "half", "regress_x_to_y")
    assert refused(stubs[0].Regress, empty, "INVALID_ARGUMENT") == "Input is empty."
    large = predict("words", text=["x" * 20_000])
    refused(ask, large, "RESOURCE_EXHAUSTED")
    reload = model_management_pb2.ReloadConfigRequest()
    assert "those it was started with" in refused(stubs[1].HandleReloadConfigRequest, reload, "UNIMPLEMENTED")


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        ({"dtype": types_pb2.DT_FLOAT, "float_val": [1], "shape": [10**10]}, "has no shape that can be served"),
        ({"dtype": types_pb2.DT_FLOAT, "float_val": [1], "shape": [-1]}, "has no shape that can be served"),
        ({"dtype": types_pb2.DT_COMPLEX64, "shape": [0]}, "is of a type that is not served: DT_COMPLEX64"),
        ({"dtype": 77, "shape": [1]}, "is of a type that is not served: 77"),
        ({"dtype": types_pb2.DT_FLOAT, "tensor_content": b"abc", "shape": [1]}, "is no tensor"),
        ({"dtype": types_pb2.DT_STRING, "string_val": [b"a"], "shape": [0, 0, 3]}, "shape"),
        ({"dtype": types_pb2.DT_STRING, "shape": [3]}, ""),
    ],
)
def test_tensors_that_are_none(stubs, proto, message):
    shape = proto.pop("shape")
    made = tensor_pb2.TensorProto(**proto)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    assert message in refused(stubs[0].Predict, predict(x=made), "INVALID_ARGUMENT")


def test_a_run_that_takes_too_long_ends(stubs):
    turns = tf.constant([10**15], tf.int64)
    request = predict("words", "busy", turns=turns)
    assert refused(stubs[0].Predict, request, "DEADLINE_EXCEEDED").startswith("Timed out")
    with pytest.raises(grpc.RpcError) as error:  # the client's own limit
        stubs[0].Predict(request, timeout=0.1)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert list(stubs[0].Predict(predict(x=[1.0]), timeout=20).outputs["y"].float_val) == [5.5]
