"""Encoders as SavedModels: what Model Garden's real exporter writes and what we write, read without running them."""

import json
import shutil

import bert_oracle
import numpy as np
import pytest
import tensorflow as tf
import tf1_oracle
import tiny
from sizes import BATCH, HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo import bundle as bundles
from keras_bert_zoo import weights
from keras_bert_zoo.errors import CheckpointError, ConfigError, VocabularyError
from keras_bert_zoo.serving.encoder_models import export_encoder
from keras_bert_zoo.weights import saved_model
from keras_bert_zoo.weights.transfer import import_rows

CONFIG = kbz.BertConfig.from_google(tf1_oracle.CONFIG)
INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"
ENCODER = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "num_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": TYPES,
}


def inputs():
    return {name: tf.constant(value) for name, value in bert_oracle.inputs().items()}


def check_same(ours, theirs):
    """Both give the same on real tokens, where ours and theirs mask alike."""
    got = ours(bert_oracle.inputs())
    want = {name: theirs[name] for name in got}
    assert bert_oracle.difference(got, want, bert_oracle.inputs()["input_mask"]) <= 1e-5


# What Model Garden's exporter writes


def their_export(folder, kind):
    """Have the real exporter write an encoder with random weights, biases and norms included; return it in Python."""
    lib = pytest.importorskip("official.nlp.tools.export_tfhub_lib")
    from official.legacy.bert.configs import BertConfig
    from official.nlp.configs import encoders

    if kind == "v2":
        told = {"encoder_config": encoders.EncoderConfig(type="bert", bert=encoders.BertEncoderConfig(**ENCODER))}
    else:
        told = {"bert_config": BertConfig.from_dict(tf1_oracle.CONFIG)}
    with_mlm = kind == "masked_lm"
    model, holder = lib._create_model(**told, with_mlm=with_mlm)
    rng = np.random.default_rng(8)
    for variable in holder.variables:
        variable.assign(rng.normal(0, 0.3, variable.shape) + ("gamma" in variable.name))
    items = holder.checkpoint_items if with_mlm else {"encoder": holder}
    folder.mkdir(parents=True)
    checkpoint = tf.train.Checkpoint(**items).save(str(folder / "checkpoint"))
    (folder / "words.txt").write_text("".join(f"{token}\n" for token in tiny.VOCABULARY))
    lib.export_model(
        str(folder / kind),
        **told,
        model_checkpoint_path=checkpoint,
        with_mlm=with_mlm,
        vocab_file=str(folder / "words.txt"),
        do_lower_case=True,
    )
    return model, folder / kind


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return their_export(tmp_path_factory.mktemp("garden") / "v1", "encoder")


def test_their_encoder_is_read(theirs):
    model, folder = theirs
    assert weights.find(folder) == "saved_model"
    bundle = kbz.load(folder)
    assert (bundle.config, bundle.head, bundle.max_length) == (CONFIG, None, POSITIONS)
    assert (bundle.tokenizer.vocabulary, bundle.tokenizer.lower) == (tuple(tiny.VOCABULARY), True)
    check_same(bundle.encoder, model(inputs()))
    check_same(bundle.encoder, tf.saved_model.load(str(folder))(inputs()))


def test_every_tensor_of_theirs_is_accounted_for(theirs):
    opened = saved_model.open_folder(theirs[1])
    model = kbz.build_encoder(opened.config)
    audit = import_rows(model, opened.reader, opened.rows)
    assert len(audit.matched) == 5 + LAYERS * 16 + 2
    assert ("block_2/attention/key/bias", "transformer/layer_2/self_attention/key/bias") in audit.matched
    assert audit.missing == audit.unused == audit.misshapen == audit.dtype_changes == ()
    assert opened.vocabulary == theirs[1] / "assets" / "words.txt"


def test_their_second_encoder(tmp_path):
    model, folder = their_export(tmp_path / "v2", "v2")
    check_same(kbz.load(folder).encoder, model(inputs()))


