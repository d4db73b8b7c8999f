"""A model server that answers by counting letters, over REST and gRPC, and misbehaves when it is told to.

It is written by TensorFlow Serving's documents alone and shares no line with the package: tensorflow.org/tfx/serving,
api_rest, and the .proto files of tensorflow-serving-api.
"""

import base64
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

VERSION = 3
LABELS = ["even", "odd"]
# name -> (method, inputs, outputs), each name -> (dtype, sizes)
SIGNATURES = {
    "serving_default": (
        "tensorflow/serving/predict",
        {"text": ("DT_STRING", [-1])},
        {
            "label": ("DT_STRING", [-1]),
            "score": ("DT_FLOAT", [-1]),
            "labels": ("DT_STRING", [-1, 2]),
            "probabilities": ("DT_FLOAT", [-1, 2]),
        },
    ),
    "words": (
        "tensorflow/serving/predict",
        {"text": ("DT_STRING", [-1])},
        {
            "entity": ("DT_STRING", [-1, -1]),
            "label": ("DT_STRING", [-1, -1]),
            "start": ("DT_INT32", [-1, -1]),
            "end": ("DT_INT32", [-1, -1]),
            "score": ("DT_FLOAT", [-1, -1]),
        },
    ),
    "pair": (
        "tensorflow/serving/predict",
        {"text_pair": ("DT_STRING", [-1]), "text": ("DT_STRING", [-1])},
        {"probability": ("DT_FLOAT", [-1])},
    ),
    "choose": (
        "tensorflow/serving/predict",
        {"choices": ("DT_STRING", [-1, -1]), "text": ("DT_STRING", [-1])},
        {"choice": ("DT_INT32", [-1]), "probabilities": ("DT_FLOAT", [-1, -1])},
    ),
    "tokens": (
        "tensorflow/serving/predict",
        {"text": ("DT_STRING", [-1])},
        {"tokens": ("DT_STRING", [-1, -1]), "owner": ("DT_INT32", [-1])},
    ),
    "tokenized": (
        "tensorflow/serving/predict",
        {"ids": ("DT_INT32", [-1, -1]), "mask": ("DT_BOOL", [-1, -1])},
        {"logits": ("DT_FLOAT", [-1, 1])},
    ),
    "classify": ("tensorflow/serving/classify", {"inputs": ("DT_STRING", [-1])}, {"classes": ("DT_STRING", [-1, 2])}),
    "regress": ("tensorflow/serving/regress", {"inputs": ("DT_STRING", [-1])}, {"outputs": ("DT_FLOAT", [-1])}),
}


def share(text):
    """Return the probability of "even", a number that float32 does not hold in few digits."""
    return float(tf.constant(1 / (3 + len(text.encode())), tf.float32).numpy())


def answer(signature, columns):
    """Return a signature's outputs for columns of text, padded as a batch is."""
    texts = columns.get("text", [])
    if signature == "serving_default":
        even = [share(text) for text in texts]
        odd = [float(tf.constant(1 - p, tf.float32).numpy()) for p in even]
        return {
            "label": [LABELS[len(text) % 2] for text in texts],
            "score": odd,
            "labels": [LABELS for _ in texts],
            "probabilities": [list(pair) for pair in zip(even, odd, strict=True)],
        }
    if signature == "words":
        found = [[(m[0], "W", m.start(), m.end(), share(m[0])) for m in re.finditer(r"\S+", text)] for text in texts]
        most = max(map(len, found))
        rows = [[*row, *[("", "", -1, -1, 0.0)] * (most - len(row))] for row in found]
        names = ("entity", "label", "start", "end", "score")
        return {name: [[word[i] for word in row] for row in rows] for i, name in enumerate(names)}
    if signature == "pair":
        return {"probability": [share(a + "|" + b) for a, b in zip(texts, columns["text_pair"], strict=True)]}
    if signature == "choose":
        there = [
            [share(text + each) if each else 0.0 for each in row]
            for text, row in zip(texts, columns["choices"], strict=True)
        ]
        return {"choice": [row.index(max(row)) if any(row) else -1 for row in there], "probabilities": there}
    if signature == "tokens":
        return {"tokens": [[text[:1], text[1:2]] for text in texts * 2], "owner": list(range(len(texts))) * 2}
    if signature == "tokenized":
        return {
            "logits": [[float(sum(row) + sum(seen))] for row, seen in zip(columns["ids"], columns["mask"], strict=True)]
        }
    raise KeyError(signature)


