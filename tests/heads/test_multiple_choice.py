"""MultipleChoice: its model against numpy on Hugging Face's tensors, its answers, and learning."""

import json

import bert_oracle
import keras
import numpy as np
import pytest
import safetensors
import tensorflow as tf
import tiny
from scipy import special
from sizes import HIDDEN

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import serving_copy, with_layout
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training.evaluation import evaluate
from keras_bert_zoo.training.fit import Settings, fit

HEAD = kbz.heads.MultipleChoice()
TEXTS = ["a good film", "so sad", "the end", "it was"]
CHOICES = [["it was good", "it was bad and dull", "a"], [], ["the actor", "", "the plot is good"], ["x y z"]]


def write_hugging_face_folder(folder, pooler=True):
    """Write what transformers writes for a random BertForMultipleChoice, and return its tensors."""
    config = {**bert_oracle.CONFIG, "architectures": ["BertForMultipleChoice"], "hidden_dropout_prob": 0.15}
    encoder = bert_oracle.tensors(bert_oracle.CONFIG, pooler=pooler)
    random = np.random.default_rng(8)
    values = {f"bert.{name}": value for name, value in encoder.items()}
    values["classifier.weight"] = random.normal(size=(1, HIDDEN)).astype("float32")
    values["classifier.bias"] = random.normal(size=1).astype("float32")
    bert_oracle.write_folder(folder, config, values)
    tiny.tokenizer().save(folder)
    return encoder, values


@pytest.fixture(scope="module")
def bundle():
    return tiny.bundle(HEAD)


def _features(tokenizer, length=23):
    columns = {"text": TEXTS, "choices": [[*row, *[""] * (3 - len(row))] for row in CHOICES]}
    return HEAD.pack(tokenizer, length)(columns)[0]


def test_pack_puts_each_choice_after_its_text():
    tokenizer = tiny.tokenizer()
    got = {name: values.numpy() for name, values in _features(tokenizer, 9).items()}
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    width = got["input_mask"].shape[2]
    assert got["input_word_ids"].shape == (4, 3, 9)
    for i, (text, choices) in enumerate(zip(TEXTS, CHOICES, strict=True)):
        for c in range(3):
            choice = choices[c] if c < len(choices) else ""
            a, b = (list(ids) for ids in tokenizer.tokenize([text, choice]).to_list())
            while len(a) + len(b) > 6:
                (a if len(a) > len(b) else b).pop()
            row = [cls, *a, sep, *b, sep] if choice else []
            types = [0] * (len(a) + 2) + [1] * (len(b) + 1) if choice else []
            pad = [0] * (width - len(row))
            assert got["input_word_ids"][i, c].tolist() == row + pad
            assert got["input_mask"][i, c].tolist() == [1] * len(row) + pad
            assert got["input_type_ids"][i, c].tolist() == types + pad


def test_logits_of_a_hugging_face_folder_and_the_way_back(tmp_path):
    encoder, values = write_hugging_face_folder(tmp_path / "theirs")
    bundle = kbz.load(tmp_path / "theirs")
    assert bundle.head.name == "multiple_choice"
    assert bundle.head.dropout == 0.15
    features = {name: x.numpy() for name, x in _features(bundle.tokenizer).items()}
    rows = {name: x.reshape(-1, x.shape[2]).copy() for name, x in features.items()}
    there = rows["input_mask"].any(1)
    rows["input_mask"][~there] = 1  # numpy has no softmax of nothing; those rows are not compared
    pooled = bert_oracle.bert(bert_oracle.CONFIG, encoder, rows)["pooled_output"]
    want = (pooled @ values["classifier.weight"].T + values["classifier.bias"]).reshape(4, 3)
    for model in (bundle.model, with_layout(bundle.model, "packed"), serving_copy(bundle.model, "float32")):
        got = model(features).numpy()
        there = there.reshape(4, 3)
        np.testing.assert_allclose(got[there], want[there], atol=1e-5)
        assert (got[~there] < -9e8).all()
    kbz.save(bundle, tmp_path / "ours")
    config = json.loads((tmp_path / "ours/config.json").read_text())
    assert config["architectures"] == ["BertForMultipleChoice"]
    assert not {"problem_type", "id2label", "label2id"} & set(config)
    (tmp_path / "ours/zoo.json").unlink()
    assert kbz.load(tmp_path / "ours").head.get_config() == {"dropout": 0.15}
    with safetensors.safe_open(tmp_path / "ours/model.safetensors", "np") as file:
        assert set(file.keys()) == set(values)
        for name, value in values.items():
            found = file.get_tensor(name)
            assert (found.shape, found.dtype, found.tobytes()) == (value.shape, value.dtype, value.tobytes()), name


def test_a_folder_without_a_pooler_needs_a_new_one(tmp_path):
    write_hugging_face_folder(tmp_path / "theirs", pooler=False)
    with pytest.raises(ConfigError, match="has no pooler"):
        kbz.load(tmp_path / "theirs")
    encoder = kbz.load(tmp_path / "theirs", encoder_only=True, unused=["classifier.*"]).encoder
    model = kbz.heads.MultipleChoice(new_pooler=True).attach(encoder)
    assert {"pooler/kernel", "head_logits/kernel"} <= {weight.path for weight in model.trainable_variables}


