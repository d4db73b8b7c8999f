"""Checkpoints of TF Model Garden: its real classes write what we read and read what we wrote."""

import functools
import json
import shutil

import bert_oracle
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tf1_oracle
import tiny
from sizes import BATCH, HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo import bundle as bundles
from keras_bert_zoo import weights
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.weights import model_garden
from keras_bert_zoo.weights.formats import Weights
from keras_bert_zoo.weights.transfer import import_rows

networks = pytest.importorskip("official.nlp.modeling.networks")
import tf_keras  # noqa: E402
from official.legacy.bert.configs import BertConfig as GoogleConfig  # noqa: E402
from official.modeling import tf_utils  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.modeling import layers, models  # noqa: E402
from official.nlp.tools import tf2_bert_encoder_checkpoint_converter as converter  # noqa: E402

CONFIG = kbz.BertConfig.from_google(tf1_oracle.CONFIG)
PREFIX, INDEX, DATA = "bert_model.ckpt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"
KEY = ".ATTRIBUTES/VARIABLE_VALUE"


# Their models


def their_encoder(version=1):
    """Return a real encoder with random weights, biases and norms included; the same one, made new, at every call."""
    return shaken(built_encoder("encoder", version), seed=4)


@functools.cache
def built_encoder(whose, version):
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "num_layers": LAYERS,
        "num_attention_heads": HEADS,
        "inner_dim": INNER,
        "max_sequence_length": POSITIONS,
        "type_vocab_size": TYPES,
    }
    if version == 1:
        return networks.BertEncoder(**sizes, dict_outputs=True)
    encoder = networks.BertEncoderV2(**sizes)
    encoder(encoder.inputs)
    return encoder


def their_pretrainer(version=1, next_sentence=True):
    """Return a real pretrainer; its encoder's pooler and its head's are not alike."""
    return shaken(built_pretrainer(version, next_sentence), seed=5)


@functools.cache
def built_pretrainer(version, next_sentence):
    head = layers.ClassificationHead(inner_dim=HIDDEN, num_classes=2, name="next_sentence")
    model = models.BertPretrainerV2(
        built_encoder(f"pretrainer {next_sentence}", version),
        mlm_activation=tf_utils.get_activation("gelu"),
        classification_heads=[head] if next_sentence else None,
    )
    model(model.inputs)
    return model


def shaken(model, seed):
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(rng.normal(0, 0.3, variable.shape) + ("gamma" in variable.name))
    return model


def items_of(model, name):
    """Return what one would save: a model under a name, what its tasks look for, or both as Google's converter does."""
    items = model.checkpoint_items if hasattr(model, "checkpoint_items") else {"encoder": model}
    return {"items": items, "both": {**items, "model": model}}.get(name, {name: model})


def folder_of(path, items):
    path.mkdir(parents=True, exist_ok=True)
    (path / "bert_config.json").write_text(json.dumps(tf1_oracle.CONFIG))
    (path / "vocab.txt").write_text("".join(f"{token}\n" for token in tiny.VOCABULARY))
    tf.train.Checkpoint(**items).write(str(path / PREFIX))
    return path


def features(positions=True):
    places = np.random.default_rng(2).integers(0, np.array(bert_oracle.LENGTHS)[:, None], (BATCH, 3), dtype="int32")
    return {**bert_oracle.inputs(), **({"masked_lm_positions": places} if positions else {})}


def check_encoder(ours, theirs):
    """Both give the same; theirs on every token, padding included, so only real ones count."""
    inputs = bert_oracle.inputs()
    got, want = ours(inputs), dict(theirs(inputs))
    assert bert_oracle.difference(got, want, inputs["input_mask"]) <= 1e-5


def check_pretrainer(bundle, theirs, next_sentence=True):
    got, want = bundle.model(features()), theirs(features())
    if next_sentence:
        np.testing.assert_allclose(got["next_sentence"], want["next_sentence"], atol=1e-5)
        got = got["masked_lm"]
    np.testing.assert_allclose(got, want["mlm_logits"], atol=1e-5)


def keys(prefix):
    return set(tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map())


@pytest.fixture
def encoder():
    return their_encoder()


@pytest.fixture
def pretrainer():
    return their_pretrainer()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("garden") / "encoder", {"encoder": their_encoder()})