def classes(example):
    even = share(example["text"])
    return [("even", even), ("odd", 1 - even)]


class FakeServer:
    """One model, "mood", version 3, whose label is "stable".

    `turns` says how the next requests are met: None properly, "hang" not at all, "drop" with a closed connection, a
    (status, body, headers) with those, a gRPC code with that.  `asked` is what came, the signature and its rows.
    """

    def __init__(self, default="serving_default"):
        self.default = default  # which of SIGNATURES is served as serving_default
        self.signatures = {**SIGNATURES, "serving_default": SIGNATURES[default]}
        self.turns, self.asked, self.paths, self.headers = [], [], [], []
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.rpc = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Predictions(self), self.rpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), self.rpc)
        self.urls = {
            "rest": f"http://127.0.0.1:{self.http.server_port}",
            "grpc": f"grpc://127.0.0.1:{self.rpc.add_insecure_port('127.0.0.1:0')}",
        }
        self.rpc.start()

    def close(self):
        self.over.set()
        self.http.shutdown()
        self.http.server_close()
        self.rpc.stop(None)

    def clear(self):
        for told in (self.turns, self.asked, self.paths, self.headers):
            told.clear()

    def turn(self):
        with self.lock:
            return self.turns.pop(0) if self.turns else None

    def predict(self, signature, columns):
        with self.lock:
            self.asked.append((signature, columns))
        return answer(self.default if signature == "serving_default" else signature, columns)


# REST


def _tensors(told):
    return {
        name: {
            "dtype": dtype,
            "tensor_shape": {"dim": [{"size": str(size), "name": ""} for size in sizes], "unknown_rank": False},
            "name": f"serving_default_{name}:0",
        }
        for name, (dtype, sizes) in told.items()
    }


INIT = "__saved_model_init_op"  # in every SavedModel; its output has no type


def _metadata(signatures):
    found = {
        name: {"inputs": _tensors(given), "outputs": _tensors(got), "method_name": method, "defaults": {}}
        for name, (method, given, got) in signatures.items()
    }
    nothing = {"dtype": "DT_INVALID", "tensor_shape": {"dim": [], "unknown_rank": True}, "name": "NoOp"}
    found[INIT] = {"inputs": {}, "outputs": {INIT: nothing}, "method_name": "", "defaults": {}}
    return {
        "model_spec": {"name": "mood", "signature_name": "", "version": str(VERSION)},
        "metadata": {"signature_def": {"signature_def": found}},
    }


STATUS = {
    "model_version_status": [
        {"version": str(VERSION), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        {"version": "12", "state": "END", "status": {"error_code": "NOT_FOUND", "error_message": "no such file"}},
    ]
}
_WHERE = r"/v1/models/mood(/versions/3|/labels/stable)?"


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words):
            pass

        def send(self, status, body, headers=None):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def meet(self, body):
            server.paths.append((self.command, self.path))
            server.headers.append(dict(self.headers))
            turn = server.turn()
            if turn == "hang":
                server.over.wait()
            elif turn == "drop":
                self.close_connection = True
                self.connection.shutdown(2)
            elif turn is not None:
                self.send(*turn)
            else:
                self.send(*self.good(body))

        def good(self, body):
            path = self.path.removeprefix("/gateway")
            if self.command == "GET" and re.fullmatch(_WHERE + "/metadata", path):
                return 200, _metadata(server.signatures)
            if self.command == "GET" and re.fullmatch(_WHERE, path):
                return 200, STATUS
            found = re.fullmatch(_WHERE + ":(predict|classify|regress)", path)
            if not found:
                name = path.split("/")[3] if path.count("/") > 2 else path
                return 404, {"error": f"Servable not found for request: Latest({name.split(':')[0]})"}
            asked = json.loads(
                body,
                object_hook=lambda told: (
                    base64.b64decode(told["b64"]).decode("latin-1") if set(told) == {"b64"} else told
                ),
            )
            if found[2] == "predict":
                got = server.predict(asked["signature_name"], asked["inputs"])
                return 200, {"outputs": next(iter(got.values())) if len(got) == 1 else got}
            if found[2] == "classify":
                return 200, {"results": [[list(pair) for pair in classes(each)] for each in asked["examples"]]}
            return 200, {"results": [share(each["text"]) for each in asked["examples"]]}

        def do_GET(self):
            self.meet(b"")

        def do_POST(self):
            self.meet(self.rfile.read(int(self.headers["Content-Length"])))

    return Handler


