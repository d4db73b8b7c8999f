"""The heads that read the pooled vector, against numpy, scikit-learn and scipy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from fake_heads import Plain
from scipy import special, stats
from sizes import BATCH, HIDDEN, TIME, VOCAB
from sklearn import metrics as oracle

import keras_bert_zoo as kbz
from keras_bert_zoo import heads
from keras_bert_zoo.errors import ConfigError, DataError

LABELS = ["sad", "calm", "glad", "wild"]


def _inputs(seed=1):
    random = np.random.default_rng(seed)
    mask = (np.arange(TIME) < random.integers(2, TIME + 1, (BATCH, 1))).astype("int32")
    return {
        "input_word_ids": random.integers(5, VOCAB, (BATCH, TIME)).astype("int32") * mask,
        "input_mask": mask,
        "input_type_ids": random.integers(0, 2, (BATCH, TIME)).astype("int32") * mask,
    }


def _where(i):
    return f"file.tsv, line {i + 2}"


@pytest.mark.parametrize(
    ("head", "outputs"),
    [(kbz.heads.Classification(LABELS), 4), (kbz.heads.MultiLabel(LABELS[:3]), 3), (kbz.heads.Regression(), 1)],
    ids=["classification", "multi_label", "regression"],
)
def test_logits_are_one_dense_layer_on_the_pooled_vector(head, outputs):
    bundle = tiny.bundle(head)
    pooled = bundle.encoder(_inputs())["pooled_output"].numpy()
    kernel, bias = (variable.numpy() for variable in bundle.model.get_layer("head_logits").variables)
    assert kernel.shape == (HIDDEN, outputs)
    assert bundle.model.name == f"bert_{head.name}"
    np.testing.assert_allclose(bundle.model(_inputs()).numpy(), pooled @ kernel + bias, atol=1e-5)


def test_dropout_before_the_head_works_in_training_alone():
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = tiny.bundle(kbz.heads.Classification(LABELS, dropout=0.5), config=config).model
    still, again = model(_inputs()), model(_inputs(), training=False)
    np.testing.assert_array_equal(still, again)
    assert np.abs(model(_inputs(), training=True) - still).max() > 0.01


def test_heads_share_one_encoder_and_can_be_swapped():
    bundle = tiny.bundle(kbz.heads.Classification(LABELS))
    before = [weight.copy() for weight in bundle.encoder.get_weights()]
    swapped = bundle.attach(kbz.heads.Regression(pair=True))
    assert swapped.encoder is bundle.encoder
    for old, new in zip(before, bundle.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    own = {variable.path for variable in swapped.model.trainable_variables} - {
        variable.path for variable in bundle.encoder.trainable_variables
    }
    assert own == {"head_logits/kernel", "head_logits/bias"}
    token = bundle.model.get_layer("embeddings").token.embeddings
    token.assign(token.value * 2)  # what one model learns, the other knows
    assert np.abs(bundle.encoder(_inputs())["pooled_output"] - swapped.encoder(_inputs())["pooled_output"]).max() == 0
    assert swapped.model.get_layer("embeddings").token.embeddings is token


def test_no_pooler_is_an_error_unless_a_new_one_is_asked_for():
    encoder = kbz.build_encoder(tiny.CONFIG.replace(pooler=False))
    with pytest.raises(ConfigError, match=r"has no pooler.*new_pooler=True"):
        kbz.heads.Classification(LABELS).attach(encoder)
    model = kbz.heads.Classification(LABELS, new_pooler=True).attach(encoder)
    assert {"pooler/kernel", "pooler/bias"} <= {variable.path for variable in model.trainable_variables}
    assert model(_inputs()).shape == (BATCH, 4)


def test_task_model_survives_keras_saving_by_value(tmp_path):
    head = kbz.heads.Classification(LABELS)
    bundle = tiny.bundle(head)
    model = bundle.model
    model.compile(kbz.adamw(1e-3, steps=9), head.loss(), metrics=head.metrics())
    model.fit(_inputs(), np.array([0, 3, 1, 2, 0]), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    np.testing.assert_array_equal(again(_inputs()), model(_inputs()))
    assert again.optimizer.learning_rate == model.optimizer.learning_rate
    for ours, theirs in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_xla_is_off_unless_asked_for(monkeypatch):
    # as on a machine with a GPU, where Keras's "auto" means XLA
    monkeypatch.setattr(keras.Model, "_resolve_auto_jit_compile", lambda self: True)
    head = kbz.heads.Regression()
    model = head.attach(kbz.build_encoder(tiny.CONFIG))
    assert model.jit_compile is False
    model.compile("sgd", head.loss())
    assert model.jit_compile is False
    model.compile("sgd", head.loss(), jit_compile=True)
    assert model.jit_compile is True


def test_classification_loss_and_report():
    random = np.random.default_rng(2)
    logits = random.normal(size=(41, 4)).astype("float32")
    targets = random.integers(0, 4, 41)
    report = kbz.heads.Classification(LABELS).report(targets, logits)
    assert report == pytest.approx(
        {
            "loss": oracle.log_loss(targets, special.softmax(logits, axis=1)),
            "accuracy": oracle.accuracy_score(targets, logits.argmax(1)),
            "f1_macro": oracle.f1_score(targets, logits.argmax(1), average="macro"),
            "mcc": oracle.matthews_corrcoef(targets, logits.argmax(1)),
        },
        abs=1e-5,
    )


def test_two_labels_also_have_f1_of_the_second():
    random = np.random.default_rng(5)
    logits = random.normal(size=(41, 2)).astype("float32")
    targets = random.integers(0, 2, 41)
    report = kbz.heads.Classification(["no", "yes"]).report(targets, logits)
    assert list(report) == ["loss", "accuracy", "f1", "f1_macro", "mcc"]
    assert report["f1"] == pytest.approx(oracle.f1_score(targets, logits.argmax(1)), abs=1e-6)


def test_multi_label_loss_and_report():
    random = np.random.default_rng(3)
    logits = random.normal(size=(43, 3)).astype("float32")
    targets = (random.random((43, 3)) < 0.4).astype("float32")
    p = special.expit(logits.astype("float64"))
    report = kbz.heads.MultiLabel(LABELS[:3]).report(targets, logits)
    assert report == pytest.approx(
        {
            "loss": -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(),
            "f1_micro": oracle.f1_score(targets, logits > 0, average="micro"),
            "f1_macro": oracle.f1_score(targets, logits > 0, average="macro"),
            "accuracy": ((logits > 0) == targets).mean(),
        },
        abs=1e-5,
    )


def test_regression_loss_and_report():
    random = np.random.default_rng(4)
    targets = random.normal(size=(37, 1)).astype("float32")
    values = (targets + random.normal(size=(37, 1))).astype("float32")
    report = kbz.heads.Regression().report(targets, values)
    assert report == pytest.approx(
        {
            "loss": ((targets - values) ** 2).mean(),
            "mae": np.abs(targets - values).mean(),
            "pearson": stats.pearsonr(targets[:, 0], values[:, 0]).statistic,
            "spearman": stats.spearmanr(targets[:, 0], values[:, 0]).statistic,
        },
        abs=1e-5,
    )


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_classification_answer(in_graph):
    logits = np.array([[0, 1, 3, -2], [2, 0, 0, 1]], "float32")
    decode = kbz.heads.Classification(LABELS).decode
    answer = (tf.function(decode) if in_graph else decode)(tf.constant(logits), {})
    p = special.softmax(logits, axis=1)
    assert answer["label"].numpy().tolist() == [b"glad", b"sad"]
    assert answer["labels"].numpy().tolist() == [[b"sad", b"calm", b"glad", b"wild"]] * 2
    np.testing.assert_allclose(answer["probabilities"], p, atol=1e-6)
    np.testing.assert_allclose(answer["score"], p.max(1), atol=1e-6)
    assert answer["probabilities"].dtype == answer["score"].dtype == tf.float32


def test_multi_label_answer_heeds_the_threshold():
    logits = np.array([[0, 1.5, -3], [2, 1.3, 0]], "float32")
    answer = kbz.heads.MultiLabel(LABELS[:3], threshold=0.8).decode(tf.constant(logits), {})
    np.testing.assert_allclose(answer["probabilities"], special.expit(logits), atol=1e-6)
    assert answer["predicted"].numpy().tolist() == [[False, True, False], [True, False, False]]
    assert answer["labels"].numpy().tolist() == [[b"sad", b"calm", b"glad"]] * 2


def test_regression_answer():
    answer = kbz.heads.Regression().decode(tf.constant([[1.5], [-2], [0]]), {})
    assert answer["value"].numpy().tolist() == [1.5, -2, 0]


def test_targets():
    assert kbz.heads.Classification(LABELS).targets(["glad", "sad"], _where).tolist() == [2, 0]
    assert kbz.heads.Classification(["0", "1"]).targets([1, "0"], _where).tolist() == [1, 0]
    multi = kbz.heads.MultiLabel(LABELS[:3])
    cells = ["sad, glad", ["calm"], "", [], "glad"]
    assert multi.targets(cells, _where).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert kbz.heads.MultiLabel(["a,b", "c"], separator="|").targets(["a,b|c"], _where).tolist() == [[1, 1]]
    assert kbz.heads.Regression().targets(["1.5", 2, -0.25], _where).tolist() == [[1.5], [2], [-0.25]]


@pytest.mark.parametrize(
    ("head", "label", "told"),
    [
        (kbz.heads.Classification(LABELS), "angry", "label 'angry' is not among the head's labels"),
        (kbz.heads.MultiLabel(LABELS), "sad,angry", "label 'angry' is not among the head's labels"),
        (kbz.heads.Regression(), "much", "label 'much' is not a number"),
        (kbz.heads.Regression(), "nan", "label 'nan' is not a number"),
        (kbz.heads.Regression(), None, "label None is not a number"),
    ],
)
def test_a_label_that_does_not_fit_names_its_line(head, label, told):
    good = {"classification": "sad", "multi_label": "sad", "regression": "1"}[head.name]
    with pytest.raises(DataError, match=f"file.tsv, line 3: {told}"):
        head.targets([good, label], _where)


@pytest.mark.parametrize("pair", [False, True])
def test_pack_makes_rows_of_one_text_or_two(pair):
    head = kbz.heads.Classification(LABELS, pair=pair)
    tokenizer = tiny.tokenizer()
    columns = {"text": ["a good film", "so sad"], "text_pair": ["it was", "the end is not very good"]}
    features, targets = head.pack(tokenizer, 9)({name: columns[name] for name in head.columns}, [2, 0])
    a, b = (tokenizer.tokenize(columns[name]).to_list() for name in columns)
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    if pair:  # 9 - 3 special tokens leave 6: the longer one gives way
        want = [[cls, *a[0], sep, *b[0], sep], [cls, *a[1], sep, *b[1][:4], sep]]
        types = [[0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1, 1]]
    else:
        want, types = [[cls, *a[0], sep], [cls, *a[1], sep]], [[0] * 5, [0] * 4]
    width = max(map(len, want))
    assert targets == [2, 0]
    assert features["input_word_ids"].numpy().tolist() == [row + [0] * (width - len(row)) for row in want]
    assert features["input_type_ids"].numpy().tolist() == [row + [0] * (width - len(row)) for row in types]
    assert features["input_mask"].numpy().tolist() == [[1] * len(row) + [0] * (width - len(row)) for row in want]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: kbz.heads.Classification(["one"]), "2 or more different strings"),
        (lambda: kbz.heads.Classification(["a", "a"]), "different strings"),
        (lambda: kbz.heads.Classification("yes"), "a list of filled strings"),
        (lambda: kbz.heads.Classification(["", "a"]), "a list of filled strings"),
        (lambda: kbz.heads.Classification(["a", "b"], dropout=1.0), "dropout is 1.0"),
        (lambda: kbz.heads.MultiLabel(["a"], threshold=1), "threshold is 1"),
        (lambda: kbz.heads.MultiLabel(["a"], separator=""), "separator is empty"),
        (lambda: kbz.heads.Regression().rows("stone"), "format 'stone' has no place for the head 'regression'"),
        (lambda: kbz.heads.Regression().attach(keras.Sequential(name="other")), "'other' is no BERT encoder"),
        (lambda: heads.make("poetry", {}), "no head 'poetry'. There are: classification, multi_label, regression,"),
        (lambda: heads.make("regression", {"colour": 1}), "The head 'regression' takes no colour. It takes: pair, "),
        (lambda: heads.make("classification", {"pair": True}), "The head 'classification' needs labels."),
        (lambda: heads.make("regression", {"dropout": "much"}), "cannot be made from {'dropout': 'much'}: "),
    ],
)
def test_what_makes_no_head(make, told):
    with pytest.raises(ConfigError, match=told):
        make()


@pytest.mark.parametrize("name", [name for name, entry in heads.HEADS.items() if entry.reader == "table"])
def test_every_head_of_the_table_is_made_again_from_its_config(name):
    options = {"pair": True, "dropout": 0.25}
    made = heads.for_labels(
        name, ["x", "y", "x"], {key: x for key, x in options.items() if key in heads.arguments(name)}
    )
    again = heads.make(name, made.get_config())
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    assert getattr(made, "labels", ("x", "y")) == ("x", "y")
    if "pair" in heads.arguments(name):
        assert made.columns == ("text", "text_pair")


def test_arguments_of_a_head():
    assert heads.arguments("regression") == {"pair": False, "dropout": False, "new_pooler": False}
    assert [name for name, needed in heads.arguments("multi_label").items() if needed] == ["labels"]


def test_what_a_head_leaves_to_its_base():
    head = Plain()
    assert head.columns == ("text",)
    assert Plain(pair=True).columns == ("text", "text_pair")
    assert head.row_counts({"text": np.array([3, 99, 0], "int32")}, 7).tolist() == [1, 1, 1]
    assert head.labels_in(["a", "b"]) is None
    answer = {"numbers": [1.5, 2.5]}
    assert head.trim(answer) == {"numbers": [1.5, 2.5]}
    assert head.score(kbz.data.Table.from_lists(["a"]), [answer]) == {}
    assert (head.inputs, head.ranks, head.windowed, head.scored_by) == (
        ("input_word_ids", "input_mask", "input_type_ids"),
        {},
        False,
        "logits",
    )
    assert Plain(pair=True, dropout=0.25).get_config() == {"pair": True, "dropout": 0.25}
    assert Plain(dropout=0.25).huggingface_config() == {
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "classifier_dropout": 0.25,
    }
    assert [(row.ours, row.theirs) for row in head.rows("huggingface")] == [
        ("head_logits/kernel", "classifier.weight"),
        ("head_logits/bias", "classifier.bias"),
    ]
    report = head.report(np.array([[1.0, 2.0]], "float32"), np.array([[3.0, 2.0]], "float32"))
    assert report == {"loss": 2.0}


def test_labels_found_in_a_table():
    assert heads.for_labels("classification", ["b", "a", "b"], {}).labels == ("a", "b")
    assert heads.for_labels("multi_label", ["b, a", ["c"], ""], {}).labels == ("a", "b", "c")
    assert heads.for_labels("classification", ["b", "a"], {"labels": ["b", "a"]}).labels == ("b", "a")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ({"architectures": ["BertModel"]}, None),
        ({}, None),
        ({"architectures": ["BertForSequenceClassification"]}, "classification"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "value"}}, "regression"),
        ({"architectures": ["BertForMaskedLM"]}, "masked_lm"),
        ({"architectures": ["BertForNextSentencePrediction"]}, "next_sentence"),
        ({"architectures": ["BertForPreTraining"]}, "pretraining"),
        ({"architectures": ["BertForTokenClassification"], "id2label": {"0": "O"}}, "token_classification"),
        (
            {"architectures": ["BertForSequenceClassification"], "problem_type": "multi_label_classification"},
            "multi_label",
        ),
        ({"architectures": ["BertForMultipleChoice"]}, "multiple_choice"),
    ],
)
def test_head_of_a_hugging_face_config(raw, name):
    head = heads.from_huggingface(raw, "config.json")
    assert (head and head.name) == name


def test_labels_and_dropout_of_a_hugging_face_config():
    raw = {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"1": "b", "0": "a", "2": "c"},
        "hidden_dropout_prob": 0.3,
        "classifier_dropout": None,
    }
    head = heads.from_huggingface(raw, "config.json")
    assert head.labels == ("a", "b", "c")
    assert head.dropout == 0.3
    assert heads.from_huggingface({**raw, "classifier_dropout": 0.0}, "config.json").dropout == 0


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"architectures": ["BertForPoetry"]}, "x/config.json: architectures .*BertForPoetry.* has no head here"),
        ({"architectures": ["BertForSequenceClassification"], "problem_type": "odd"}, "problem_type 'odd'"),
        ({"id2label": {"0": "a", "2": "b"}}, "must number the labels from 0 without a gap"),
    ],
)
def test_hugging_face_configs_that_are_refused(raw, told):
    with pytest.raises(ConfigError, match=told):
        heads.from_huggingface(raw, "x/config.json")