@pytest.fixture
def folder(written, tmp_path):
    """Return a folder of a bare encoder to change."""
    return shutil.copytree(written, tmp_path / "copy")


# Reading


@pytest.mark.parametrize("name", ["encoder", "model"])
@pytest.mark.parametrize("version", [1, 2])
def test_an_encoder_is_read(tmp_path, version, name):
    theirs = their_encoder(version)
    folder = folder_of(tmp_path, {name: theirs})
    assert weights.find(folder) == "model_garden"
    bundle = kbz.load(folder, lower=True)
    assert (bundle.config, bundle.head) == (CONFIG, None)
    check_encoder(bundle.encoder, theirs)


def test_every_tensor_is_accounted_for(written, encoder):
    opened = model_garden.open_folder(written)
    model = kbz.build_encoder(opened.config)
    audit = import_rows(model, opened.reader, opened.rows)
    assert audit.where == str(written / PREFIX)
    assert len(audit.matched) == 5 + LAYERS * 16 + 2 == len(keys(written / PREFIX)) - 1
    query = "_transformer_layers/2/_attention_layer/_query_dense/kernel"
    assert ("block_2/attention/query/kernel", f"encoder/{query}") in audit.matched
    assert audit.missing == audit.unused == audit.misshapen == audit.dtype_changes == ()
    found = {weight.path: np.asarray(weight.value) for weight in model.weights}
    attention = encoder.transformer_layers[2]._attention_layer
    want = np.asarray(attention._query_dense.kernel)  # [D,heads,size]
    assert want.shape == (HIDDEN, HEADS, HIDDEN // HEADS)
    np.testing.assert_array_equal(found["block_2/attention/query/kernel"], want.reshape(HIDDEN, HIDDEN))
    out = np.asarray(attention._output_dense.kernel)  # [heads,size,D]
    np.testing.assert_array_equal(found["block_2/attention/output/kernel"], out.reshape(HIDDEN, HIDDEN))


def test_a_model_saved_by_save_weights(tmp_path, encoder):
    folder = folder_of(tmp_path / "theirs", {"encoder": encoder})
    for path in (folder / INDEX, folder / DATA):
        path.unlink()
    encoder.save_weights(str(folder / "weights"), save_format="tf")
    assert not [key for key in keys(folder / "weights") if key.startswith(("encoder", "model"))]
    check_encoder(kbz.load(folder, lower=True).encoder, encoder)


def test_layers_that_are_numbered_only(tmp_path, encoder):
    """Encoders of 2020 named few of their layers: their graph has numbers for the others."""
    module = tf.Module()
    names = ["_embedding_layer", "_position_embedding_layer", "_type_embedding_layer", "_embedding_norm_layer"]
    parts = [*(getattr(encoder, name) for name in names), *encoder.transformer_layers, encoder.pooler_layer]
    for number, part in enumerate(parts):
        setattr(module, f"layer_with_weights-{number}", part)
    folder = folder_of(tmp_path, {"model": module})
    assert f"model/layer_with_weights-3/gamma/{KEY}" in keys(folder / PREFIX)
    check_encoder(kbz.load(folder, lower=True).encoder, encoder)


@pytest.mark.parametrize(("version", "name"), [(1, "model"), (2, "model"), (1, "both"), (2, "pretrainer")])
def test_a_pretrainer_is_read(tmp_path, version, name):
    theirs = their_pretrainer(version)
    folder = folder_of(tmp_path, items_of(theirs, name))
    bundle = kbz.load(folder, lower=True)
    assert bundle.head.name == "pretraining"
    check_pretrainer(bundle, theirs)
    # of the two poolers it is the head's: the encoder's own was trained with nothing
    pooled = bundle.encoder(bert_oracle.inputs())["pooled_output"]
    sequence = theirs(features())["sequence_output"]
    head = theirs.classification_heads[0]
    np.testing.assert_allclose(pooled, head(sequence, only_project=True), atol=1e-5)
    opened = model_garden.open_folder(folder)
    audit = import_rows(Weights(bundle.encoder, bundle.model), opened.reader, [*opened.rows, *heads_rows(bundle)])
    assert audit.unused == ("encoder/_pooler_layer/bias", "encoder/_pooler_layer/kernel")


def heads_rows(bundle):
    return bundle.head.rows("model_garden")


def test_one_head_of_a_pretrainer(tmp_path, pretrainer):
    folder = folder_of(tmp_path, {"model": pretrainer})
    want = pretrainer(features())
    masked = kbz.load(folder, lower=True, head=kbz.heads.MaskedLM())
    np.testing.assert_allclose(masked.model(features()), want["mlm_logits"], atol=1e-5)
    following = kbz.load(folder, lower=True, head=kbz.heads.NextSentence())
    np.testing.assert_allclose(following.model(features(False)), want["next_sentence"], atol=1e-5)
    with pytest.raises(CheckpointError, match=r"unused: 'masked_lm/bias', 'masked_lm/dense/bias'"):
        kbz.load(folder, lower=True, encoder_only=True)
    bare = kbz.load(folder, lower=True, encoder_only=True, unused=["masked_lm/*", "next_sentence/*"])
    np.testing.assert_allclose(bare.encoder(features(False))["sequence_output"], want["sequence_output"], atol=1e-5)


def test_what_tasks_look_for_holds_no_logits(tmp_path, pretrainer):
    """`checkpoint_items` has the head's pooler, but not its logits."""
    folder = folder_of(tmp_path, pretrainer.checkpoint_items)
    bundle = kbz.load(folder, lower=True)
    assert bundle.head.name == "masked_lm"
    np.testing.assert_allclose(bundle.model(features()), pretrainer(features())["mlm_logits"], atol=1e-5)
    dense = pretrainer.classification_heads[0].dense
    np.testing.assert_array_equal(bundle.encoder.get_layer("pooler").kernel.value, dense.kernel)


def test_a_pretrainer_without_next_sentences(tmp_path):
    theirs = their_pretrainer(next_sentence=False)
    bundle = kbz.load(folder_of(tmp_path, {"model": theirs}), lower=True)
    assert bundle.head.name == "masked_lm"
    check_pretrainer(bundle, theirs, next_sentence=False)
    check_encoder(bundle.encoder, theirs.encoder_network)  # its own pooler: there is no other


def test_a_classifier_gives_its_encoder(tmp_path, encoder):
    theirs = models.BertClassifier(encoder, num_classes=3)
    folder = folder_of(tmp_path, {"model": theirs})
    with pytest.raises(CheckpointError, match=r"unused: 'model/layer_with_weights-1/out_proj/bias/\.ATTRIBUTES"):
        kbz.load(folder, lower=True)
    bundle = kbz.load(folder, lower=True, unused=["model/*"])
    check_encoder(bundle.encoder, encoder)


def test_what_training_left_is_accounted_for(tmp_path):
    theirs = their_encoder()
    optimizer = tf_keras.optimizers.legacy.Adam()
    optimizer.apply_gradients([(variable * 0 + 1, variable) for variable in theirs.trainable_variables])
    checkpoint = tf.train.Checkpoint(encoder=theirs, optimizer=optimizer, global_step=tf.Variable(7, dtype="int64"))
    folder = folder_of(tmp_path, {"encoder": theirs})
    checkpoint.save(str(folder / PREFIX))  # model.ckpt-1 and a file `checkpoint`
    opened = model_garden.open_folder(folder)
    assert opened.reader.where == str(folder / f"{PREFIX}-1")
    model = kbz.build_encoder(opened.config)
    audit = import_rows(model, opened.reader, opened.rows)
    kinds = {"save_counter", "global_step", "optimizer"}
    assert {name.split("/")[0] for name in audit.unused if ".OPTIMIZER_SLOT" not in name} == kinds
    assert sum(".OPTIMIZER_SLOT" in name for name in audit.unused) == 2 * len(theirs.trainable_variables)
    check_encoder(model, theirs)


def test_half_precision_is_cast_and_told(tmp_path):
    (tmp_path / "half").mkdir()
    bundle = tiny.bundle(config=CONFIG)
    half = kbz.build_encoder(CONFIG, dtype="bfloat16")
    half.set_weights([weight.numpy().astype(ml_dtypes.bfloat16) for weight in bundle.encoder.weights])
    bundles.write(kbz.Bundle(half, bundle.tokenizer), tmp_path / "half", format="model_garden")
    opened = model_garden.open_folder(tmp_path / "half")
    audit = import_rows(bundle.encoder, opened.reader, opened.rows)
    assert f"changed in dtype: {len(bundle.encoder.weights)} of bfloat16 -> float32" in str(audit)
    for ours, theirs in zip(bundle.encoder.weights, half.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy().astype("float32"))


# What does not fit


def change_config(folder, **changes):
    (folder / "bert_config.json").write_text(json.dumps({**tf1_oracle.CONFIG, **changes}))
    return folder


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        (
            {"num_hidden_layers": LAYERS + 1},
            r"missing: 'encoder/_transformer_layers/3/_attention_layer/_key_dense/bias'",
        ),
        ({"num_hidden_layers": LAYERS - 1}, r"unused: 'encoder/layer_with_weights-6/_attention_layer/_key_dense/bias/"),
        ({"num_attention_heads": 3}, r"_key_dense/bias' is \[4, 3\], the encoder needs \[3, 4\]"),
        ({"vocab_size": VOCAB + 1}, r"_embedding_layer/embeddings' is \[99, 12\], the encoder needs \[100, 12\]"),
        ({"intermediate_size": INNER + 1}, r"_intermediate_dense/kernel' is \[12, 37\], the encoder needs \[12, 38\]"),
    ],
)
def test_a_config_of_other_weights(folder, changes, fact):
    with pytest.raises(CheckpointError, match=fact):
        kbz.load(change_config(folder, **changes), lower=True)


