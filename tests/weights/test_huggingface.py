"""Hugging Face folders: read, written, and refused with a reason."""

import dataclasses
import itertools
import json
import shlex
import warnings

import bert_oracle
import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tiny
from sizes import HIDDEN, LAYERS, POSITIONS

import keras_bert_zoo as kbz
from keras_bert_zoo import weights
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.encoder import build_encoder
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.weights.formats import Weights
from keras_bert_zoo.weights.huggingface import import_weights, read_config, tensor_names, write_config, write_weights
from keras_bert_zoo.weights.rows import TRANSPOSE, Row

CONFIG = BertConfig.from_huggingface(bert_oracle.CONFIG)
TENSORS = bert_oracle.tensors(bert_oracle.CONFIG)
HEAD_ROWS = (Row("head_logits/kernel", "classifier.weight", TRANSPOSE), Row("head_logits/bias", "classifier.bias"))
HEAD = {
    "classifier.weight": np.arange(3 * HIDDEN, dtype=np.float32).reshape(3, HIDDEN),
    "classifier.bias": np.array([0.5, -1.5, 2.5], np.float32),
}


ALL_HEADS = [
    kbz.heads.Classification(["a", "b", "c"]),
    kbz.heads.MultiLabel(["a", "b", "c"]),
    kbz.heads.Regression(),
    kbz.heads.TokenClassification(["O", "B-x", "I-x"]),
    kbz.heads.QuestionAnswering(),
    kbz.heads.MultipleChoice(),
    kbz.heads.MaskedLM(),
    kbz.heads.NextSentence(),
    kbz.heads.Pretraining(),
    kbz.heads.SentenceEmbedding(),
]


def prefixed(values, prefix="bert."):
    return {prefix + name: value for name, value in values.items()}


def old_norms(values):
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in values.items()
    }


def folder_of(path, values=TENSORS, config=bert_oracle.CONFIG):
    return bert_oracle.write_folder(path, config, values)


def constants(model):
    """Give every weight a value that no file holds, and return those values."""
    for variable in model.weights:
        variable.assign(np.full(variable.shape, 77.0))
    return model


def is_untouched(model):
    return all((np.asarray(variable.value) == 77).all() for variable in model.weights)


def task_model(encoder, nested):
    pooled = (encoder(encoder.input) if nested else encoder.output)["pooled_output"]
    return keras.Model(encoder.input, keras.layers.Dense(3, name="head_logits")(pooled), name="task")


def read(path):
    with safetensors.safe_open(path, "np") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.fixture
def encoder():
    return constants(build_encoder(CONFIG))


@pytest.fixture(scope="module")
def expected():
    return bert_oracle.bert(bert_oracle.CONFIG, TENSORS, bert_oracle.inputs())


def check_outputs(encoder, expected, bound=1e-5):
    features = bert_oracle.inputs()
    found = encoder(features)
    assert bert_oracle.difference(found, expected, features["input_mask"]) <= bound


def test_the_table_of_formats():
    for name, module in weights.FORMATS.items():
        assert module == f"keras_bert_zoo.weights.{name}"
        for function in ("belongs", "open_folder", "write_folder"):
            assert callable(getattr(weights.named(name), function))


# Reading


@pytest.mark.parametrize("spelling", [dict, old_norms])
@pytest.mark.parametrize("prefix", ["", "bert."])
def test_every_spelling_is_read(tmp_path, encoder, expected, prefix, spelling):
    ids = {f"{prefix}embeddings.position_ids": np.arange(POSITIONS)[None]}
    folder = folder_of(tmp_path, {**spelling(prefixed(TENSORS, prefix)), **ids})
    audit = import_weights(encoder, folder)
    check_outputs(encoder, expected)
    assert audit.where == str(folder / "model.safetensors")
    assert len(audit.matched) == len(TENSORS) == len(encoder.weights) == 5 + LAYERS * 16 + 2
    assert ("block_1/inner/kernel", f"{prefix}encoder.layer.1.intermediate.dense.weight") in audit.matched
    assert audit.constants == tuple(ids)
    assert audit.missing == audit.unused == audit.misshapen == audit.dtype_changes == ()
    assert read_config(folder) == (CONFIG, bert_oracle.CONFIG)
    assert tensor_names(folder) == sorted(read(folder / "model.safetensors")[1])


