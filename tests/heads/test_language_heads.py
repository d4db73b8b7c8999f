"""The heads of pretraining: against NumPy and Model Garden, from and to Hugging Face's folders, swapped, trained."""

import json

import bert_oracle
import keras
import language_oracle as oracle
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
import tiny
from scipy import special
from sizes import BATCH, HIDDEN, LAYERS, VOCAB

import keras_bert_zoo as kbz
from keras_bert_zoo import heads
from keras_bert_zoo.encoder import serving_copy, with_layout
from keras_bert_zoo.errors import CheckpointError, ConfigError, DataError

CLASSES = {
    "BertForMaskedLM": kbz.heads.MaskedLM,
    "BertForNextSentencePrediction": kbz.heads.NextSentence,
    "BertForPreTraining": kbz.heads.Pretraining,
}
M = 4  # places a row


def inputs(seed=2):
    """Features of rows with real tokens alone at the places asked about."""
    rng = np.random.default_rng(seed)
    positions = rng.integers(0, np.array(bert_oracle.LENGTHS)[:, None], (BATCH, M)).astype("int32")
    return {**bert_oracle.inputs(), "masked_lm_positions": positions}


def record(seed=3):
    """A batch of Google's pretraining records, older names."""
    rng = np.random.default_rng(seed)
    features = inputs()
    positions = features["masked_lm_positions"]
    first = np.array([[place not in row[:i] for i, place in enumerate(row)] for row in positions.tolist()])
    return {
        "input_ids": features["input_word_ids"],
        "input_mask": features["input_mask"],
        "segment_ids": features["input_type_ids"],
        "masked_lm_positions": positions,
        "masked_lm_ids": rng.integers(0, VOCAB, (BATCH, M)),
        "masked_lm_weights": (first & (rng.random((BATCH, M)) < 0.8)).astype("float32"),
        "next_sentence_labels": rng.integers(0, 2, (BATCH, 1)),
    }


def write_folder(path, architecture, change=lambda values: values):
    values = oracle.tensors(architecture)
    config = {**bert_oracle.CONFIG, "architectures": [architecture]}
    bert_oracle.write_folder(path, config, change(values))
    tiny.tokenizer().save(path)
    return path, values


def given(model, features):
    return {name: features[name] for name in model.input}


def named(outputs, architecture):
    """Name the outputs of a model with one."""
    return (
        outputs
        if isinstance(outputs, dict)
        else {{"BertForMaskedLM": "masked_lm"}.get(architecture, "next_sentence"): outputs}
    )


def old_norms(values):
    spellings = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, old in spellings.items():
        values = {name.replace(new, old): value for name, value in values.items()}
    return values