def test_the_keys_that_model_gardens_own_config_adds(folder, encoder):
    config = {**GoogleConfig.from_dict(tf1_oracle.CONFIG).to_dict(), "embedding_size": HIDDEN}
    assert config.keys() - tf1_oracle.CONFIG.keys() == {"embedding_size", "backward_compatible"}
    check_encoder(kbz.load(change_config(folder, **config), lower=True).encoder, encoder)
    with pytest.raises(ConfigError, match=r"embedding_size is 5, but hidden_size 12: its embeddings are factorised"):
        kbz.load(change_config(folder, embedding_size=5), lower=True)


def test_missing_and_stray_tensors(tmp_path, encoder):
    module = tf.Module()
    module._embedding_layer = encoder._embedding_layer
    module.stray = tf.Variable([1.0])
    folder = folder_of(tmp_path, {"encoder": module})
    with pytest.raises(CheckpointError) as told:
        kbz.load(folder, lower=True)
    assert "missing: 'encoder/_transformer_layers/0/_attention_layer/_key_dense/bias' (for block_0" in str(told.value)
    assert f"unused: 'encoder/stray/{KEY}'." in str(told.value)


def test_a_checkpoint_of_something_else(tmp_path):
    folder = folder_of(tmp_path, {"model": tf.Module(), "step": tf.Variable(3)})
    with pytest.raises(CheckpointError, match=r"bert_model\.ckpt: there is no BertEncoder in it"):
        kbz.load(folder, lower=True)