def test_their_masked_lm_is_a_head(tmp_path):
    model, folder = their_export(tmp_path / "mlm", "masked_lm")
    bundle = kbz.load(folder)
    assert bundle.head.name == "masked_lm"
    check_same(bundle.encoder, model(inputs()))
    # masked positions among the real tokens of each row
    places = np.random.default_rng(2).integers(0, np.array(bert_oracle.LENGTHS)[:, None], (BATCH, 3), dtype="int32")
    features = {**inputs(), "masked_lm_positions": tf.constant(places)}
    want = tf.saved_model.load(str(folder)).mlm(features)["mlm_logits"]
    np.testing.assert_allclose(bundle.model(features), want, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"unused: 'cls/predictions/output_bias/bias', 'cls/predictions/transfor"):
        kbz.load(folder, encoder_only=True)
    bare = kbz.load(folder, encoder_only=True, unused=["cls/*"])
    check_same(bare.encoder, model(inputs()))


@pytest.fixture(scope="module")
def again(theirs, tmp_path_factory):
    """Return their encoder as we export it."""
    return export_encoder(theirs[1], tmp_path_factory.mktemp("again"), seq_length=13)


def test_theirs_can_be_exported_again(theirs, again):
    got, want = (tf.saved_model.load(str(folder))(inputs()) for folder in (again.encoder, theirs[1]))
    assert set(got) == set(want)
    for key in ("default", "pooled_output"):
        np.testing.assert_allclose(got[key], want[key], atol=1e-5)


def test_our_interface_is_theirs(theirs, again, tmp_path):
    """Both are called alike, and what they tell of themselves is alike."""
    lib = pytest.importorskip("official.nlp.tools.export_tfhub_lib")
    words = theirs[1] / "assets" / "words.txt"
    options = {"vocab_file": str(words), "do_lower_case": True, "tokenize_with_offsets": False}
    lib.export_preprocessing(str(tmp_path / "theirs"), **options, default_seq_length=13)
    models = [tf.saved_model.load(str(folder)) for folder in (again.preprocessor, tmp_path / "theirs")]
    texts = tf.constant(["a good film", "", "bads, so very dull and cold and so and so on and on", "[MASK]"])
    got, want = ([part.tokenize(texts).to_list(), *whole(part, texts)] for part in models)
    assert got[0] == want[0]
    for one, other in zip(got[1:], want[1:], strict=True):
        assert set(one) == set(other)
        for name, value in one.items():
            assert value.dtype == other[name].dtype
            np.testing.assert_array_equal(value, other[name])
    signatures = [model.signatures["serving_default"].structured_input_signature[1] for model in models]
    assert list(signatures[0]) == list(signatures[1]) == ["sentences"]


def whole(model, texts):
    tokens = model.tokenize(texts)
    yield model(texts)
    yield model.bert_pack_inputs([tokens])
    yield model.bert_pack_inputs([tokens, tokens], seq_length=tf.constant(10))
    yield model.bert_pack_inputs([tokens[:, :3], tokens], seq_length=9)
    yield model.tokenize.get_special_tokens_dict()


# What we write


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return export_encoder(tiny.bundle(), tmp_path_factory.mktemp("ours")).encoder


@pytest.fixture
def folder(ours, tmp_path):
    """Return a folder of ours to change."""
    return shutil.copytree(ours, tmp_path / "copy")


