"""Several sequences a row: the numbers, losses and gradients of each in a row of its own, in either layout."""

import bert_oracle
import keras
import language_oracle
import numpy as np
import pytest
import sequences_oracle as oracle
import tensorflow as tf
import tiny
from sizes import HIDDEN, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import serving_copy, with_layout
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers import Grid

LENGTHS = [9, 2, 4, 7, 3, 1, 5, 3, 2]  # of the sequences; rows have 14 tokens, 4 sequences at most
LENGTH, SEQUENCES = 14, 4
FEATURES, TARGETS = oracle.batch(LENGTHS, VOCAB)
ASKED = TARGETS["masked_lm"][..., 1] != 0
ROWS = oracle.first_fit_decreasing(LENGTHS, ASKED.sum(1), LENGTH, SEQUENCES)
PACKED, ANSWERS = oracle.packed(FEATURES, TARGETS, ROWS, LENGTH, SEQUENCES)
STILL = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
LAYOUTS = pytest.mark.parametrize("layout", ["padded", "packed"])


def given(model, features):
    return {name: features[name] for name in model.input}


def cells():
    """Yield sequence, row, its number there, and where its tokens lie."""
    for r, row in enumerate(ROWS):
        begin = 0
        for k, i in enumerate(row):
            yield i, r, k, slice(begin, begin + LENGTHS[i])
            begin += LENGTHS[i]


def test_the_rows_are_worth_a_test():
    assert len(ROWS) < len(LENGTHS) / 2
    assert max(map(len, ROWS)) == 4
    assert min(map(len, ROWS)) == 2
    assert (PACKED["input_mask"] == 0).any()


@pytest.fixture(scope="module")
def bundle():
    return tiny.bundle(kbz.heads.Pretraining(), config=STILL)


@LAYOUTS
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_every_token_and_every_sequence_against_numpy(tmp_path, layout, in_graph):
    values = language_oracle.tensors("BertForPreTraining")
    config = {**bert_oracle.CONFIG, "architectures": ["BertForPreTraining"]}
    bert_oracle.write_folder(tmp_path, config, values)
    tiny.tokenizer().save(tmp_path)
    loaded = kbz.load(tmp_path)
    bert = {name.removeprefix("bert."): x for name, x in values.items() if name.startswith("bert.")}
    want = bert_oracle.bert(config, bert, FEATURES)
    encoder = with_layout(loaded.encoder, layout, sequences=SEQUENCES)
    got = (tf.function(encoder) if in_graph else encoder)(given(encoder, PACKED))
    assert got["pooled_output"].shape == (len(ROWS), SEQUENCES, HIDDEN)
    for i, r, k, tokens in cells():
        for ours, theirs in zip(got["encoder_outputs"], want["encoder_outputs"], strict=True):
            np.testing.assert_allclose(ours[r, tokens], theirs[i, : LENGTHS[i]], atol=2e-5)
        np.testing.assert_allclose(got["pooled_output"][r, k], want["pooled_output"][i], atol=2e-5)

    want = language_oracle.logits(values, FEATURES, FEATURES["masked_lm_positions"])
    got = with_layout(loaded.model, layout, sequences=SEQUENCES)(PACKED)
    assert got["next_sentence"].shape == (len(ROWS), SEQUENCES, 2)
    for i, r, k, _ in cells():
        np.testing.assert_allclose(got["next_sentence"][r, k], want["next_sentence"][i], atol=2e-5)
    for r, row in enumerate(ROWS):
        masked = np.concatenate([want["masked_lm"][i][ASKED[i]] for i in row])
        np.testing.assert_allclose(got["masked_lm"][r, : len(masked)], masked, atol=2e-5)

    ids, weights = TARGETS["masked_lm"][..., 0].astype(int), TARGETS["masked_lm"][..., 1]
    losses = {
        "masked_lm": language_oracle.masked_lm_loss(want["masked_lm"], ids, weights),
        "next_sentence": language_oracle.cross_entropy(want["next_sentence"], TARGETS["next_sentence"]).mean(),
    }
    for name, loss in loaded.head.loss().items():
        assert float(loss(ANSWERS[name], got[name])) == pytest.approx(losses[name], rel=1e-5)


def told(model, features, targets):
    """Return both losses, the sum over the places asked about, the figures and all gradients."""
    head = kbz.heads.Pretraining()
    losses = head.loss()
    with tf.GradientTape() as tape:
        outputs = model(features, training=True)
        each = {name: loss(targets[name], outputs[name]) for name, loss in losses.items()}
        loss = tf.add_n(list(each.values()))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    gradients = {v.path: tf.convert_to_tensor(g).numpy() for v, g in zip(variables, gradients, strict=True)}
    summed = float(each["masked_lm"]) * (targets["masked_lm"][..., 1].sum() + 1e-5)
    figures = head.measure([(targets, outputs)])
    return {**{name: float(x) for name, x in each.items()}, "sum": summed, **figures}, gradients