def test_the_other_kind_of_checkpoint(folder, tmp_path):
    with pytest.raises(
        CheckpointError,
        match=r"\.ckpt holds a graph of objects, as TF2 writes them, not tensors by name, as TF1 writes them\."
        r" Open it with format='model_garden'\.",
    ):
        kbz.load(folder, format="tf1", lower=True)
    theirs = tf1_oracle.write_folder(tmp_path / "tf1", tf1_oracle.named(tf1_oracle.tensors()), tiny.VOCABULARY)
    with pytest.raises(CheckpointError, match=r"holds tensors by name, .*Open it with format='tf1'\."):
        kbz.load(theirs, format="model_garden", lower=True)


def test_without_a_config_and_without_a_checkpoint(folder):
    (folder / "bert_config.json").unlink()
    with pytest.raises(ConfigError, match=r"copy has no bert_config\.json"):
        kbz.load(folder, lower=True)
    (folder / INDEX).unlink()
    with pytest.raises(CheckpointError, match=r"copy has no checkpoint"):
        model_garden.open_folder(folder)


@pytest.mark.parametrize("keep", [100, -1])
def test_data_that_are_cut_off(folder, keep):
    path = folder / DATA
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cannot be read: |they are cut off"):
        kbz.load(folder, lower=True)


# Writing


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["encoder", "model"])
def test_the_real_encoders_restore_what_was_written(tmp_path, version, name):
    bundle = tiny.bundle(config=CONFIG)
    audit = bundles.write(bundle, tmp_path, format="model_garden")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["bert_config.json", "vocab.txt", INDEX, DATA, "zoo.json"]
    )
    theirs = their_encoder(version)
    status = tf.train.Checkpoint(**{name: theirs}).restore(str(tmp_path / PREFIX))
    status.assert_existing_objects_matched()
    check_encoder(bundle.encoder, theirs)
    assert len(audit.matched) == len(bundle.encoder.weights)
    assert (audit.where, audit.config_changes) == (str(tmp_path / PREFIX), ())


