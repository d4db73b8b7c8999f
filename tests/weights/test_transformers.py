"""The real transformers, on PyTorch: it reads what we wrote, we read what it wrote, and both write the same tensors.

Opt-in (`pytest -m transformers`): PyTorch and transformers are no part of any extra.
"""

import json
import shlex
import subprocess
import sys

import bert_oracle
import keras
import numpy as np
import pytest
import safetensors
import tiny
from sizes import HEADS, HIDDEN, INNER, LAYERS, POSITIONS, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo import heads
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.encoder import build_encoder
from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.weights.huggingface import import_weights, read_config, write_config, write_weights
from keras_bert_zoo.weights.rows import TRANSPOSE, Row

pytestmark = pytest.mark.transformers

HEAD_ROWS = (Row("head_logits/kernel", "classifier.weight", TRANSPOSE), Row("head_logits/bias", "classifier.bias"))
LABELS = ("bad", "so so", "good")
SETTINGS = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
}
CASES = [
    {"hidden_act": "gelu", "type_vocab_size": 2, "layer_norm_eps": 1e-12},
    {"hidden_act": "gelu_new", "type_vocab_size": 5, "layer_norm_eps": 1e-3},
    {"hidden_act": "silu", "type_vocab_size": 1, "layer_norm_eps": 1e-6},
]


def theirs(name, case):
    """Return a model of transformers with weights large enough to show."""
    import torch
    import transformers

    torch.manual_seed(0)
    extra = {"id2label": dict(enumerate(LABELS))} if name.endswith("Classification") else {}
    model = getattr(transformers, name)(transformers.BertConfig(**SETTINGS, **case, **extra)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def run(model, features):
    """Return what transformers gives, under our names."""
    import torch

    names = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
    given = {ours: torch.tensor(features[name], dtype=torch.long) for ours, name in names.items()}
    with torch.no_grad():
        found = model(**given, output_hidden_states=True)
    if hasattr(found, "logits"):
        return found.logits.numpy()
    return {
        "sequence_output": found.last_hidden_state.numpy(),
        "encoder_outputs": [x.numpy() for x in found.hidden_states[1:]],
        "pooled_output": found.pooler_output.numpy(),
    }


def task_model(encoder):
    logits = keras.layers.Dense(len(LABELS), name="head_logits")(encoder.output["pooled_output"])
    return keras.Model(encoder.input, logits)


def content(folder):
    with safetensors.safe_open(folder / "model.safetensors", "np") as file:
        names = sorted(file.keys())
        found = {name: file.get_tensor(name) for name in names}
        return file.metadata(), {n: (x.dtype.name, x.shape) for n, x in found.items()}, found


def same_files(one, other):
    (metadata, shapes, tensors), (other_metadata, other_shapes, other_tensors) = content(one), content(other)
    assert metadata == other_metadata == {"format": "pt"}
    assert shapes == other_shapes
    assert {name: x.tobytes() for name, x in tensors.items()} == {n: x.tobytes() for n, x in other_tensors.items()}


def strict_load(name, folder):
    import transformers

    model, report = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


@pytest.mark.parametrize("case", CASES)
def test_an_encoder_goes_both_ways(case, tmp_path):
    source = theirs("BertModel", case)
    source.save_pretrained(tmp_path / "theirs")
    config, _ = read_config(tmp_path / "theirs")
    encoder = build_encoder(config)
    audit = import_weights(encoder, tmp_path / "theirs")
    assert len(audit.matched) == len(encoder.weights) == len(source.state_dict())

    features = bert_oracle.inputs(case["type_vocab_size"])
    want = run(source, features)
    assert bert_oracle.difference(encoder(features), want, features["input_mask"]) <= 1e-5

    write_weights(encoder, tmp_path / "ours", prefix=False)
    write_config(config, tmp_path / "ours", architecture="BertModel", extra={})
    same_files(tmp_path / "ours", tmp_path / "theirs")
    again = run(strict_load("BertModel", tmp_path / "ours"), features)
    assert bert_oracle.difference(encoder(features), again, features["input_mask"]) <= 1e-5


@pytest.mark.parametrize("case", CASES)
def test_a_classifier_goes_both_ways(case, tmp_path):
    source = theirs("BertForSequenceClassification", case)
    source.save_pretrained(tmp_path / "theirs")
    config, values = read_config(tmp_path / "theirs")
    assert values["id2label"] == {str(i): label for i, label in enumerate(LABELS)}
    model = task_model(build_encoder(config))
    import_weights(model, tmp_path / "theirs", head_rows=HEAD_ROWS)

    features = bert_oracle.inputs(case["type_vocab_size"])
    np.testing.assert_allclose(np.asarray(model(features)), run(source, features), atol=1e-5)

    write_weights(model, tmp_path / "ours", head_rows=HEAD_ROWS, prefix=True)
    extra = {
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
        "label2id": {label: i for i, label in enumerate(LABELS)},
        "problem_type": "single_label_classification",
    }
    write_config(config, tmp_path / "ours", architecture="BertForSequenceClassification", extra=extra)
    same_files(tmp_path / "ours", tmp_path / "theirs")
    loaded = strict_load("BertForSequenceClassification", tmp_path / "ours")
    assert loaded.config.id2label == dict(enumerate(LABELS))
    np.testing.assert_allclose(np.asarray(model(features)), run(loaded, features), atol=1e-5)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "BertForNextSentencePrediction", "BertForPreTraining"])