# gRPC


def _check(server, request, context):
    server.headers.append(dict(context.invocation_metadata()))
    turn = server.turn()
    if turn == "hang":
        server.over.wait()
    if isinstance(turn, grpc.StatusCode):
        context.abort(turn, "told to")
    spec = request.model_spec
    which = spec.WhichOneof("version_choice")
    right = {None: True, "version": spec.version.value == VERSION, "version_label": spec.version_label == "stable"}[
        which
    ]
    if spec.name != "mood" or not right:
        context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")


def _signature_def(given, got, method):
    def tensors(told):
        return {
            name: tf.compat.v1.saved_model.build_tensor_info(
                tf.compat.v1.placeholder(
                    getattr(tf, dtype.removeprefix("DT_").lower().replace("float", "float32")),
                    [None if n < 0 else n for n in sizes],
                )
            )
            for name, (dtype, sizes) in told.items()
        }

    with tf.Graph().as_default():
        return tf.compat.v1.saved_model.build_signature_def(tensors(given), tensors(got), method)


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server):
        self.server = server

    def Predict(self, request, context):
        _check(self.server, request, context)
        name = request.model_spec.signature_name
        columns = {key: tf.make_ndarray(each).tolist() for key, each in request.inputs.items()}

        def text(cell):
            return (
                [text(each) for each in cell]
                if isinstance(cell, list)
                else cell.decode("latin-1" if b"\xff" in cell else "utf-8")
                if isinstance(cell, bytes)
                else cell
            )

        got = self.server.predict(name, {key: text(rows) for key, rows in columns.items()})
        response = predict_pb2.PredictResponse()
        for key, rows in got.items():
            dtype = {"DT_STRING": tf.string, "DT_FLOAT": tf.float32, "DT_INT32": tf.int32}[
                self.server.signatures[name][2][key][0]
            ]
            response.outputs[key].CopyFrom(tf.make_tensor_proto(rows, dtype))
        return response

    def Classify(self, request, context):
        _check(self.server, request, context)
        response = classification_pb2.ClassificationResponse()
        for example in request.input.example_list.examples:
            row = response.result.classifications.add()
            for label, score in classes({"text": example.features.feature["text"].bytes_list.value[0].decode()}):
                row.classes.add(label=label, score=score)
        return response

    def Regress(self, request, context):
        _check(self.server, request, context)
        response = regression_pb2.RegressionResponse()
        for example in request.input.example_list.examples:
            response.result.regressions.add(value=share(example.features.feature["text"].bytes_list.value[0].decode()))
        return response

    def GetModelMetadata(self, request, context):
        _check(self.server, request, context)
        found = get_model_metadata_pb2.SignatureDefMap()
        found.signature_def[INIT].outputs[INIT].name = "NoOp"
        for name, (method, given, got) in self.server.signatures.items():
            found.signature_def[name].CopyFrom(_signature_def(given, got, method))
        packed = any_pb2.Any()
        packed.Pack(found)
        response = get_model_metadata_pb2.GetModelMetadataResponse(metadata={"signature_def": packed})
        response.model_spec.name = "mood"
        response.model_spec.version.value = VERSION
        return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server):
        self.server = server

    def GetModelStatus(self, request, context):
        _check(self.server, request, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=VERSION, state=30)
        other = response.model_version_status.add(version=12, state=50)
        other.status.error_message = "no such file"
        return response
