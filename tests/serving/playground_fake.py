"""A server of recorded answers in TensorFlow Serving's JSON shapes, with the playground on it, and no TensorFlow.

Rows of tokens come from Hugging Face's tokenizers, an implementation of its own.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
import threading

import anyio
import tokenizers
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tokenizers import models, normalizers, pre_tokenizers, processors

from keras_bert_zoo.serving.playground import routes

EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
STRINGS = {"text": 1, "text_pair": 1, "question": 1, "context": 1, "choices": 2}
WORDS = """
    [PAD] [UNK] [CLS] [SEP] [MASK] a film to keep un ##believ ##able story the play was written by two sisters in 1921
    , . ? who it rain ##s paris ada lives [ ] cafe
""".split()
LENGTH = 16  # tokens of a row


def spec(dtype, rank):
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}] * rank, "unknown_rank": False},
        "name": "x:0",
    }


def signature(inputs, outputs, method="predict"):
    return {
        "inputs": {name: spec("DT_STRING", rank) for name, rank in inputs.items()},
        "outputs": {name: spec("DT_FLOAT", 2) for name in outputs},
        "method_name": f"tensorflow/serving/{method}",
    }


# model -> columns, and an answer a row as {output: value}, or just the value where there is one output
MODELS = {
    "mood": (
        ["text"],
        {"label": "good", "score": 0.75, "labels": ["bad", "good", EVIL], "probabilities": [0.2, 0.75, 0.05]},
    ),
    "topics": (
        ["text"],
        {"labels": ["plot", "actors", "music"], "probabilities": [0.9, 0.35, 0.6], "predicted": [True, False, True]},
    ),
    "rating": (["text"], 3.14159),
    "follows": (["text", "text_pair"], 0.82),
    "masks": (
        ["text"],
        {"tokens": [["paris", "##s", "a"]], "scores": [[0.7, 0.2, 0.05]], "filled": "as the server filled it"},
    ),
    "names": (["text"], None),
    "answers": (["question", "context"], None),
    "choices": (["text", "choices"], {"choice": 1, "probabilities": [0.25, 0.7, 0.05]}),
    "vectors": (["text"], None),
    "odd <b>name": (["sentences"], {"numbers": [1, 2]}),
}
VECTORS = [[1.0, 2.0, 2.0], [2.0, 4.0, 4.5], [-2.0, 1.0, 0.25]]


def named_entities(text):
    """Two emoji of two UTF-16 units each stand before what is found."""
    found = [(text.index(word), word, label) for word, label in (("Ada", "PER"), ("Paris", "LOC")) if word in text]
    return {
        "entity": [word for _, word, _ in found] + [""],
        "label": [label for _, _, label in found] + [""],
        "start": [at for at, _, _ in found] + [-1],
        "end": [at + len(word) for at, word, _ in found] + [-1],
        "score": [0.99 - i / 10 for i in range(len(found))] + [0],
    }


def best_answers(context):
    at, late = context.index("two sisters"), context.index("1921")
    return {
        "answer": "two sisters",
        "start": at,
        "end": at + 11,
        "score": 0.8,
        "no_answer_score": -3.5,
        "answers": ["two sisters", "1921", "", ""],
        "starts": [at, late, -1, -1],
        "ends": [at + 11, late + 4, -1, -1],
        "scores": [0.8, 0.15, 0.05, 0],
        "start_logits": [3, 2, 1, 0],
        "end_logits": [3, 2, 1, 0],
    }


def bert_tokenizer():
    made = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens(["[MASK]"])
    made.enable_truncation(LENGTH)
    return made


class Fake:
    """The state of the server, which a test may change: `versions` of each model, `fails` for the next answers."""

    def __init__(self):
        self.versions = {name: {1: "AVAILABLE"} for name in MODELS}
        self.errors = {}
        self.labels = {name: {} for name in MODELS}
        self.fails = []
        self.bodies = []  # of all requests for answers
        self.tokenizer = bert_tokenizer()
        self.held = threading.Event()  # questions that say "slow" wait for it
        self.held.set()
        self.waiting = threading.Event()  # one does
        self.answered = threading.Event()  # one did

    def describe(self):
        return [{"name": name, "labels": self.labels[name]} for name in sorted(self.versions)]

    def signatures(self, name):
        columns, answer = MODELS[name]
        inputs = {column: STRINGS.get(column, 1) for column in columns}
        outputs = {
            "rating": ["value"],
            "follows": ["probability"],
            "names": named_entities(""),
            "vectors": ["embedding"],
        }
        known = outputs.get(name) or answer or best_answers("two sisters 1921")
        found = {"serving_default": signature(inputs, known)}
        if name.startswith("odd"):
            return found
        tokens = ["tokens", "type_ids"] + (["owner"] if "context" in inputs or "choices" in inputs else [])
        found["tokens"] = signature(inputs, tokens)
        found["examples"] = signature({"examples": 1}, known)
        found["tokenized"] = {**signature({}, ["logits"]), "inputs": {"input_word_ids": spec("DT_INT32", 2)}}
        if name == "mood":
            found["classify"] = signature({"inputs": 1}, ["classes", "scores"], "classify")
        if name == "rating":
            found["regress"] = signature({"inputs": 1}, ["outputs"], "regress")
        return found

    def status(self, request):
        name = request.path_params["name"]
        if name not in self.versions:
            return JSONResponse({"error": f"Could not find any versions of model {name}"}, 404)
        told = [
            {
                "version": str(version),
                "state": state,
                "status": {
                    "error_code": "UNKNOWN" if version in self.errors else "OK",
                    "error_message": self.errors.get(version, ""),
                },
            }
            for version, state in sorted(self.versions[name].items(), reverse=True)
        ]
        return JSONResponse({"model_version_status": told})

    def metadata(self, request):
        name = request.path_params["name"]
        if name not in self.versions:
            return JSONResponse({"error": f"Could not find any versions of model {name}"}, 404)
        told = {
            "signature_def": {"signature_def": {**self.signatures(name), "__saved_model_init_op": signature({}, [])}}
        }
        return JSONResponse({"model_spec": {"name": name, "signature_name": "", "version": "1"}, "metadata": told})

    async def predict(self, request):
        body = await request.body()
        self.bodies.append((request.url.path, body.decode()))
        try:
            asked = json.loads(body)
        except json.JSONDecodeError as error:
            return JSONResponse({"error": f"JSON Parse error: {error}"}, 400)
        if asked.get("signature_name") == "tokens":
            return JSONResponse({"outputs": self.rows(asked["inputs"])})
        if "slow" in body.decode():
            self.waiting.set()
            await anyio.to_thread.run_sync(self.held.wait, 30)
            self.answered.set()
        if self.fails:
            return self.fails.pop(0)
        name = request.path_params["name"]
        if "examples" in asked:
            scored = (
                [["bad", 0.2], ["good", 0.75], [EVIL, 0.05]] if request.path_params["method"] == "classify" else 3.14159
            )
            return JSONResponse({"results": [scored] * len(asked["examples"])})
        if asked.get("signature_name") == "tokenized":
            return JSONResponse({"outputs": [[0.5, 1.5]]})
        if "inputs" in asked and "examples" in asked["inputs"]:
            asked["instances"] = [features(row["b64"]) for row in asked["inputs"]["examples"]]
            answers = [self.answer(name, row, i) for i, row in enumerate(asked["instances"])]
            return JSONResponse({"outputs": {key: [answer[key] for answer in answers] for key in answers[0]}})
        if "inputs" in asked:
            return JSONResponse({"outputs": [MODELS[name][1]["numbers"]]})
        return JSONResponse({"predictions": [self.answer(name, row, i) for i, row in enumerate(asked["instances"])]})

    def answer(self, name, row, place):
        if name == "names":
            return named_entities(row["text"])
        if name == "answers":
            return best_answers(row["context"])
        return VECTORS[place] if name == "vectors" else MODELS[name][1]

    def rows(self, inputs):
        rows, owners = [], []
        columns = [inputs[name] for name in STRINGS if name in inputs]
        for i, row in enumerate(zip(*columns, strict=True)):
            pairs = [(row[0], choice) for choice in row[1]] if "choices" in inputs else [row]
            rows += [self.tokenizer.encode(*pair) for pair in pairs]
            owners += [i] * len(pairs)
        width = max(len(row.tokens) for row in rows)
        found = {
            "tokens": [row.tokens + [""] * (width - len(row.tokens)) for row in rows],
            "type_ids": [row.type_ids + [0] * (width - len(row.tokens)) for row in rows],
        }
        return {**found, "owner": owners} if "context" in inputs or "choices" in inputs else found

    def app(self):
        model = "/v1/models/{name}"
        own = [
            Route(f"{model}{which}{rest}", endpoint, methods=methods)
            for which, (rest, endpoint, methods) in itertools.product(
                ["", "/versions/{version}", "/labels/{label}"],
                [
                    (":{method}", self.predict, ["POST"]),
                    ("/metadata", self.metadata, ["GET"]),
                    ("", self.status, ["GET"]),
                ],
            )
        ]
        return Starlette(routes=own + routes(self))


def features(b64):
    """Read a tf.Example of one bytes feature each by protobuf's own reader, without TensorFlow."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="fake_example.proto", package="fake", syntax="proto3")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, (each, kind, repeated) in enumerate(fields, start=1):
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            types = {"bytes": field.TYPE_BYTES, "string": field.TYPE_STRING}
            made.field.add(
                name=each,
                number=number,
                label=label,
                type=types.get(kind, field.TYPE_MESSAGE),
                type_name=None if kind in types else f".fake.{kind}",
            )

    message("BytesList", ("value", "bytes", True))
    message("Feature", ("bytes_list", "BytesList", False))
    message("Entry", ("key", "string", False), ("value", "Feature", False))
    message("Features", ("feature", "Entry", True))
    message("Example", ("features", "Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    example = message_factory.GetMessageClass(pool.FindMessageTypeByName("fake.Example"))
    read = example.FromString(base64.b64decode(b64)).features.feature
    return {entry.key: entry.value.bytes_list.value[0].decode() for entry in read}


@contextlib.contextmanager
def serving(app, port=0):
    """Serve an app on this machine, on a free port unless told; yields the address."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