def test_the_heads_of_pretraining_go_both_ways(name, tmp_path):
    import torch

    source = theirs(name, CASES[0])
    source.save_pretrained(tmp_path / "theirs")
    tiny.tokenizer().save(tmp_path / "theirs")
    bundle = kbz.load(tmp_path / "theirs")
    features = bert_oracle.inputs()
    places = np.tile(np.arange(features["input_mask"].shape[1], dtype="int32"), (len(features["input_mask"]), 1))
    given = {**features, "masked_lm_positions": places}
    ours = bundle.model({key: given[key] for key in bundle.model.input})
    names = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
    with torch.no_grad():
        found = source(**{key: torch.tensor(features[value], dtype=torch.long) for key, value in names.items()})
    real = features["input_mask"].astype(bool)
    if name == "BertForPreTraining":
        np.testing.assert_allclose(ours["next_sentence"], found.seq_relationship_logits, atol=1e-4)
        ours, found = ours["masked_lm"], found.prediction_logits
    else:
        found = found.logits
    ours, found = np.asarray(ours), found.numpy()
    if name == "BertForNextSentencePrediction":
        np.testing.assert_allclose(ours, found, atol=1e-4)
    else:
        np.testing.assert_allclose(ours[real], found[real], atol=1e-4)
    kbz.save(bundle, tmp_path / "ours")
    same_files(tmp_path / "ours", tmp_path / "theirs")
    strict_load(name, tmp_path / "ours")