def test_another_head_s_encoder_is_kept():
    swapped = tiny.bundle(kbz.heads.Classification(["a", "b"]))
    before = [weight.copy() for weight in swapped.encoder.get_weights()]
    model = swapped.attach(HEAD).model
    for old, variable in zip(before, swapped.encoder.weights, strict=True):
        assert any(variable is own for own in model.weights)
        np.testing.assert_array_equal(old, variable)


def test_answers(bundle):
    answers = bundle.predict(TEXTS, choices=CHOICES, batch_size=3)
    for text, choices, answer in zip(TEXTS, CHOICES, answers, strict=True):
        asked = [choice for choice in choices if choice]
        features = HEAD.pack(bundle.tokenizer, 23)({"text": [text], "choices": [asked or [""]]})[0]
        share = special.softmax(bundle.model(features).numpy()[0])
        want = iter(share)
        assert answer["probabilities"] == pytest.approx([next(want) if c else 0 for c in choices], abs=1e-5)
        best = choices.index(asked[int(share.argmax())]) if asked else -1
        assert answer["choice"] == best
    assert [len(answer["probabilities"]) for answer in answers] == [3, 0, 3, 1]
    assert bundle.predict([], choices=[]) == []
    assert bundle.predict(["a"], choices=[[]]) == [{"choice": -1, "probabilities": []}]
    with pytest.raises(DataError, match="choices: hand in a list of lists of strings"):
        bundle.predict(["a"], choices=["b"])


def test_a_choice_that_is_there_is_never_nothing():
    answer = HEAD.decode(tf.constant([[0.0, 300.0, -1e9]]), {"input_mask": tf.constant([[[1], [1], [0]]])})
    assert answer["choice"].numpy().tolist() == [1]
    assert answer["probabilities"].numpy().tolist() == [[np.finfo("float32").tiny, 1, 0]]
    assert answer["choice"].dtype == tf.int32


def test_it_is_saved_and_loaded_by_keras(bundle, tmp_path):
    bundle.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    features = _features(bundle.tokenizer)
    np.testing.assert_array_equal(again(features), bundle.model(features))


def table(copies=1):
    """Return questions with two to four choices of which the one with a kind word is right."""
    texts, choices, labels = [], [], []
    for i in range(12 * copies):
        wrong = [tiny.BAD[(i + j) % 6] for j in range(1 + i % 3)]
        place = i % (len(wrong) + 1)
        texts.append(["the end", "a story", "it is"][i % 3])
        choices.append([*wrong[:place], tiny.GOOD[i % 6], *wrong[place:]])
        labels.append(place)
    return kbz.data.Table.from_lists(texts, labels, choices)


def test_batches_are_as_wide_as_their_own_longest_row():
    rows = table().select([0, 1, 3, 2, 4, 5])
    batches = list(rows.batches(HEAD, tiny.tokenizer(), 3, length=19))
    assert [targets.numpy().tolist() for _, targets in batches] == [[0, 1, 1], [2, 1, 1]]
    assert [features["input_mask"].shape[1] for features, _ in batches] == [3, 4]


@pytest.mark.slow  # an example learns the same task in every run
def test_it_learns_and_is_measured():
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.01)
    bundle = tiny.bundle(HEAD, config=config)
    settings = Settings(epochs=5, learning_rate=5e-3, batch_size=8, length=23)
    history = fit(bundle.model, HEAD, bundle.tokenizer, table(9), table(), settings, verbose=0)
    best = history.epochs[history.best]
    assert set(best) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert best["val_accuracy"] >= 0.9
    held = table(2)
    figures = evaluate(bundle.model, HEAD, bundle.tokenizer, held, batch_size=5, length=23)
    answers = bundle.predict(held.texts, choices=held.pairs)
    right = [answer["choice"] == label for answer, label in zip(answers, held.labels, strict=True)]
    share = [answer["probabilities"][label] for answer, label in zip(answers, held.labels, strict=True)]
    assert figures == pytest.approx({"accuracy": np.mean(right), "loss": -np.log(share).mean()}, abs=1e-5)
    keras_figures = bundle.model.evaluate(held.batches(HEAD, bundle.tokenizer, 24), return_dict=True, verbose=0)
    assert keras_figures["loss"] == pytest.approx(figures["loss"], abs=1e-4)


@pytest.mark.parametrize(
    ("choices", "label", "told"),
    [
        ([], 0, "item 2: there are no choices"),
        (["a", "", "b"], 0, r"item 2: choice 1 of 3 \(from 0\) is empty"),
        (["a", "b"], 2, "item 2: label 2 is none of the choices, numbered 0 to 1"),
        (["a", "b"], -1, "item 2: label -1 is not the number of a choice"),
        (["a", "b"], "b", "item 2: label 'b' is not the number"),
        (["a", "b"], 0.5, "item 2: label 0.5 is not the number"),
        ("ab", 0, "item 2: want a list of choices, got 'ab'"),
    ],
)
def test_rows_that_cannot_be_learnt_from(choices, label, told):
    rows = kbz.data.Table.from_lists(["x", "y"], [1, label], [["a", "b"], choices])
    with pytest.raises(DataError, match=told):
        rows.batches(HEAD, tiny.tokenizer(), 2)


def test_labels_become_numbers():
    assert HEAD.targets(["2", 0, 1.0], str).tolist() == [2, 0, 1]
    with pytest.raises(DataError, match="row 7: label None is not the number of a choice"):
        HEAD.targets([None], lambda i: "row 7")
