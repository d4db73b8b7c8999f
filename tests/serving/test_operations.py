"""Which TensorFlow Serving can run an export: the table, and what is refused."""

import json
import re
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_text
import tiny
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.serving.operations import check_operations, operations
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.serving.versions import ADDED, OLDEST, TEXT, TEXT_OPERATIONS

STRINGS = tf.TensorSpec([None], tf.string)


def traced(function, *specs):
    return tf.function(function, input_signature=list(specs)).get_concrete_function()


def test_the_table_of_versions():
    assert OLDEST == "2.12"
    assert list(TEXT) == [f"2.{minor}" for minor in range(12, 21)]
    assert list(ADDED) == [*list(TEXT)[1:], "2.21"]
    assert set(TEXT.values()) == set(TEXT_OPERATIONS)
    assert {version: text for version, text in TEXT.items() if text != "2.12.1"} == {"2.20": "2.20.0"}
    listed = [op for added in ADDED.values() for op in added]
    assert len(listed) == len(set(listed)) == 68
    minor = tf.__version__.rpartition(".")[0]
    assert minor in ADDED, "add what this TensorFlow has more to the table"
    hidden = [op for op in listed if not hasattr(tf.raw_ops, op)]
    newer = ADDED["2.21"] if minor == "2.20" else []
    assert hidden == ["RelayoutGrad", "RelayoutLike", *newer]  # the first two are hidden again since


def test_the_newest_text_operations_are_those_of_the_library():
    """Read from the library's own files and from TensorFlow's registry."""
    registered = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    names = {op.name for op in registered.op}
    assert names >= TEXT_OPERATIONS["2.20.0"]
    libraries = [path.read_bytes() for path in Path(tensorflow_text.__file__).parent.rglob("python/*/*.so")]
    in_files = set(re.findall(rb"TFText>\w+", b"".join(libraries)))
    assert {name.decode() for name in in_files} & names == {
        op for op in TEXT_OPERATIONS["2.20.0"] if op.startswith("TFText>")
    }
    assert TEXT_OPERATIONS["2.20.0"] - TEXT_OPERATIONS[
        "2.12.1"
    ] == {  # tensorflow/serving#4057 and #2267 name the second
        "TFText>RoundRobinGenerateMasks",
        "TFText>RoundRobinTrim",
        "TFText>Utf8Binarize",
    }
    assert not [op for op in TEXT_OPERATIONS["2.20.0"] if hasattr(tf.raw_ops, op)]


def test_an_export_lists_its_operations(tmp_path):
    bundle = tiny.bundle(kbz.heads.Regression())
    for version in ("2.12", "2.20"):
        folder = export_bundle(bundle, tmp_path / version, serving_version=version)
        told = json.loads((folder / "assets.extra" / "operations.json").read_text())
        assert list(told) == ["serving_version", "tf_text", "operations"]
        assert (told["serving_version"], told["tf_text"]) == (version, TEXT[version])
        functions = tf.saved_model.load(str(folder)).signatures
        assert told["operations"] == sorted(told["operations"])
        assert {op for op in told["operations"] if not hasattr(tf.raw_ops, op)} == {
            "FastBertNormalize",
            "FastWordpieceTokenizeWithOffsets",
        }
        assert set(told["operations"]) >= {"MatMul", "ParseExampleV2", "StatefulPartitionedCall"}
        loader_adds = {"Identity", "NoOp", "Placeholder", "StatefulPartitionedCall"}
        assert set().union(*map(operations, functions.values())) <= {*told["operations"], *loader_adds}


def test_what_a_version_lacks_is_refused_by_name():
    trim = traced(lambda x: tensorflow_text.RoundRobinTrimmer(5).trim([tf.strings.split(x)])[0].values, STRINGS)
    told = (
        "signature 'new' uses TFText>RoundRobinTrim, which TensorFlow Serving 2.19 (TF.Text 2.12.1) does not have."
        " 2.20 is the first that has all: ask for it if you serve with it."
    )
    with pytest.raises(ExportError) as refused:
        check_operations({"new": trim}, "2.19")
    assert str(refused.value) == told
    assert "TFText>RoundRobinTrim" in check_operations({"new": trim}, "2.20")

    split = traced(lambda x: tensorflow_text.ByteSplitter().split(x).values, STRINGS)
    assert "TFText>ByteSplitWithOffsets" in check_operations({"split": split}, "2.12")

    transform = traced(
        lambda x: tf.raw_ops.FFTND(input=x, fft_length=[4], axes=[0]), tf.TensorSpec([None], tf.complex64)
    )
    with pytest.raises(ExportError, match=r"uses FFTND, which TensorFlow Serving 2\.14 .* 2\.15 is the first"):
        check_operations({"plain": split, "odd": transform}, "2.14")
    assert "FFTND" in check_operations({"odd": transform}, "2.15")


def test_what_no_server_has_is_refused():
    python = traced(
        lambda x: tf.map_fn(lambda v: tf.py_function(float, [v], tf.float32), x), tf.TensorSpec([None], tf.float32)
    )
    for version in TEXT:
        with pytest.raises(ExportError, match=r"signature 'odd' uses EagerPyFunc, which .* does not have\. None has\."):
            check_operations({"odd": python}, version)


def test_a_version_that_is_not_in_the_table(tmp_path):
    bundle = tiny.bundle(kbz.heads.Regression())
    with pytest.raises(ExportError, match=r"serving_version is '2\.11', it must be one of 2\.12, .*2\.20\."):
        export_bundle(bundle, tmp_path / "model", serving_version="2.11")
    assert not (tmp_path / "model").exists()