def test_ours_comes_back_to_the_bit(tmp_path):
    config = tiny.CONFIG.replace(
        hidden_act="silu", layer_norm_eps=1e-5, hidden_dropout_prob=0.25, initializer_range=0.125
    )
    made = tiny.bundle(config=config)
    tokenizer = kbz.Tokenizer(tiny.VOCABULARY, lower=False, rules="huggingface", word_limit=17, split_cjk=False)
    first = kbz.Bundle(made.encoder, tokenizer, max_length=19)
    folder = export_encoder(first, tmp_path).encoder
    again = kbz.load(folder)
    assert (again.config, again.max_length, again.head) == (config, 19, None)
    assert again.tokenizer.settings == tokenizer.settings
    for one, other in zip(first.encoder.weights, again.encoder.weights, strict=True):
        assert one.path == other.path
        np.testing.assert_array_equal(one, other)
    check_same(again.encoder, tf.saved_model.load(str(folder))(inputs()))
    bundles.save(again, tmp_path / "hf")
    assert kbz.load(tmp_path / "hf").config == config
    (folder / "zoo.json").unlink()
    assert saved_model.open_folder(folder).config.hidden_act == "silu"


def test_an_activation_shows_in_the_graph(folder, tmp_path):
    """Without our `zoo.json` sizes are those of the tensors; epsilon and dropouts are what Google's all have."""
    made = tiny.bundle(config=tiny.CONFIG.replace(hidden_act="relu"))
    for bundle, there in ((tiny.bundle(), folder), (made, export_encoder(made, tmp_path).encoder)):
        (there / "zoo.json").unlink()
        again = kbz.load(there)
        assert again.config == bundle.config.replace(initializer_range=0.02)
        check_same(again.encoder, bundle.encoder(bert_oracle.inputs()))


def test_a_model_that_names_no_vocabulary(folder):
    pb = saved_model_of(folder)
    graph = pb.meta_graphs[0].object_graph_def
    for child in graph.nodes[0].children:
        if child.local_name in ("vocab_file", "do_lower_case"):
            child.local_name = f"old_{child.local_name}"
    (folder / "saved_model.pb").write_bytes(pb.SerializeToString())
    assert saved_model.open_folder(folder).vocabulary == folder / "assets" / "vocab.txt"
    kbz.load(folder)
    (folder / "assets" / "vocab.txt").unlink()
    with pytest.raises(
        CheckpointError, match=r"names no vocabulary\. Put the one of its preprocessor .* at .*vocab\.txt"
    ):
        kbz.load(folder)


def test_a_model_that_does_not_tell_its_case(folder, monkeypatch):
    (folder / "zoo.json").unlink()
    monkeypatch.setattr(saved_model, "LOWER", "absent")  # as if it had no such attribute
    with pytest.raises(VocabularyError, match=r"nothing says whether its tokens are of lower-cased text\. Pass lower="):
        kbz.load(folder)
    assert kbz.load(folder, lower=False).tokenizer.lower is False


# What does not fit


def saved_model_of(folder):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    return SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def test_files_that_are_missing_or_cut_off(folder, tmp_path):
    with pytest.raises(CheckpointError, match="absent: there is no such folder"):
        saved_model.open_folder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty has no saved_model\.pb: it is no SavedModel"):
        saved_model.open_folder(tmp_path / "empty")
    data = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(data[:-100])
    with pytest.raises(CheckpointError, match=r"cannot be read: .*damaged: fetch them again"):
        kbz.load(folder)
    (folder / DATA).write_bytes(data[:50] + b"####" + data[54:])
    with pytest.raises(CheckpointError, match="cannot be read"):
        kbz.load(folder)
    (folder / DATA).unlink()
    with pytest.raises(CheckpointError, match=r"some of its \.data files are missing"):
        kbz.load(folder)
    shutil.rmtree(folder / "variables")
    with pytest.raises(
        CheckpointError, match=r"no variables/variables\.index: its weights are missing\. Copy the whole"
    ):
        kbz.load(folder)