def test_a_weight_is_where_it_belongs(tmp_path, encoder):
    import_weights(encoder, folder_of(tmp_path))
    found = {variable.path: np.asarray(variable.value) for variable in encoder.weights}
    np.testing.assert_array_equal(
        found["block_2/attention/key/kernel"], TENSORS["encoder.layer.2.attention.self.key.weight"].T
    )
    np.testing.assert_array_equal(found["embeddings/norm/gamma"], TENSORS["embeddings.LayerNorm.weight"])
    np.testing.assert_array_equal(found["pooler/bias"], TENSORS["pooler.dense.bias"])


@pytest.mark.parametrize("nested", [False, True])
def test_a_task_model_is_read_with_its_head(tmp_path, encoder, expected, nested):
    model = constants(task_model(encoder, nested))
    audit = import_weights(model, folder_of(tmp_path, {**prefixed(TENSORS), **HEAD}), head_rows=HEAD_ROWS)
    assert len(audit.matched) == len(TENSORS) + 2
    check_outputs(encoder, expected)
    logits = expected["pooled_output"] @ HEAD["classifier.weight"].T + HEAD["classifier.bias"]
    np.testing.assert_allclose(np.asarray(model(bert_oracle.inputs())), logits, atol=1e-4)


def test_a_folder_without_a_pooler(tmp_path, expected):
    folder = folder_of(tmp_path, {k: v for k, v in TENSORS.items() if not k.startswith("pooler")})
    config, _ = read_config(folder)
    assert config == CONFIG.replace(pooler=False)
    encoder = build_encoder(config)
    assert len(import_weights(encoder, folder).matched) == len(TENSORS) - 2
    check_outputs(encoder, {name: value for name, value in expected.items() if name != "pooled_output"})


@pytest.mark.parametrize(
    ("dtype", "name", "bound"),
    [
        (np.float16, "float16", 1e-2),
        (ml_dtypes.bfloat16, "bfloat16", 0.2),
        (np.float64, "float64", 1e-5),
    ],
)
def test_other_precisions_are_cast_and_named(tmp_path, encoder, expected, dtype, name, bound):
    values = {key: value.astype(dtype) for key, value in TENSORS.items()}
    audit = import_weights(encoder, folder_of(tmp_path, values))
    check_outputs(encoder, expected, bound)
    for variable, (_, theirs) in zip(encoder.weights, audit.matched, strict=False):
        assert variable.dtype == "float32"
        assert theirs in values
    assert f"'pooler.dense.bias' {name} -> float32" in audit.dtype_changes
    assert len(audit.dtype_changes) == len(TENSORS)
    assert f"changed in dtype: {len(TENSORS)} of {name} -> float32" in str(audit)
    bias = next(v for v in encoder.weights if v.path == "pooler/bias")
    np.testing.assert_array_equal(np.asarray(bias.value), values["pooler.dense.bias"].astype(np.float32))


def test_several_files_with_an_index(tmp_path, encoder, expected):
    names = sorted(TENSORS)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in halves.items():
        folder_of(tmp_path, {name: TENSORS[name] for name in part})
        (tmp_path / "model.safetensors").rename(tmp_path / file)
    index = {"metadata": {}, "weight_map": {name: file for file, part in halves.items() for name in part}}
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    audit = import_weights(encoder, tmp_path)
    assert audit.where == str(path)
    check_outputs(encoder, expected)

    def refused(fact, weight_map):
        path.write_text(json.dumps({"weight_map": weight_map}))
        with pytest.raises(CheckpointError, match=fact):
            import_weights(encoder, tmp_path)

    good = index["weight_map"]
    refused(r"'weight_map' is not a table of tensor name -> file name", [names])
    refused(r"\.\./elsewhere\.safetensors is not a file name in that folder", {**good, "x": "../elsewhere.safetensors"})
    refused(r"third\.safetensors is missing, though the index names it", {**good, "x": "third.safetensors"})
    refused(r"do not agree on 'x' in model-00001-of-00002", {**good, "x": "model-00001-of-00002.safetensors"})
    refused(
        r"do not agree on 'pooler.dense.bias' in model-", {k: v for k, v in good.items() if k != "pooler.dense.bias"}
    )
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"index\.json cannot be read as JSON"):
        import_weights(encoder, tmp_path)