def with_copies(values):
    """Older files hold the tied decoder a second time."""
    return {
        **values,
        "cls.predictions.decoder.weight": values["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": values["cls.predictions.bias"],
    }


@pytest.mark.parametrize("architecture", CLASSES)
def test_a_hugging_face_folder_gives_its_logits_and_comes_back_bit_by_bit(tmp_path, architecture):
    folder, values = write_folder(tmp_path / "theirs", architecture)
    bundle = kbz.load(folder)
    assert type(bundle.head) is CLASSES[architecture]
    features = inputs()
    want = oracle.logits(values, features, features["masked_lm_positions"])
    got = named(bundle.model(given(bundle.model, features)), architecture)
    assert set(got) == set(want)
    for name, logits in want.items():
        np.testing.assert_allclose(got[name], logits, atol=2e-5)
    packed = named(with_layout(bundle.model, "packed")(given(bundle.model, features)), architecture)
    fast = named(serving_copy(bundle.model, "float32")(given(bundle.model, features)), architecture)
    for name, logits in want.items():
        np.testing.assert_allclose(packed[name], logits, atol=2e-5)
        np.testing.assert_allclose(fast[name], logits, atol=2e-5)

    kbz.save(bundle, tmp_path / "ours")
    ours = safetensors.numpy.load_file(tmp_path / "ours/model.safetensors")
    assert {name: x.tobytes() for name, x in ours.items()} == {name: x.tobytes() for name, x in values.items()}
    told = json.loads((tmp_path / "ours/config.json").read_text())
    assert told["architectures"] == [architecture]
    assert "id2label" not in told
    again = kbz.load(tmp_path / "ours")
    assert again.head.get_config() == bundle.head.get_config()


@pytest.mark.parametrize("change", [old_norms, with_copies, lambda values: old_norms(with_copies(values))])
@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertForPreTraining"])
def test_older_spellings_are_read(tmp_path, architecture, change):
    folder, values = write_folder(tmp_path, architecture, change)
    bundle = kbz.load(folder)
    features = inputs()
    got = named(bundle.model(features), architecture)["masked_lm"]
    np.testing.assert_allclose(
        got, oracle.logits(values, features, features["masked_lm_positions"])["masked_lm"], atol=2e-5
    )


@pytest.mark.parametrize("name", ["cls.predictions.decoder.weight", "cls.predictions.decoder.bias"])
def test_a_decoder_that_is_not_tied_is_refused(tmp_path, name):
    folder, _ = write_folder(tmp_path, "BertForMaskedLM", lambda v: {**with_copies(v), name: with_copies(v)[name] + 1})
    with pytest.raises(CheckpointError, match=rf"'{name}' is not the copy of '.*' that it is in every such file"):
        kbz.load(folder)


def test_google_s_own_files_keep_the_other_head_and_the_pooler(tmp_path):
    """Published as BertForMaskedLM, they hold all that BertForPreTraining has."""
    folder, values = write_folder(tmp_path, "BertForPreTraining")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    bundle = kbz.load(folder)
    assert bundle.head.name == "masked_lm"
    assert bundle.config.pooler
    features = inputs()
    want = oracle.logits(values, features, features["masked_lm_positions"])["masked_lm"]
    np.testing.assert_allclose(bundle.model(features), want, atol=2e-5)
    np.testing.assert_array_equal(bundle.encoder.get_layer("pooler").kernel, values["bert.pooler.dense.weight"].T)


def test_either_head_of_a_folder_with_both(tmp_path):
    folder, values = write_folder(tmp_path, "BertForPreTraining", with_copies)
    features = inputs()
    want = oracle.logits(values, features, features["masked_lm_positions"])
    following = kbz.load(folder, head=kbz.heads.NextSentence())
    np.testing.assert_allclose(following.model(given(following.model, features)), want["next_sentence"], atol=2e-5)
    masked = kbz.load(folder, head=kbz.heads.MaskedLM(top_k=2))
    assert masked.head.top_k == 2
    np.testing.assert_allclose(masked.model(features), want["masked_lm"], atol=2e-5)
    with pytest.raises(CheckpointError, match=r"missing: 'classifier\.bias'"):
        kbz.load(folder, head=kbz.heads.Classification(["no", "yes"]), unused=["cls.*"])


@pytest.mark.parametrize("architecture", CLASSES)
def test_dropping_the_head_keeps_every_weight_of_the_encoder(tmp_path, architecture):
    folder, values = write_folder(tmp_path, architecture)
    bundle = kbz.load(folder).attach(kbz.heads.Classification(["no", "yes"], new_pooler=True))
    kbz.save(bundle, tmp_path / "task")
    saved = safetensors.numpy.load_file(tmp_path / "task/model.safetensors")
    kept = [name for name in values if name.startswith("bert.")]
    assert len(kept) == 5 + LAYERS * 16 + 2 * bundle.config.pooler
    for name in kept:
        np.testing.assert_array_equal(saved[name], values[name])
    assert set(saved) - set(kept) <= {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight"} | {
        "bert.pooler.dense.bias"
    }


def test_a_head_of_pretraining_keeps_what_it_has_learnt_when_another_takes_over(tmp_path):
    folder, values = write_folder(tmp_path, "BertForPreTraining")
    bundle, features = kbz.load(folder), inputs()
    want = oracle.logits(values, features, features["masked_lm_positions"])
    masked, following = bundle.attach(kbz.heads.MaskedLM()), bundle.attach(kbz.heads.NextSentence())
    np.testing.assert_allclose(masked.model(features), want["masked_lm"], atol=2e-5)
    np.testing.assert_allclose(following.model(given(following.model, features)), want["next_sentence"], atol=2e-5)
    other = bundle.attach(kbz.heads.Classification(["no", "yes"]))
    assert np.abs(other.model(given(other.model, features)) - want["next_sentence"]).max() > 0.1  # a task begins anew


def test_the_token_table_is_one_weight_that_learns_from_both_ends():
    model = tiny.bundle(kbz.heads.MaskedLM()).model
    paths = [weight.path for weight in model.trainable_variables]
    assert len(paths) == len(set(paths)) == 5 + LAYERS * 16 + 5
    table = model.get_layer("embeddings").token.embeddings
    features = inputs()
    features["input_word_ids"] = features["input_word_ids"] % 50  # tokens from 50 on are read nowhere
    with tf.GradientTape() as tape:
        logits = model(features)
        loss = tf.reduce_sum(logits[0, 0, 60:70])
    gradient = tf.convert_to_tensor(tape.gradient(loss, table.value)).numpy()
    assert (np.abs(gradient[60:70]).max(1) > 0).all()  # asked for, not read: by the decoder
    read = np.unique(features["input_word_ids"][0][: bert_oracle.LENGTHS[0]])
    assert (np.abs(gradient[read]).max(1) > 0).all()  # read, not asked for: by the embedding
    rest = np.setdiff1d(np.arange(VOCAB), [*range(60, 70), *read])
    assert not gradient[rest].any()
    # The whole of it, against small steps.
    for token in (int(read[0]), 64):
        row = np.zeros(table.shape, "float32")
        row[token, 3] = 1e-2
        steps = []
        for sign in (1, -1):
            table.assign_add(sign * row)
            steps.append(float(tf.reduce_sum(model(features)[0, 0, 60:70])))
            table.assign_add(-sign * row)
        assert (steps[0] - steps[1]) / 2e-2 == pytest.approx(float(gradient[token, 3]), rel=0.05, abs=0.05)


def test_keras_saving_by_value(tmp_path):
    head = kbz.heads.Pretraining()
    model = tiny.bundle(head).model
    model.compile(kbz.adamw(1e-3, steps=9), head.loss(), metrics=head.metrics())
    features, targets = kbz.heads.Pretraining.split(record())
    model.fit(features, targets, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert sorted(v.path for v in again.trainable_variables) == sorted(v.path for v in model.trainable_variables)
    one, other = model(inputs()), again(inputs())
    assert set(one) == {"masked_lm", "next_sentence"}
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_fit_on_google_s_records_by_google_s_loss():
    head = kbz.heads.Pretraining()
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = tiny.bundle(head, config=config).model
    whole = record()
    features, targets = head.split(whole)
    logits = {name: values.numpy() for name, values in model(features).items()}
    ids, weights = whole["masked_lm_ids"], whole["masked_lm_weights"]
    masked = oracle.masked_lm_loss(logits["masked_lm"], ids, weights)
    following = oracle.cross_entropy(logits["next_sentence"], whole["next_sentence_labels"][:, 0]).mean()
    model.compile(kbz.adamw(1e-2, steps=60), head.loss(), metrics=head.metrics())
    told = model.evaluate(features, targets, batch_size=BATCH, return_dict=True, verbose=0)
    right = (weights * (logits["masked_lm"].argmax(-1) == ids)).sum() / weights.sum()
    assert told == pytest.approx(
        {
            "loss": masked + following,
            "masked_lm_loss": masked,
            "next_sentence_loss": following,
            "masked_lm_accuracy": right,
            "masked_lm_perplexity": np.exp(masked),
            "next_sentence_accuracy": (
                logits["next_sentence"].argmax(-1) == whole["next_sentence_labels"][:, 0]
            ).mean(),
        },
        rel=1e-4,
    )
    measured = head.measure([(targets, logits)])
    assert measured == pytest.approx(
        {
            "masked_lm_loss": masked * (weights.sum() + 1e-5) / weights.sum(),
            "perplexity": told["masked_lm_perplexity"],
            "masked_lm_accuracy": told["masked_lm_accuracy"],
            "next_sentence_accuracy": told["next_sentence_accuracy"],
        },
        rel=1e-5,
    )
    history = model.fit(features, targets, batch_size=BATCH, epochs=60, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["masked_lm_accuracy"][-1] > 0.9


def test_records_by_either_name_and_inside_tf_data():
    old = record()
    new = {
        {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}.get(name, name): value
        for name, value in old.items()
    }
    new["next_sentence_label"] = new.pop("next_sentence_labels")[:, 0]
    (features, targets) = kbz.heads.Pretraining.split(old)
    assert targets["masked_lm"].shape == (BATCH, M, 2)
    assert targets["next_sentence"].numpy().tolist() == new["next_sentence_label"].tolist()
    for got, want in zip(
        next(iter(tf.data.Dataset.from_tensors(new).map(kbz.heads.Pretraining.split))), (features, targets), strict=True
    ):
        for name in want:
            np.testing.assert_array_equal(got[name], want[name])
    old.pop("masked_lm_weights")
    with pytest.raises(DataError, match="lacks masked_lm_weights; it has input_ids, input_mask"):
        kbz.heads.Pretraining.split(old)


def test_against_model_garden():
    garden = pytest.importorskip(
        "official.nlp.modeling.layers", reason="Model Garden comes with the extra [garden]", exc_type=ImportError
    )
    bundle = tiny.bundle(kbz.heads.MaskedLM())
    features = inputs()
    weights = {weight.path: weight.numpy() for weight in bundle.model.trainable_variables}
    theirs = garden.MaskedLM(tf.Variable(weights["embeddings/token/embeddings"]), tf.nn.gelu)
    sequence = bundle.encoder({name: features[name] for name in bundle.encoder.input})["sequence_output"]
    positions = tf.constant(features["masked_lm_positions"])
    theirs(sequence, positions)
    theirs.dense.set_weights([weights[f"head_transform/dense/{name}"] for name in ("kernel", "bias")])
    theirs.layer_norm.set_weights([weights[f"head_transform/norm/{name}"] for name in ("gamma", "beta")])
    theirs.bias.assign(weights["head_masked_lm/bias"])
    want = theirs(sequence, positions).numpy()
    assert np.abs(want).max() > 1
    np.testing.assert_allclose(bundle.model(features), want, atol=1e-5)


# Answers

TEXTS = ["a good [MASK].", "no mask", "", "[MASK][MASK] and so[MASK]", "so [MASK] " * 20]


@pytest.fixture(scope="module")
def masked():
    return tiny.bundle(kbz.heads.MaskedLM(top_k=3))


def by_hand(bundle, text):
    """Answer one text in NumPy: ids by hand, the model's logits, softmax, the three best."""
    tokenizer = bundle.tokenizer
    parts = [tokenizer.tokenize([part]).to_list()[0] for part in text.split("[MASK]")]
    ids = [tokenizer.cls_id]
    for part in parts:
        ids += [*part, tokenizer.mask_id]
    ids = [*ids[:-1][: bundle.max_length - 1], tokenizer.sep_id]
    positions = [i for i, token in enumerate(ids) if token == tokenizer.mask_id]
    features = {
        "input_word_ids": [ids],
        "input_mask": [[1] * len(ids)],
        "input_type_ids": [[0] * len(ids)],
        "masked_lm_positions": [positions],
    }
    logits = bundle.model({name: np.array(rows, "int32").reshape(1, -1) for name, rows in features.items()})
    scores = special.softmax(np.array(logits, "float64")[0], axis=-1)
    best = np.argsort(-scores, axis=-1)[:, :3]
    return [[tokenizer.vocabulary[i] for i in row] for row in best], np.take_along_axis(scores, best, -1).tolist()


def test_masked_lm_answers(masked):
    answers = masked.predict(TEXTS)
    for text, answer in zip(TEXTS, answers, strict=True):
        tokens, scores = by_hand(masked, text)
        assert answer["tokens"] == tokens
        for got, want in zip(answer["scores"], scores, strict=True):
            assert got == pytest.approx(want, abs=1e-5)
    assert answers[1] == {"tokens": [], "scores": [], "filled": "no mask"}
    assert answers[2] == {"tokens": [], "scores": [], "filled": ""}
    ((best, *_),) = answers[0]["tokens"]
    assert answers[0]["filled"] in (f"a good {best}.", f"a good{best[2:]}.")
    # 23 positions hold ten of the twenty masks; the others stay as they were typed
    assert len(answers[4]["tokens"]) == 10
    assert answers[4]["filled"].endswith("so [MASK] " * 10)
    assert answers[4]["filled"].count("[MASK]") == 10


def test_masked_lm_answers_are_dense_and_padded(masked):
    from keras_bert_zoo.training.answers import answering

    answer = answering(masked.model, masked.head, masked.tokenizer, 23)({"text": tf.constant(TEXTS)})
    assert answer["tokens"].shape == answer["scores"].shape == (5, 10, 3)
    assert answer["tokens"].dtype == answer["filled"].dtype == tf.string
    assert answer["scores"].dtype == tf.float32
    assert (answer["tokens"][1:3] == b"").numpy().all()
    assert not answer["scores"][0, 1:].numpy().any()
    none = answering(masked.model, masked.head, masked.tokenizer, 23)({"text": tf.constant(["x", ""])})
    assert none["tokens"].shape == (2, 0, 3)
    empty = answering(masked.model, masked.head, masked.tokenizer, 23)({"text": tf.constant([], tf.string)})
    assert empty["tokens"].shape == (0, 0, 3)
    assert empty["filled"].shape == (0,)


def test_more_answers_than_tokens_and_ids_that_no_token_has():
    bundle = tiny.bundle(kbz.heads.MaskedLM(top_k=500), config=tiny.CONFIG.replace(vocab_size=VOCAB + 6))
    (answer,) = bundle.predict(["a [MASK]"])
    assert sorted(answer["tokens"][0]) == sorted(tiny.VOCABULARY)
    assert 0.5 < sum(answer["scores"][0]) < 1  # the six nameless ids have the rest


def test_next_sentence_answers():
    bundle = tiny.bundle(kbz.heads.NextSentence())
    texts, pairs = ["a good film", ""], ["it was great", "so bad"]
    from keras_bert_zoo.data.tables import Table

    table = Table.from_lists(texts, [0, 1], pairs)
    (batch,) = table.batches(bundle.head, bundle.tokenizer, 2)
    want = special.softmax(bundle.model(batch[0]).numpy(), axis=-1)[:, 0]
    answers = bundle.predict(texts, text_pair=pairs)
    assert [answer["probability"] for answer in answers] == pytest.approx(want.tolist(), abs=1e-6)
    assert set(answers[0]) == {"probability"}
    figures = bundle.evaluate(table)
    assert figures["accuracy"] == pytest.approx(((want > 0.5) == [True, False]).mean())  # label 0: it follows


def test_pretraining_answers_pairs():
    bundle = tiny.bundle(kbz.heads.Pretraining(top_k=2))
    (answer,) = bundle.predict(["a [MASK] film"], text_pair=["[MASK]"])
    assert set(answer) == {"tokens", "scores", "filled", "filled_pair", "probability"}
    (first, _), (second, _) = answer["tokens"]
    assert answer["filled"] in (f"a {first} film", f"a{first[2:]} film")
    assert answer["filled_pair"] == second.removeprefix("##")
    follows = bundle.attach(kbz.heads.NextSentence())
    # the same encoder and weights; its input has no masks, which only the masked-LM heads read
    assert 0 < answer["probability"] < 1
    (plain,) = bundle.predict(["a good film"], text_pair=["it was"])
    (same,) = follows.predict(["a good film"], text_pair=["it was"])
    assert plain["probability"] == pytest.approx(same["probability"], abs=1e-6)
    assert plain["tokens"] == []


# Learning


@pytest.mark.slow  # an example learns the same task in every run
def test_masked_lm_learns_from_lines_and_is_measured():
    bundle = tiny.bundle(kbz.heads.MaskedLM(mask_share=0.3))
    table = kbz.data.Table.from_lists(["the film was good"] * 40)
    before = bundle.evaluate(table)
    assert before == pytest.approx(bundle.evaluate(table, batch_size=7), rel=1e-4)  # masks go by the text's number
    features, targets = next(iter(table.batches(bundle.head, bundle.tokenizer, 40)))
    logits = bundle.model(features).numpy()
    ids, weights = targets[..., 0].numpy().astype(int), targets[..., 1].numpy()
    loss = (weights * oracle.cross_entropy(logits, ids)).sum() / weights.sum()
    assert before == pytest.approx(
        {
            "masked_lm_loss": loss,
            "perplexity": np.exp(loss),
            "masked_lm_accuracy": (weights * (logits.argmax(-1) == ids)).sum() / weights.sum(),
        },
        rel=1e-4,
    )
    from keras_bert_zoo.training.fit import Settings, fit

    settings = Settings(epochs=12, batch_size=5, learning_rate=1e-2, length=19)
    fit(bundle.model, bundle.head, bundle.tokenizer, table, None, settings, verbose=0)
    after = bundle.evaluate(table)
    assert after["masked_lm_accuracy"] > 0.9
    assert after["perplexity"] < 0.1 * before["perplexity"]
    assert bundle.predict(["the film was [MASK]"])[0]["filled"] == "the film was good"


def test_the_same_seed_draws_the_same_masks_and_every_pass_new_ones():
    head, tokenizer = kbz.heads.MaskedLM(mask_share=0.4), tiny.tokenizer()
    table = kbz.data.Table.from_lists(tiny.GOOD + tiny.BAD)

    def passes(**options):
        dataset = table.batches(head, tokenizer, 12, **options)
        return [next(iter(dataset))[0]["input_word_ids"].numpy().tolist() for _ in range(2)]

    first, second = passes(shuffle=True, seed=3)
    assert sorted(first) != sorted(second)
    assert passes(shuffle=True, seed=3) == [first, second]
    assert passes(shuffle=True, seed=4)[0] != first
    still = passes()
    assert still[0] == still[1]


def test_pairs_without_labels_are_refused():
    table = kbz.data.Table.from_lists(["a"], pairs=["b"])
    from keras_bert_zoo.training.fit import fit

    for head in (kbz.heads.NextSentence(), kbz.heads.Pretraining()):
        bundle = tiny.bundle(head)
        for ask in (lambda b=bundle: b.evaluate(table), lambda b=bundle: fit(b.model, b.head, b.tokenizer, table)):
            with pytest.raises(DataError, match="there are no labels to compare with"):
                ask()


@pytest.mark.parametrize("head", [kbz.heads.NextSentence(), kbz.heads.Pretraining()])
def test_next_sentence_labels(head):
    assert head.targets([0, "1", "is_next", "not_next"], str).tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match="line 7: label 'maybe' is neither is_next"):
        head.targets(["0", "maybe"], lambda i: f"line {i + 6}")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"mask_share": 1}, "mask_share is 1"),
        ({"mask_share": 0}, "mask_share is 0"),
        ({"max_predictions": 0}, "max_predictions is 0"),
    ],
)
@pytest.mark.parametrize("name", ["masked_lm", "pretraining"])
def test_what_makes_no_head(name, options, told):
    with pytest.raises(ConfigError, match=told):
        heads.make(name, options)
    with pytest.raises(ConfigError, match=f"'stone' has no place for the head '{name}'"):
        heads.make(name, {}).rows("stone")


def test_no_pooler_is_an_error_unless_a_new_one_is_asked_for():
    encoder = kbz.build_encoder(tiny.CONFIG.replace(pooler=False))
    for made in (kbz.heads.NextSentence, kbz.heads.Pretraining):
        with pytest.raises(ConfigError, match=r"has no pooler.*new_pooler=True"):
            made().attach(encoder)
        assert made(new_pooler=True).attach(encoder).get_layer("pooler").kernel.shape == (HIDDEN, HIDDEN)
    assert kbz.heads.MaskedLM().attach(encoder).output.shape == (None, None, VOCAB)