def test_a_graph_that_is_cut_off(folder):
    model = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(model[: len(model) // 2])
    with pytest.raises(CheckpointError, match=r"saved_model\.pb cannot be read: .*cut off or damaged"):
        kbz.load(folder)
    (folder / "saved_model.pb").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"saved_model\.pb holds 0 graphs, a model of TF2 holds one"):
        kbz.load(folder)


def test_what_is_no_encoder(ours, tmp_path):
    preprocessor = ours.parents[1] / "preprocessor" / "1"
    with pytest.raises(CheckpointError, match=r"no BERT encoder in TF Hub's layout: it has no 'word_embeddings/emb"):
        kbz.load(preprocessor)
    stranger = tf.Module()
    stranger.kernel = tf.Variable([[1.0]], name="kernel")
    stranger.step = tf.Variable(0, dtype=tf.int64, name="step")
    tf.saved_model.save(stranger, str(tmp_path / "stranger"))
    with pytest.raises(CheckpointError, match=r"stranger is no BERT encoder .* load the run it was made from"):
        kbz.load(tmp_path / "stranger")


def test_a_model_of_tf1(tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.get_variable("bert/embeddings/word_embeddings", initializer=tf.ones([3, 2]))
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "old"), {"x": x}, {"y": x + 1})
    with pytest.raises(CheckpointError, match="holds no graph of objects: it is a SavedModel of TF1"):
        kbz.load(tmp_path / "old")


def test_tensors_that_do_not_fit(folder):
    zoo = json.loads((folder / "zoo.json").read_text())
    zoo["config"]["num_attention_heads"] = 3
    (folder / "zoo.json").write_text(json.dumps(zoo))
    with pytest.raises(CheckpointError, match=r"query/kernel' is \[12, 4, 3\], the encoder needs \[12, 3, 4\]"):
        kbz.load(folder)
    zoo["config"] |= {"num_attention_heads": 4, "num_hidden_layers": LAYERS + 1}
    (folder / "zoo.json").write_text(json.dumps(zoo))
    with pytest.raises(CheckpointError, match=r"missing: 'transformer/layer_3/.* \(for block_3/"):
        kbz.load(folder)
    zoo["config"]["colour"] = "red"
    (folder / "zoo.json").write_text(json.dumps(zoo))
    with pytest.raises(ConfigError, match="unknown key colour"):
        kbz.load(folder)


def test_a_kernel_without_an_axis_for_heads(tmp_path):
    model = tf.train.Checkpoint()
    names = ["word_embeddings/embeddings", "position_embedding/embeddings", "type_embeddings/embeddings"]
    names += ["transformer/layer_0/self_attention/query/kernel", "transformer/layer_0/intermediate/kernel"]
    model.variables = [tf.Variable(tf.ones([4, 6]), name=name) for name in names]
    tf.saved_model.save(model, str(tmp_path / "flat"))
    with pytest.raises(CheckpointError, match=r"query/kernel' is \[4, 6\], it must be \[hidden, heads, head size\]"):
        kbz.load(tmp_path / "flat")


def test_a_graph_of_two_activations(folder):
    (folder / "zoo.json").unlink()
    pb = saved_model_of(folder)
    pb.meta_graphs[0].graph_def.node.add(name="one_more", op="Relu")
    (folder / "saved_model.pb").write_bytes(pb.SerializeToString())
    with pytest.raises(ConfigError, match="its graph has several activations: gelu_erf, relu"):
        kbz.load(folder)


def test_a_vocabulary_outside_the_folder(folder):
    pb = saved_model_of(folder)
    pb.meta_graphs[0].asset_file_def[0].filename = "../../../etc/passwd"
    (folder / "saved_model.pb").write_bytes(pb.SerializeToString())
    with pytest.raises(
        CheckpointError, match=r"its vocabulary is '\.\./\.\./\.\./etc/passwd', which is no file name in"
    ):
        kbz.load(folder)


def test_it_is_written_by_an_export(tmp_path):
    with pytest.raises(ConfigError, match="written by an export: kbz export SOURCE --as encoder"):
        bundles.write(tiny.bundle(), tmp_path, format="saved_model")
    assert list(tmp_path.iterdir()) == []
    assert set(weights.TARGETS) == set(weights.FORMATS) - {"saved_model"}