@pytest.mark.parametrize("head", ALL_HEADS, ids=lambda head: head.name)
def test_every_head_in_every_spelling(tmp_path, head):
    bundle = tiny.bundle(head)
    kbz.save(bundle, tmp_path)
    path = tmp_path / "model.safetensors"
    _, written = read(path)
    assert any(name.startswith("bert.") for name in written) != head.whole_encoder
    values = {name.removeprefix("bert."): value for name, value in written.items()}
    if "cls.predictions.bias" in values:  # the copies that older files hold
        values["cls.predictions.decoder.weight"] = values["embeddings.word_embeddings.weight"]
        values["cls.predictions.decoder.bias"] = values["cls.predictions.bias"]
    model = Weights(bundle.encoder, bundle.model) if head.whole_encoder else bundle.model
    expected = {weight.path: np.asarray(weight.value) for weight in model.weights}
    for prefix, spelling in itertools.product(["", "bert."], [dict, old_norms]):
        parts = ("embeddings.", "encoder.", "pooler.")
        renamed = {(prefix if n.startswith(parts) else "") + n: v for n, v in values.items()}
        path.unlink()
        safetensors.numpy.save_file(spelling(renamed), path, metadata={"format": "pt"})
        for weight in model.weights:
            weight.assign(np.full(weight.shape, 77.0))
        assert import_weights(model, tmp_path, head_rows=head.rows("huggingface")).unused == ()
        for weight in model.weights:
            np.testing.assert_array_equal(weight, expected[weight.path])


# Strict accounting


def test_all_that_does_not_fit_is_said_at_once_and_nothing_changes(tmp_path, encoder):
    values = dict(TENSORS)
    del values["pooler.dense.bias"]
    values["embeddings.word_embeddings.weight"] = np.zeros((9, HIDDEN), np.float32)
    values["encoder.layer.0.output.dense.weight"] = np.ascontiguousarray(
        values["encoder.layer.0.output.dense.weight"].T
    )
    values["encoder.layer.1.output.dense.bias"] = np.zeros(HIDDEN, np.int32)
    values["embeddings.position_ids"] = np.arange(POSITIONS)[None, ::-1]
    values |= {"cls.seq.weight": np.zeros((2, 3), np.float32), "encoder.layer.3.stray": np.zeros(1, np.float32)}
    folder = folder_of(tmp_path, values)
    with pytest.raises(CheckpointError) as caught:
        import_weights(encoder, folder)
    assert str(caught.value) == (
        f"{folder / 'model.safetensors'}: 'embeddings.word_embeddings.weight' is [9, 12], the encoder needs [99, 12];"
        " 'encoder.layer.0.output.dense.weight' is [37, 12], the encoder needs [12, 37];"
        " 'encoder.layer.1.output.dense.bias' holds int32, the encoder needs one of float64, float32, float16,"
        " bfloat16;"
        " 'embeddings.position_ids' does not hold the constant that it is in every such file;"
        " missing: 'pooler.dense.bias' (for pooler/bias); unused: 'cls.seq.weight', 'encoder.layer.3.stray'."
        " Build it from the config in that folder. What may be left out is named with missing= and unused=."
    )
    assert is_untouched(encoder)