def test_the_keys_are_those_of_the_real_classes(tmp_path, encoder, pretrainer):
    for folder, head, theirs in (("one", None, encoder), ("two", kbz.heads.Pretraining(), pretrainer)):
        (tmp_path / folder).mkdir()
        bundles.write(tiny.bundle(head, config=CONFIG), tmp_path / folder, format="model_garden")
        real = tf.train.Checkpoint(**items_of(theirs, "both")).save(str(tmp_path / "theirs" / folder))
        assert keys(tmp_path / folder / PREFIX) == keys(real)


@pytest.mark.parametrize(("version", "name"), [(1, "model"), (2, "model"), (1, "items"), (2, "both")])
def test_the_real_pretrainers_restore_what_was_written(tmp_path, version, name):
    bundle = tiny.bundle(kbz.heads.Pretraining(), config=CONFIG)
    audit = bundles.write(bundle, tmp_path, format="model_garden")
    theirs = their_pretrainer(version)
    items = items_of(theirs, name)
    if name == "items":  # it has no logits of the head: they come from the model itself
        tf.train.Checkpoint(model=theirs).restore(str(tmp_path / PREFIX)).assert_existing_objects_matched()
        shaken(theirs.encoder_network, seed=9)
    tf.train.Checkpoint(**items).restore(str(tmp_path / PREFIX)).assert_existing_objects_matched()
    check_pretrainer(bundle, theirs)
    check_encoder(bundle.encoder, theirs.encoder_network)  # both poolers are ours
    assert ("pooler/kernel", "next_sentence/dense/kernel") in audit.matched
    assert ("pooler/kernel", "encoder/_pooler_layer/kernel") in audit.matched


def test_a_task_of_model_garden_starts_from_what_was_written(tmp_path):
    """As its tasks do: an encoder built from their config, restored through the model's `checkpoint_items`."""
    bundle = tiny.bundle(config=CONFIG)
    bundles.write(bundle, tmp_path, format="model_garden")
    config = encoders.BertEncoderConfig(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,
        num_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=POSITIONS,
        type_vocab_size=TYPES,
    )
    model = models.BertClassifier(
        encoders.build_encoder(encoders.EncoderConfig(type="bert", bert=config)), num_classes=3
    )
    checkpoint = tf.train.Checkpoint(**model.checkpoint_items)
    checkpoint.read(str(tmp_path / PREFIX)).expect_partial().assert_existing_objects_matched()
    check_encoder(bundle.encoder, model.checkpoint_items["encoder"])


@pytest.mark.parametrize("head", [kbz.heads.MaskedLM, kbz.heads.NextSentence])
def test_one_head_is_written(tmp_path, head):
    bundle = tiny.bundle(head(), config=CONFIG)
    bundles.write(bundle, tmp_path, format="model_garden")
    theirs = their_pretrainer(next_sentence=head.name == "next_sentence")
    status = tf.train.Checkpoint(model=theirs).restore(str(tmp_path / PREFIX))
    if head.name == "masked_lm":
        status.assert_existing_objects_matched()
        check_pretrainer(bundle, theirs, next_sentence=False)
    else:
        status.expect_partial()
        want = theirs(features())["next_sentence"]
        np.testing.assert_allclose(bundle.model(features(False)), want, atol=1e-5)