@pytest.mark.parametrize("case", CASES)
def test_a_question_answerer_goes_both_ways(case, tmp_path):
    import torch

    def ends(model, features):
        names = {"input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids"}
        with torch.no_grad():
            found = model(**{ours: torch.tensor(features[name], dtype=torch.long) for ours, name in names.items()})
        real = features["input_mask"].astype(bool)  # ours masks padding, theirs does not
        return np.stack([found.start_logits.numpy(), found.end_logits.numpy()], axis=-1)[real]

    source = theirs("BertForQuestionAnswering", case)
    source.save_pretrained(tmp_path / "theirs")
    config, values = read_config(tmp_path / "theirs")
    head = heads.from_huggingface(values, "config.json")
    model = head.attach(build_encoder(config))
    import_weights(model, tmp_path / "theirs", head_rows=head.rows("huggingface"))
    features = bert_oracle.inputs(case["type_vocab_size"])
    real = features["input_mask"].astype(bool)
    np.testing.assert_allclose(np.asarray(model(features))[real], ends(source, features), atol=1e-5)

    write_weights(model, tmp_path / "ours", head_rows=head.rows("huggingface"), prefix=True)
    write_config(config, tmp_path / "ours", architecture=head.architecture, extra=head.huggingface_config())
    same_files(tmp_path / "ours", tmp_path / "theirs")
    loaded = strict_load("BertForQuestionAnswering", tmp_path / "ours")
    np.testing.assert_allclose(np.asarray(model(features))[real], ends(loaded, features), atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_tagger_goes_both_ways(case, tmp_path):
    source = theirs("BertForTokenClassification", case)
    source.save_pretrained(tmp_path / "theirs")
    tiny.tokenizer().save(tmp_path / "theirs")
    bundle = kbz.load(tmp_path / "theirs")
    assert bundle.head.labels == LABELS
    features = bert_oracle.inputs(case["type_vocab_size"])
    real = features["input_mask"].astype(bool)
    np.testing.assert_allclose(np.asarray(bundle.model(features))[real], run(source, features)[real], atol=1e-5)

    kbz.save(bundle, tmp_path / "ours")
    same_files(tmp_path / "ours", tmp_path / "theirs")
    loaded = strict_load("BertForTokenClassification", tmp_path / "ours")
    assert loaded.config.id2label == dict(enumerate(LABELS))
    np.testing.assert_allclose(np.asarray(bundle.model(features))[real], run(loaded, features)[real], atol=1e-5)


def test_new_weights_that_only_we_made(tmp_path):
    config = BertConfig.from_huggingface(bert_oracle.CONFIG)
    keras.utils.set_random_seed(5)
    model = task_model(build_encoder(config.replace(initializer_range=0.4)))
    write_weights(model, tmp_path / "ours", head_rows=HEAD_ROWS, prefix=True)
    extra = {"id2label": {str(i): label for i, label in enumerate(LABELS)}}
    write_config(config, tmp_path / "ours", architecture="BertForSequenceClassification", extra=extra)
    features = bert_oracle.inputs()
    loaded = strict_load("BertForSequenceClassification", tmp_path / "ours")
    np.testing.assert_allclose(np.asarray(model(features)), run(loaded, features), atol=1e-5)


def test_every_key_of_its_config_is_known():
    import transformers

    values = json.loads(transformers.BertConfig(**SETTINGS).to_json_string(use_diff=False))
    assert BertConfig.from_huggingface(values).to_dict().items() >= SETTINGS.items()


def test_a_real_task_folder_in_several_files(tmp_path):
    source = theirs("BertForSequenceClassification", CASES[0])
    source.save_pretrained(tmp_path, max_shard_size="10KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    model = task_model(build_encoder(read_config(tmp_path)[0]))
    import_weights(model, tmp_path, head_rows=HEAD_ROWS)
    features = bert_oracle.inputs()
    np.testing.assert_allclose(np.asarray(model(features)), run(source, features), atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_chooser_goes_both_ways(case, tmp_path):
    from keras_bert_zoo.heads.multiple_choice import MultipleChoice

    source = theirs("BertForMultipleChoice", case)
    source.save_pretrained(tmp_path / "theirs")
    config, values = read_config(tmp_path / "theirs")
    head = MultipleChoice(**MultipleChoice.from_huggingface(values, []))
    model = head.attach(build_encoder(config))
    import_weights(model, tmp_path / "theirs", head_rows=head.rows("huggingface"))

    features = {name: np.stack([x, x[::-1]], axis=1) for name, x in bert_oracle.inputs(case["type_vocab_size"]).items()}
    np.testing.assert_allclose(np.asarray(model(features)), run(source, features), atol=1e-5)  # [B,2]

    write_weights(model, tmp_path / "ours", head_rows=head.rows("huggingface"), prefix=True)
    write_config(config, tmp_path / "ours", architecture=head.architecture, extra=head.huggingface_config())
    same_files(tmp_path / "ours", tmp_path / "theirs")
    again = run(strict_load("BertForMultipleChoice", tmp_path / "ours"), features)
    np.testing.assert_allclose(np.asarray(model(features)), again, atol=1e-5)


def test_our_index_is_theirs(tmp_path):
    source = theirs("BertModel", CASES[0])
    source.save_pretrained(tmp_path / "theirs", max_shard_size="10KB")
    tiny.tokenizer().save(tmp_path / "theirs")
    kbz.save(kbz.load(tmp_path / "theirs"), tmp_path / "ours", max_shard_size="10KB")
    name = "model.safetensors.index.json"
    assert json.loads((tmp_path / "ours" / name).read_text()) == json.loads((tmp_path / "theirs" / name).read_text())
    features = bert_oracle.inputs(CASES[0]["type_vocab_size"])
    again = run(strict_load("BertModel", tmp_path / "ours"), features)
    assert bert_oracle.difference(run(source, features), again, features["input_mask"]) == 0


def test_the_command_that_a_refused_pickle_names(tmp_path):
    import torch

    folder = tmp_path / "a folder"
    source = theirs("BertForMaskedLM", CASES[0])
    source.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    tiny.tokenizer().save(folder)
    torch.save(source.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="this does: python -c") as told:
        kbz.load(folder)
    command = str(told.value).split("this does: ")[1].replace("python", shlex.quote(sys.executable), 1)
    subprocess.run(command, shell=True, check=True)
    bundle = kbz.load(folder)  # the tied copies that the pickle holds are checked
    kernel = source.bert.encoder.layer[1].output.dense.weight.detach().numpy().T
    np.testing.assert_array_equal(bundle.encoder.get_layer("block_1").outer.kernel, kernel)


def test_half_precision_is_theirs(tmp_path):
    import torch
    import transformers

    source = theirs("BertModel", CASES[0]).to(torch.bfloat16)
    source.save_pretrained(tmp_path / "theirs")
    tiny.tokenizer().save(tmp_path / "theirs")
    kbz.save(kbz.load(tmp_path / "theirs", dtype="auto"), tmp_path / "ours")
    same_files(tmp_path / "ours", tmp_path / "theirs")
    model = transformers.BertModel.from_pretrained(tmp_path / "ours", dtype="auto")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