@LAYOUTS
def test_losses_figures_and_gradients_are_those_of_single_rows(bundle, layout):
    want, gradients = told(bundle.model, FEATURES, TARGETS)
    model = with_layout(bundle.model, layout, sequences=SEQUENCES)
    got, ours = told(model, PACKED, ANSWERS)
    assert set(got) >= {"masked_lm", "next_sentence", "perplexity", "masked_lm_accuracy", "next_sentence_accuracy"}
    assert got == pytest.approx(want, rel=1e-5)
    assert 0 < want["next_sentence_accuracy"] < 1
    assert len(ours) == len(gradients) == len(bundle.model.trainable_variables)
    for path, theirs in gradients.items():
        assert np.abs(theirs).max() > 1e-3 or path.endswith("key/bias"), path  # a softmax takes no notice of that one
        np.testing.assert_allclose(ours[path], theirs, atol=1e-6 * max(1, np.abs(theirs).max()), err_msg=path)


@pytest.mark.parametrize("layout", ["padded", pytest.param("packed", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "head",
    [kbz.heads.Pretraining(), pytest.param(kbz.heads.MaskedLM(), marks=pytest.mark.slow)],
    ids=lambda head: head.name,
)
def test_fit_ends_with_the_weights_that_single_rows_give(head, layout):
    def trained(make, features, targets):
        model = make(tiny.bundle(head, config=STILL).model)
        model.compile(keras.optimizers.SGD(0.03), head.loss(), metrics=head.metrics())
        y = targets if head.name == "pretraining" else targets["masked_lm"]
        history = model.fit(features, y, batch_size=64, epochs=4, verbose=0).history
        return history, model.get_weights()

    want, weights = trained(lambda model: model, FEATURES, TARGETS)
    got, ours = trained(lambda model: with_layout(model, layout, sequences=SEQUENCES), PACKED, ANSWERS)
    assert want["loss"][3] < want["loss"][0]
    assert set(got) == set(want)
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=2e-5, err_msg=name)
    for one, other in zip(ours, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@LAYOUTS
def test_what_other_sequences_and_the_padding_hold_does_not_matter(bundle, layout):
    model = with_layout(bundle.model, layout, sequences=SEQUENCES)
    r, row = next((r, row) for r, row in enumerate(ROWS) if len(row) > 2)
    last = sum(LENGTHS[i] for i in row[:-1])
    changed = {**PACKED, "input_word_ids": PACKED["input_word_ids"].copy()}
    changed["input_word_ids"][r, last:] = 7
    before, after = model(PACKED)["next_sentence"], model(changed)["next_sentence"]
    k = len(row) - 1
    np.testing.assert_allclose(before[r, :k], after[r, :k], atol=1e-6)
    assert np.abs(before[r, k] - after[r, k]).max() > 1e-2


@LAYOUTS
def test_a_plain_mask_is_one_sequence_a_row_and_odd_rows_do_no_harm(bundle, layout):
    model = with_layout(bundle.model, layout, sequences=SEQUENCES)
    want, got = bundle.model(FEATURES), model(FEATURES)
    np.testing.assert_allclose(got["masked_lm"][ASKED], want["masked_lm"][ASKED], atol=1e-5)
    np.testing.assert_allclose(got["next_sentence"][:, 0], want["next_sentence"], atol=1e-5)
    empty = {name: np.concatenate([values[:1] * 0, values]) for name, values in PACKED.items()}
    np.testing.assert_allclose(model(empty)["next_sentence"][1:], model(PACKED)["next_sentence"], atol=1e-5)
    nothing = model({name: values * 0 for name, values in PACKED.items()})
    assert all(np.isfinite(values).all() for values in nothing.values())
    # A row may hold more sequences than are asked about: they see themselves alone all the same.
    fewer = with_layout(bundle.model, layout, sequences=2)(PACKED)
    whole = model(PACKED)
    np.testing.assert_allclose(fewer["masked_lm"], whole["masked_lm"], atol=1e-5)
    np.testing.assert_allclose(fewer["next_sentence"], whole["next_sentence"][:, :2], atol=1e-5)


def test_without_a_next_sentence_to_learn_from_the_loss_is_zero():
    head = kbz.heads.Pretraining()
    logits = np.ones((2, 3, 2), "float32")
    none = np.full((2, 3), -1)
    assert float(head.loss()["next_sentence"](none, logits)) == 0
    (accuracy,) = head.metrics()["next_sentence"]
    accuracy.update_state(none, logits)
    assert float(accuracy.result()) == 0


@LAYOUTS
def test_weights_are_shared_saved_and_read_again(tmp_path, bundle, layout):
    model = with_layout(bundle.model, layout, sequences=SEQUENCES)
    assert [v.path for v in model.variables] == [v.path for v in bundle.model.variables]
    assert all(one is other for one, other in zip(model.variables, bundle.model.variables, strict=True))
    for number, each in enumerate((model, with_layout(bundle.encoder, layout, sequences=SEQUENCES))):
        each.save(tmp_path / f"{number}.keras")
        again = keras.models.load_model(tmp_path / f"{number}.keras")
        assert type(again) is type(each)
        assert (again.get_layer("grid").layout, again.get_layer("grid").sequences) == (layout, SEQUENCES)
        ours, theirs = again(given(each, PACKED)), each(given(each, PACKED))
        for one, other in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
            np.testing.assert_array_equal(one, other)


def test_from_the_start_or_later_and_back(bundle):
    encoder = kbz.build_encoder(STILL, sequences=SEQUENCES)
    encoder.set_weights(bundle.encoder.get_weights())
    want = with_layout(bundle.encoder, "padded", sequences=SEQUENCES)(given(encoder, PACKED))
    np.testing.assert_array_equal(encoder(given(encoder, PACKED))["pooled_output"], want["pooled_output"])
    attached = bundle.head.attach(encoder)
    assert attached.output["next_sentence"].shape == (None, SEQUENCES, 2)
    assert with_layout(attached, "packed").get_layer("grid").sequences == SEQUENCES  # as many as before
    back = with_layout(with_layout(bundle.model, "packed", sequences=SEQUENCES), "padded", sequences=1)
    np.testing.assert_array_equal(back(FEATURES)["next_sentence"], bundle.model(FEATURES)["next_sentence"])
    served = serving_copy(attached, "float32")
    assert served.get_layer("grid").sequences == 1
    assert served(FEATURES)["next_sentence"].shape == (len(LENGTHS), 2)


def test_training_with_less_memory(bundle):
    model = with_layout(bundle.model, "padded", sequences=SEQUENCES)
    less = kbz.rematerialize(model)
    np.testing.assert_array_equal(less(PACKED)["next_sentence"], model(PACKED)["next_sentence"])


def test_half_precision_hides_other_sequences_too():
    grid = Grid("padded", 3, dtype="float16")(np.array([[1, 1, 2, 3, 0], [1, 2, 2, 2, 2]], "int32"))
    bias = np.asarray(grid["groups"][0]["bias"])
    assert bias.shape == (2, 1, 5, 5)
    assert np.isfinite(bias).all()
    assert np.exp(bias.min()) == 0
    assert (bias[0, 0] == 0).astype(int).tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert np.asarray(grid["firsts"]).tolist() == [[0, 2, 3], [0, 1, 0]]
    assert np.asarray(grid["positions"])[1].tolist() == [0, 0, 1, 2, 3]
    assert np.asarray(grid["mask"]).tolist() == [[1, 1, 1, 1, 0], [1] * 5]


def test_heads_that_read_one_sequence_a_row():
    encoder = kbz.build_encoder(STILL, sequences=3)
    others = [
        kbz.heads.Classification(["bad", "good"]),
        kbz.heads.NextSentence(),
        kbz.heads.QuestionAnswering(),
        kbz.heads.TokenClassification(["O", "B-X"]),
        kbz.heads.MultipleChoice(),
        kbz.heads.SentenceEmbedding(pooling="mean", loss="similarity"),
    ]
    for head in others:
        with pytest.raises(ConfigError, match=r"reads one sequence a row.*sequences=1"):
            head.attach(encoder)
        model = head.attach(kbz.build_encoder(STILL))
        with pytest.raises(ConfigError, match=rf"'{model.name}' reads one sequence a row"):
            with_layout(model, "padded", sequences=3)
    with pytest.raises(ConfigError, match="sequences is 0, a row has room for at least 1"):
        kbz.build_encoder(STILL, sequences=0)


@pytest.mark.slow
@pytest.mark.parametrize("head", [kbz.heads.Pretraining(), kbz.heads.MaskedLM()], ids=lambda head: head.name)
@pytest.mark.parametrize("sequences", [1, SEQUENCES])
def test_under_xla_two_steps_are_the_same(head, sequences):
    features, targets = (FEATURES, TARGETS) if sequences == 1 else (PACKED, ANSWERS)
    y = targets if head.name == "pretraining" else targets["masked_lm"]

    def trained(jit_compile):
        small = STILL.replace(num_hidden_layers=1)
        model = with_layout(tiny.bundle(head, config=small).model, "padded", sequences=sequences)
        model.compile(keras.optimizers.SGD(0.03), head.loss(), metrics=head.metrics(), jit_compile=jit_compile)
        return model.fit(features, y, batch_size=64, epochs=2, verbose=0).history, model.get_weights()

    (want, weights), (got, ours) = trained(False), trained(True)
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, err_msg=name)
    for one, other in zip(ours, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
