"""What an export holds: its weights once, in one precision, in a graph that TensorFlow fuses."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tiny
from tensorflow.core.protobuf import saved_model_pb2

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.serving import frozen
from keras_bert_zoo.serving.frozen import Frozen
from keras_bert_zoo.serving.saved_model import export_bundle

TEXTS = ["a good film", "", "so very bad and dull and cold and poor and awful again", "it was bad"]
PRECISIONS = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def bundle():
    config = tiny.CONFIG.replace(hidden_size=96, intermediate_size=384, num_attention_heads=6)
    return tiny.bundle(kbz.heads.Classification(["sad", "calm", "glad"]), config=config)


@pytest.fixture(scope="module")
def exports(bundle, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: export_bundle(bundle, root / name, precision=name) for name in PRECISIONS}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_gives_the_same_answers(bundle, exports, precision):
    want = np.array([answer["probabilities"] for answer in bundle.predict(TEXTS)])
    ask = tf.saved_model.load(str(exports[precision])).signatures["serving_default"]
    got = ask(text=tf.constant(TEXTS))["probabilities"]
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, want, atol=1e-5 if precision == "float32" else 0.05)
    alone = [ask(text=tf.constant([text]))["probabilities"][0] for text in TEXTS]
    np.testing.assert_allclose(alone, want, atol=1e-5 if precision == "float32" else 0.05)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_are_stored_once(bundle, exports, precision):
    folder = exports[precision]
    variables = sum(path.stat().st_size for path in (folder / "variables").iterdir())
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    names = collections.Counter()
    for function in model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const" and node.attr["dtype"].type in (
                tf.float32.as_datatype_enum,
                tf.bfloat16.as_datatype_enum,
            ):
                names["constants"] += node.attr["value"].tensor.ByteSize()
    weights = sum(weight.numpy().nbytes for weight in bundle.model.trainable_variables)
    weights //= 1 if precision == "float32" else 2
    assert weights <= variables + names["constants"] <= 1.03 * weights
    dense = sum(w.numpy().nbytes for w in bundle.model.trainable_variables if w.name == "kernel") // 2
    assert (names["constants"] > dense) == (precision == "bfloat16")


def test_a_graph_too_large_keeps_its_weights_as_variables(bundle, monkeypatch):
    monkeypatch.setattr(frozen, "LARGEST_GRAPH", 1_000)
    held = Frozen(bundle.model, "bfloat16")
    assert len(held.weights) == len(bundle.model.trainable_variables) - 3 * 2 * 2  # query, key and value are one
    ids = {"input_word_ids": [[2, 9, 30, 3]], "input_mask": [[1, 1, 1, 1]], "input_type_ids": [[0, 0, 1, 1]]}
    ids = {name: np.array(rows, "int32") for name, rows in ids.items()}
    np.testing.assert_allclose(held(ids), bundle.model(ids), atol=0.1)


def test_an_export_does_not_change_with_the_model(bundle):
    held = Frozen(bundle.model)
    ids = {name: np.ones((2, 5), "int32") for name in bundle.model.input}
    before = held(ids).numpy()
    weights = bundle.model.get_weights()
    bundle.model.set_weights([weight + 1 if weight.dtype == np.float32 else weight for weight in weights])
    np.testing.assert_array_equal(held(ids), before)
    bundle.model.set_weights(weights)


def test_a_precision_that_no_export_has(bundle):
    with pytest.raises(ExportError, match="precision is 'float16', an export can have float32 or bfloat16"):
        Frozen(bundle.model, "float16")


def operations_run(folder):
    """Count the operations of `serving_default` that are left after TensorFlow has optimised its graph."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
        feed = {next(iter(signature.inputs.values())).name: TEXTS}
        told = tf.compat.v1.RunMetadata()
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        session.run([out.name for out in signature.outputs.values()], feed, options=options, run_metadata=told)
    return collections.Counter(node.op for graph in told.partition_graphs for node in graph.node)


def test_tensorflow_fuses_the_block(exports):
    layers = tiny.CONFIG.num_hidden_layers
    for found in map(operations_run, exports.values()):
        if not found["_MklNativeFusedMatMul"]:
            pytest.skip("this TensorFlow does without oneDNN")
        # query-key-value, attention's output, the inner with its activation, the outer: bias and residual inside
        assert found["_MklNativeFusedMatMul"] + found["_FusedMatMul"] >= 4 * layers
        assert found["MatMul"] + found["_MklMatMul"] == 0
        # three groups of rows: scores with their scale and bias, context
        assert found["_MklFusedBatchMatMulV2"] == found["_MklBatchMatMulV2"] == 3 * layers
        assert found["Erf"] == 0