@pytest.mark.parametrize("head", [None, "pretraining", "masked_lm", "next_sentence"])
def test_what_is_written_comes_back_to_the_bit(tmp_path, head):
    bundle = tiny.bundle(kbz.heads.make(head, {}) if head else None, config=CONFIG)
    bundles.write(bundle, tmp_path, format="model_garden")
    assert json.loads((tmp_path / "bert_config.json").read_text()) == {
        **tf1_oracle.CONFIG,
        "initializer_range": CONFIG.initializer_range,
    }
    (tmp_path / "zoo.json").unlink()  # the checkpoint tells the head
    again = kbz.load(tmp_path, lower=True)
    assert (again.config, again.head and again.head.name) == (CONFIG, head)
    one, other = (Weights(it.encoder, it.model).weights for it in (again, bundle))
    for ours, theirs in zip(one, other, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.value, theirs.value)


def test_a_config_that_model_garden_has_no_word_for(tmp_path):
    bundle = tiny.bundle(config=CONFIG.replace(hidden_act="gelu_erf", pooler=False))
    with pytest.raises(ConfigError, match=r"'model_garden' has no word for pooler False \(only True\)"):
        bundles.write(bundle, tmp_path, format="model_garden", allow=["hidden_act"])
    assert not list(tmp_path.iterdir())
    audit = bundles.write(bundle, tmp_path, format="model_garden", allow=["hidden_act", "pooler"])
    assert audit.config_changes == ("hidden_act 'gelu_erf' -> 'gelu_tanh'", "pooler False -> True")
    theirs = their_encoder()
    before = theirs.pooler_layer.kernel.numpy()
    tf.train.Checkpoint(encoder=theirs).restore(str(tmp_path / PREFIX)).expect_partial()
    np.testing.assert_array_equal(theirs.pooler_layer.kernel, before)  # nothing is written for it
    again = kbz.load(tmp_path)
    assert again.config == CONFIG.replace(pooler=False)
    for ours, other in zip(again.encoder.weights, bundle.encoder.weights, strict=True):
        np.testing.assert_array_equal(ours.value, other.value)


def test_a_new_pooler_counts_as_one(tmp_path):
    head = kbz.heads.Pretraining(new_pooler=True)
    bundle = tiny.bundle(head, config=CONFIG.replace(pooler=False))
    bundles.write(bundle, tmp_path, format="model_garden")
    theirs = their_pretrainer()
    tf.train.Checkpoint(model=theirs).restore(str(tmp_path / PREFIX)).assert_existing_objects_matched()
    check_pretrainer(bundle, theirs)


def test_heads_that_have_no_place(tmp_path):
    with pytest.raises(ConfigError, match=r"'model_garden' has no place for the head 'classification'"):
        bundles.write(tiny.bundle(kbz.heads.Classification(["a", "b"]), config=CONFIG), tmp_path, format="model_garden")
    assert not list(tmp_path.iterdir())


def test_a_path_with_spaces_and_other_letters(tmp_path):
    bundle = tiny.bundle(config=CONFIG)
    folder = tmp_path / "déjà vu 中文"
    folder.mkdir()
    bundles.write(bundle, folder, format="model_garden")
    np.testing.assert_array_equal(kbz.load(folder).encoder.weights[3].value, bundle.encoder.weights[3].value)


# Google's own converter, from TF1 to TF2


@pytest.mark.parametrize("kind", ["encoder", "pretrainer"])
def test_googles_converter_reads_our_tf1_checkpoints(tmp_path, kind):
    """It knows the names of TF1 independently of us; what it makes is read as well."""
    head = None if kind == "encoder" else kbz.heads.MaskedLM()
    bundle = tiny.bundle(head, config=CONFIG)
    for name in ("tf1", "tf2"):
        (tmp_path / name).mkdir()
    bundles.write(bundle, tmp_path / "tf1", format="tf1")
    converter.convert_checkpoint(
        GoogleConfig.from_json_file(str(tmp_path / "tf1" / "bert_config.json")),
        str(tmp_path / "tf2" / PREFIX),
        str(tmp_path / "tf1" / PREFIX),
        checkpoint_model_name="model",
        converted_model=kind,
    )
    for name in ("bert_config.json", "vocab.txt"):
        shutil.copy(tmp_path / "tf1" / name, tmp_path / "tf2" / name)
    again = kbz.load(tmp_path / "tf2", lower=True)
    assert (again.head and again.head.name) == (head and head.name)
    one, other = (Weights(it.encoder, it.model).weights for it in (again, bundle))
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours.value, theirs.value)