def test_a_wrong_vocabulary_size(tmp_path):
    folder = folder_of(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        import_weights(build_encoder(CONFIG.replace(vocab_size=98)), folder)
    assert str(caught.value) == (
        f"{folder / 'model.safetensors'}: 'embeddings.word_embeddings.weight' is [99, 12], the encoder needs [98, 12]."
        " Build it from the config in that folder."
    )


def test_position_ids_of_another_length(tmp_path, encoder):
    folder = folder_of(tmp_path, {**TENSORS, "embeddings.position_ids": np.arange(POSITIONS + 1)[None]})
    with pytest.raises(CheckpointError, match=r"'embeddings.position_ids' is \[1, 24\], the encoder needs \[1, 23\]"):
        import_weights(encoder, folder)
    assert is_untouched(encoder)


def test_a_layer_too_many_and_one_too_few(tmp_path):
    folder = folder_of(tmp_path)
    with pytest.raises(CheckpointError, match=r"missing: 'encoder\.layer\.3") as more:
        import_weights(build_encoder(CONFIG.replace(num_hidden_layers=LAYERS + 1)), folder)
    assert str(more.value).count("encoder.layer.3.") == 16
    with pytest.raises(CheckpointError, match=r"unused: 'encoder\.layer\.2") as fewer:
        import_weights(build_encoder(CONFIG.replace(num_hidden_layers=LAYERS - 1)), folder)
    assert str(fewer.value).count("encoder.layer.2.") == 16


def test_what_may_be_left_out_is_named(tmp_path, encoder, expected):
    model = constants(task_model(encoder, nested=False))
    folder = folder_of(
        tmp_path, {**prefixed(TENSORS), "cls.a": np.zeros(1, np.float32), "cls.b": np.zeros(2, np.float32)}
    )
    audit = import_weights(model, folder, unused=["cls.*"], missing=["head_*"])
    assert audit.unused == ("cls.a", "cls.b")
    assert audit.missing == ("head_logits/bias", "head_logits/kernel")
    assert "unused: cls.a, cls.b" in str(audit)
    assert "missing: head_logits/bias" in str(audit)
    assert (np.asarray(model.get_layer("head_logits").kernel) == 77).all()
    check_outputs(encoder, expected)


def test_a_head_that_the_file_lacks(tmp_path, encoder):
    model = constants(task_model(encoder, nested=False))
    with pytest.raises(
        CheckpointError, match=r"missing: 'classifier\.bias' \(for head_logits/bias\), 'classifier\.weight'"
    ):
        import_weights(model, folder_of(tmp_path), head_rows=HEAD_ROWS)
    with pytest.raises(CheckpointError, match=r"missing: 'head_logits/bias', 'head_logits/kernel'\."):
        import_weights(model, folder_of(tmp_path))
    assert is_untouched(model)


def test_a_pattern_that_names_nothing_is_an_error(tmp_path, encoder):
    with pytest.raises(CheckpointError) as caught:
        import_weights(encoder, folder_of(tmp_path), unused=["cls.*", "pooler.*"], missing=["head_*"])
    for fact in (
        "the pattern missing='head_*' names nothing that is missing",
        "the pattern unused='cls.*' names nothing that is unused",
        "the pattern unused='pooler.*' names nothing",
    ):
        assert fact in str(caught.value)
    assert is_untouched(encoder)


def test_an_audit_can_be_read_by_people_and_programs(tmp_path, encoder):
    folder = folder_of(tmp_path)
    audit = import_weights(encoder, folder)
    assert str(audit) == f"{folder / 'model.safetensors'}: {len(TENSORS)} tensors matched."
    plain = json.loads(json.dumps(audit.to_dict()))
    assert plain["matched"][0] == ["embeddings/token/embeddings", "embeddings.word_embeddings.weight"]
    assert set(plain) == {
        "where",
        "matched",
        "constants",
        "missing",
        "unused",
        "misshapen",
        "dtype_changes",
        "config_changes",
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        audit.where = "elsewhere"


def test_weights_of_one_name_are_refused(tmp_path, encoder):
    other = build_encoder(CONFIG)
    other.name = "second"
    features = encoder.input
    both = keras.layers.Add(name="add")([m(features)["pooled_output"] for m in (encoder, other)])
    model = keras.Model(features, both, name="twins")
    with pytest.raises(CheckpointError, match=r"Model 'twins' has 'block_0/.*more than once"):
        import_weights(model, folder_of(tmp_path))


def test_a_model_that_is_no_bert(tmp_path):
    x = keras.Input((3,))
    stranger = keras.Model(x, keras.layers.Dense(2)(x), name="stranger")
    with pytest.raises(CheckpointError, match=r"Model 'stranger' has no BERT encoder in it"):
        import_weights(stranger, folder_of(tmp_path))
    with pytest.raises(CheckpointError, match=r"Model 'stranger' has no BERT encoder in it"):
        write_weights(stranger, tmp_path, prefix=False)


# Files that cannot be read


def test_files_that_are_not_there(tmp_path, encoder):
    with pytest.raises(CheckpointError, match=r"absent: there is no such folder"):
        import_weights(encoder, tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"absent: there is no such folder"):
        read_config(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(bert_oracle.CONFIG))
    with pytest.raises(
        CheckpointError, match=r"has no weights: neither model\.safetensors nor model\.safetensors\.index"
    ):
        read_config(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(
        CheckpointError, match=r"only pytorch_model\.bin, a pickle.*runs any code.*convert it.*this does: python -c"
    ) as caught:
        import_weights(encoder, tmp_path)
    assert "\n" not in str(caught.value)
    python, option, code, folder = shlex.split(str(caught.value).split("this does: ")[1])
    assert (python, option, folder) == ("python", "-c", str(tmp_path))
    compile(code, "command", "exec")
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "pytorch_model.bin.index.json")
    with pytest.raises(CheckpointError, match=r"only pytorch_model\.bin, a pickle"):
        import_weights(encoder, tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_file_that_is_cut_off(tmp_path, encoder, keep):
    path = folder_of(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        CheckpointError, match=rf"safetensors \({path.stat().st_size} bytes\) cannot be read: .*fetch it again"
    ):
        import_weights(encoder, tmp_path)
    assert is_untouched(encoder)


def test_a_file_that_is_a_pointer(tmp_path, encoder):
    path = folder_of(tmp_path) / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:53aa5117\nsize 90868376\n")
    with pytest.raises(CheckpointError, match=r"only a pointer of Git LFS: run `git lfs pull`"):
        import_weights(encoder, tmp_path)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (b'{"hidden_size": ', r"config\.json cannot be read as JSON: "),
        (b"\xff\xfe", r"config\.json cannot be read as JSON: "),
        (b"[1]", r"config\.json holds a JSON list, an object was expected"),
        (b'{"model_type": "t5"}', r"config\.json: model_type is 't5'"),
        (b'{"hiden_size": 3}', r"config\.json: unknown key hiden_size"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path, text, fact):
    folder_of(tmp_path)
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ConfigError, match=fact):
        read_config(tmp_path)


def test_weights_of_another_model(tmp_path, encoder):
    folder_of(tmp_path, {"shared.weight": np.zeros(3, np.float32)})
    with pytest.raises(
        CheckpointError,
        match=r"neither 'bert\.embeddings\.word_embeddings\.weight' nor 'emb.*not the weights of a BERT",
    ):
        import_weights(encoder, tmp_path)
    with pytest.raises(CheckpointError, match=r"neither 'bert\."):
        read_config(tmp_path)


# Writing


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_what_is_written_is_what_was_read(tmp_path, encoder, prefix):
    import_weights(encoder, folder_of(tmp_path / "theirs"))
    audit = write_weights(encoder, tmp_path / "ours", prefix=bool(prefix))
    metadata, found = read(tmp_path / "ours" / "model.safetensors")
    assert metadata == {"format": "pt"}
    assert set(found) == set(prefixed(TENSORS, prefix))
    for name, value in prefixed(TENSORS, prefix).items():
        assert found[name].dtype == np.float32
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes(), name
    assert sorted(theirs for _, theirs in audit.matched) == sorted(found)
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["model.safetensors"]


def test_a_head_is_written_with_it(tmp_path, encoder, expected):
    model = constants(task_model(encoder, nested=True))
    values = {**prefixed(TENSORS), **HEAD}
    import_weights(model, folder_of(tmp_path, values), head_rows=HEAD_ROWS)
    with pytest.raises(
        CheckpointError, match=r"no row.*'head_logits/bias', 'head_logits/kernel'\. Pass the rows of its head"
    ):
        write_weights(model, tmp_path / "ours", prefix=True)
    assert not (tmp_path / "ours").exists()
    write_weights(model, tmp_path / "ours", head_rows=HEAD_ROWS, prefix=True)
    _, found = read(tmp_path / "ours" / "model.safetensors")
    assert {name: value.tobytes() for name, value in found.items()} == {k: v.tobytes() for k, v in values.items()}
    twins = (Row("head_logits/kernel", "classifier.bias"), HEAD_ROWS[1])
    with pytest.raises(CheckpointError, match=r"Model 'task' would write 'classifier\.bias' more than once"):
        write_weights(model, tmp_path / "ours", head_rows=twins, prefix=True)


def test_stored_half_precision_stays_half(tmp_path):
    values = {name: value.astype(ml_dtypes.bfloat16) for name, value in TENSORS.items()}
    encoder = build_encoder(CONFIG, dtype="bfloat16")
    assert import_weights(encoder, folder_of(tmp_path, values)).dtype_changes == ()
    write_weights(encoder, tmp_path / "ours", prefix=False)
    _, found = read(tmp_path / "ours" / "model.safetensors")
    assert {value.dtype.name for value in found.values()} == {"bfloat16"}
    assert all(found[name].tobytes() == value.tobytes() for name, value in values.items())
    audit = import_weights(encoder, folder_of(tmp_path / "full"))
    assert len(audit.dtype_changes) == len(TENSORS)
    assert "'pooler.dense.bias' float32 -> bfloat16" in audit.dtype_changes


def test_a_failed_write_leaves_the_old_file(tmp_path, encoder, monkeypatch):
    path = folder_of(tmp_path) / "model.safetensors"
    before = path.read_bytes()

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match="No space left"):
        write_weights(encoder, tmp_path, prefix=False)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_the_config_is_written_with_the_words_of_the_head(tmp_path):
    extra = {"id2label": {"0": "no", "1": "naïve"}, "architectures": ["BertForSequenceClassification"]}
    write_config(CONFIG, tmp_path, architecture="BertForSequenceClassification", extra=extra)
    write_weights(constants(build_encoder(CONFIG)), tmp_path, prefix=True)
    config, values = read_config(tmp_path)
    assert config == CONFIG
    assert values == {**values, **extra, "model_type": "bert", "hidden_act": "gelu"}
    assert "naïve" in (tmp_path / "config.json").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.json: hidden_size would be 5, but the model has 12"):
        write_config(CONFIG, tmp_path, architecture="BertModel", extra={"hidden_size": 5})
    assert read_config(tmp_path) == (config, values)


# Precision and shards


def half_folder(path, dtype=ml_dtypes.bfloat16):
    folder = folder_of(path, {name: value.astype(dtype) for name, value in TENSORS.items()})
    tiny.tokenizer().save(folder)
    return folder


@pytest.mark.parametrize(("dtype", "name"), [(ml_dtypes.bfloat16, "bfloat16"), (np.float16, "float16")])
def test_half_precision_is_widened_with_a_word(tmp_path, dtype, name):
    folder = half_folder(tmp_path, dtype)
    with pytest.warns(
        UserWarning, match=rf"stores {name}; it is loaded as float32.*dtype=\"{name}\" to keep it"
    ) as told:
        bundle = kbz.load(folder)
    assert told[0].filename == __file__
    assert {weight.dtype for weight in bundle.encoder.weights} == {"float32"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert {weight.dtype for weight in kbz.load(folder, dtype="float32").encoder.weights} == {"float32"}
        for same in (name, "auto"):
            kept = kbz.load(folder, dtype=same)
            assert {weight.dtype for weight in kept.encoder.weights} == {name}
    bias = kept.encoder.get_layer("pooler").bias
    assert np.asarray(bias.value).tobytes() == TENSORS["pooler.dense.bias"].astype(dtype).tobytes()


def test_the_dtype_of_a_file_that_has_several(tmp_path):
    mixed = {
        name: value.astype(ml_dtypes.bfloat16 if "dense" in name else np.float32) for name, value in TENSORS.items()
    }
    tiny.tokenizer().save(folder_of(tmp_path, mixed))
    assert {weight.dtype for weight in kbz.load(tmp_path, dtype="auto").encoder.weights} == {"float32"}


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_saving_in_half_precision_is_asked_for(tmp_path, name):
    bundle = tiny.bundle(kbz.heads.Classification(["a", "b", "c"]))
    kbz.save(bundle, tmp_path / "whole")
    kbz.save(bundle, tmp_path / "half", dtype=name)
    told = {folder: json.loads((tmp_path / folder / "config.json").read_text()) for folder in ("whole", "half")}
    assert [told["whole"][key] for key in ("dtype", "torch_dtype")] == ["float32"] * 2
    assert [told["half"][key] for key in ("dtype", "torch_dtype")] == [name] * 2
    whole, half = (read(tmp_path / folder / "model.safetensors")[1] for folder in ("whole", "half"))
    assert {value.dtype.name for value in whole.values()} == {"float32"}
    assert {value.dtype.name for value in half.values()} == {name}
    for key, value in whole.items():
        assert half[key].tobytes() == value.astype(half[key].dtype).tobytes()
    audit = write_weights(bundle.encoder, tmp_path / "a", prefix=False, dtype=name)
    assert f"changed in dtype: {len(TENSORS)} of float32 -> {name}" in str(audit)
    with pytest.raises(ConfigError, match="dtype is 'int8', weights are written as one of float32, bfloat16, float16"):
        kbz.save(bundle, tmp_path / "no", dtype="int8")
    assert not (tmp_path / "no").exists()


def test_weights_in_several_files(tmp_path):
    bundle = tiny.bundle(kbz.heads.MaskedLM())
    whole = kbz.save(bundle, tmp_path / "whole")
    parts = kbz.save(bundle, tmp_path / "parts", max_shard_size="10KB")
    index = json.loads((parts / "model.safetensors.index.json").read_text())
    _, expected = read(whole / "model.safetensors")
    files = sorted(path.name for path in parts.glob("*.safetensors"))
    assert len(files) > 2
    assert files == [f"model-{i:05}-of-{len(files):05}.safetensors" for i in range(1, len(files) + 1)]
    assert index["metadata"] == {
        "total_parameters": sum(value.size for value in expected.values()),
        "total_size": sum(value.nbytes for value in expected.values()),
    }
    found = {}
    for name in files:
        metadata, values = read(parts / name)
        assert metadata == {"format": "pt"}
        assert sum(value.nbytes for value in values.values()) <= 10_000
        assert {index["weight_map"][tensor] for tensor in values} == {name}
        found |= values
    assert {n: x.tobytes() for n, x in found.items()} == {n: x.tobytes() for n, x in expected.items()}
    first = index["weight_map"]["bert.embeddings.word_embeddings.weight"]  # layer by layer, as transformers does
    assert first == files[0]
    assert index["weight_map"]["cls.predictions.bias"] == files[-1]
    again = kbz.load(parts)
    for one, other in zip(again.model.trainable_variables, bundle.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)
    one_file = kbz.save(bundle, tmp_path / "one", max_shard_size="5GB")
    _, alone = read(one_file / "model.safetensors")
    assert {n: x.tobytes() for n, x in alone.items()} == {n: x.tobytes() for n, x in expected.items()}
    assert not (one_file / "model.safetensors.index.json").exists()


@pytest.mark.parametrize("size", ["much", "5XB", 0, -1, ""])
def test_a_shard_size_that_is_none(tmp_path, size):
    with pytest.raises(ConfigError, match=rf"max_shard_size is {size!r}, write bytes or a size such as 500MB or 5GB"):
        kbz.save(tiny.bundle(), tmp_path / "no", max_shard_size=size)
    with pytest.raises(ConfigError, match=r"'keras_hub' has one file of weights: leave out max_shard_size"):
        kbz.save(tiny.bundle(), tmp_path / "no", max_shard_size=size, format="keras_hub")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_numbers_that_are_none_are_told(tmp_path, encoder, number, dtype):
    values = {name: value.astype(dtype) for name, value in TENSORS.items()}
    values["pooler.dense.bias"][5] = number
    values["encoder.layer.1.output.dense.weight"][3, 2] = number
    folder = folder_of(tmp_path, values)
    with pytest.warns(UserWarning, match="NaN or infinite") as told:
        import_weights(encoder, folder)
    assert [str(warning.message) for warning in told] == [
        f"{folder / 'model.safetensors'}: 'encoder.layer.1.output.dense.weight', 'pooler.dense.bias' holds numbers that"
        " are NaN or infinite; the model cannot answer with them. Train it again, or fetch the file again."
    ]


def test_a_shard_that_is_cut_off_and_one_that_is_not_there(tmp_path):
    parts = kbz.save(tiny.bundle(), tmp_path / "parts", max_shard_size="10KB")
    last = sorted(parts.glob("*.safetensors"))[-1]
    data = last.read_bytes()
    last.write_bytes(data[:-9])
    with pytest.raises(
        CheckpointError, match=rf"{last.name} \({len(data) - 9} bytes\) cannot be read: .*fetch it again"
    ):
        kbz.load(parts)
    last.unlink()
    with pytest.raises(CheckpointError, match=rf"{last.name} is missing, though the index names it"):
        kbz.load(parts)
