"""Tags for words: against loops in NumPy, seqeval, and folders as Hugging Face writes them."""

import json
import re
import unicodedata

import bert_oracle
import numpy as np
import pytest
import safetensors.numpy
import seqeval.metrics
import tensorflow as tf
import tiny
from scipy import special
from seqeval.metrics.sequence_labeling import get_entities
from sizes import BATCH, HIDDEN, TIME

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.serving import fresh_process
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.training.fit import Settings

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TEXTS = [
    "a good film, it was great: caf\u00e9 cafe\u0301 na\u0308\u0323ive",
    "",
    "so very bad and dull and cold. poor and awful again! " * 3,
    "the  story \U0001f600\ufe0f of\tthe \u5317\u4eac-film\n\u200b and a\u00a0plot",
    b"the \xffplot\xfe is caf\xc3\xa9 fi",
    "\u0301 \u200b",
]
SENTENCES = [
    ["a", "good", "film", ",", "so"],
    ["it", "was,", "\u200b", "caf\u00e9", "\u5317\u4eac"],
    ["very", "bad", "and", "dull", "and", "cold", "poor", "awful", "scene", "end", "the", "of", "in", "to"],
    ["U.S.", "film"],
]
TAGS = [
    ["O", "B-PER", "I-PER", "O", "B-LOC"],
    ["I-PER", "O", "O", "B-LOC", "I-LOC"],
    ["O", "B-LOC", "I-LOC", "O", "O", "I-PER", "I-PER", "B-PER", "I-LOC", "O", "O", "B-PER", "O", "O"],
    ["B-LOC", "O"],
]
LENGTH = 9


@pytest.fixture(scope="module")
def bundle():
    made = tiny.bundle(kbz.heads.TokenClassification(LABELS, stride=3))
    return kbz.Bundle(made.encoder, made.tokenizer, made.head, made.model, LENGTH)


@pytest.fixture(scope="module")
def export(bundle, tmp_path_factory):
    return export_bundle(bundle, tmp_path_factory.mktemp("saved_models") / "names")


def pieces(bundle, text):
    """Return clean text, and ids, starts and ends of its pieces."""
    clean = text.decode("utf-8", "ignore") if isinstance(text, bytes) else text
    return clean, *(part.to_list()[0] for part in bundle.tokenizer.tokenize_with_offsets([clean]))


def logits_by_loop(bundle, ids, stride=3):
    """Return each piece's logits from the window where it has most context, each window run alone."""
    best = {}
    start = 0
    while True:
        seen = ids[start : start + LENGTH - 2]
        row = [bundle.tokenizer.cls_id, *seen, bundle.tokenizer.sep_id]
        inputs = {"input_word_ids": [row], "input_mask": [[1] * len(row)], "input_type_ids": [[0] * len(row)]}
        out = bundle.model({name: np.array(value, "int32") for name, value in inputs.items()}).numpy()[0]
        for place in range(len(seen)):
            context = min(place, len(seen) - 1 - place) + 0.01 * len(seen)
            if start + place not in best or context > best[start + place][0]:
                best[start + place] = (context, out[1 + place])
        if start + len(seen) == len(ids):
            break
        start += stride
    return np.array([best[i][1] for i in range(len(ids))]).reshape(-1, bundle.head.outputs)


def words_by_loop(bundle, text, at_spaces):
    """Return the words of a text: first character, end, first piece."""
    clean, ids, starts, ends = pieces(bundle, text)
    words, before = [], None
    for i, (id_, start, end) in enumerate(zip(ids, starts, ends, strict=True)):
        spaces = len(re.findall(r"[ \t\n\r]", clean[:start]))
        begins = spaces != before if at_spaces else not bundle.tokenizer.vocabulary[id_].startswith("##")
        before = spaces
        if begins:
            words.append([start, end, i])
        else:
            words[-1][1] = end
    return words


def answer_by_loop(bundle, text, at_spaces=False):
    """Return what should be served for one text."""
    clean, ids, *_ = pieces(bundle, text)
    words = words_by_loop(bundle, text, at_spaces)
    probabilities = special.softmax(logits_by_loop(bundle, ids)[[first for *_, first in words]], axis=-1)
    tags = [bundle.head.labels[i] for i in probabilities.argmax(-1)] if words else []
    answer = {name: [] for name in ("entity", "label", "start", "end", "score")}
    for type_, first, last in get_entities(tags):
        start, end = words[first][0], words[last][1]
        while end < len(clean) and unicodedata.category(clean[end])[0] == "M":
            end += 1
        found = (clean[start:end], type_, start, end, probabilities[first : last + 1].max(-1).mean())
        for name, value in zip(answer, found, strict=True):
            answer[name].append(value)
    return answer


def same(got, want):
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert {**one, "score": []} == {**other, "score": []}
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def served(function, head, texts):
    batch = {name: value.numpy() for name, value in function(text=tf.constant(texts)).items()}
    rows = [{name: value[i].tolist() for name, value in batch.items()} for i in range(len(texts))]
    for row in rows:
        row |= {name: [value.decode() for value in row[name]] for name in ("entity", "label")}
    return [head.trim(row) for row in rows]


# ---- the model


def test_logits_are_one_dense_layer_on_every_token(bundle):
    features = bert_oracle.inputs()
    sequence = bundle.encoder(features)["sequence_output"].numpy()
    kernel, bias = (variable.numpy() for variable in bundle.model.get_layer("head_logits").variables)
    assert kernel.shape == (HIDDEN, 5)
    logits = bundle.model(features).numpy()
    assert logits.shape == (BATCH, TIME, 5)
    np.testing.assert_allclose(logits, sequence @ kernel + bias, atol=1e-5)
    assert not [variable for variable in bundle.model.trainable_variables if "pooler" in variable.path]


def test_a_hugging_face_folder_comes_and_goes(tmp_path):
    labels = ["O", "B-MISC", "I-MISC"]
    config = {
        **bert_oracle.CONFIG,
        "architectures": ["BertForTokenClassification"],
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
        "hidden_dropout_prob": 0.2,
    }
    random = np.random.default_rng(4)
    tensors = {f"bert.{name}": value for name, value in bert_oracle.tensors(config, pooler=False).items()}
    head = {"classifier.weight": random.normal(size=(3, HIDDEN)), "classifier.bias": random.normal(size=3)}
    tensors |= {name: value.astype("float32") for name, value in head.items()}
    folder = bert_oracle.write_folder(tmp_path / "theirs", config, tensors)
    tiny.tokenizer().save(folder)

    loaded = kbz.load(folder)
    assert type(loaded.head) is kbz.heads.TokenClassification
    assert (loaded.head.labels, loaded.head.dropout) == (("O", "B-MISC", "I-MISC"), 0.2)
    features = bert_oracle.inputs()
    bare = {name.removeprefix("bert."): value for name, value in tensors.items()}
    sequence = bert_oracle.bert(config, bare, features)["sequence_output"]
    want = sequence @ head["classifier.weight"].T + head["classifier.bias"]
    real = features["input_mask"].astype(bool)
    np.testing.assert_allclose(loaded.model(features).numpy()[real], want[real], atol=2e-5)

    kbz.save(loaded, tmp_path / "ours")
    written = safetensors.numpy.load_file(tmp_path / "ours" / "model.safetensors")
    assert {name: value.tobytes() for name, value in written.items()} == {k: v.tobytes() for k, v in tensors.items()}
    told = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert told["architectures"] == ["BertForTokenClassification"]
    assert told["id2label"] == {"0": "O", "1": "B-MISC", "2": "I-MISC"}
    assert "problem_type" not in told
    assert kbz.load(tmp_path / "ours").predict(["a film"]) == loaded.predict(["a film"])


def test_a_pooler_that_no_one_reads_is_not_stored(tmp_path):
    bundle = tiny.bundle(kbz.heads.TokenClassification(LABELS))
    assert bundle.config.pooler
    kbz.save(bundle, tmp_path / "names")
    written = safetensors.numpy.load_file(tmp_path / "names" / "model.safetensors")
    own = {f"bert.{name}" for name in bert_oracle.shapes(bert_oracle.CONFIG, pooler=False)}
    assert set(written) == own | {"classifier.weight", "classifier.bias"}
    again = kbz.load(tmp_path / "names")
    same(again.predict(TEXTS), bundle.predict(TEXTS))
    swapped = again.attach(kbz.heads.TokenClassification(["DET", "NOUN"]))
    for ours, theirs in zip(swapped.encoder.get_weights(), again.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- training


def test_targets_are_on_the_first_pieces_of_every_window(bundle):
    table = kbz.data.from_words(SENTENCES, TAGS)
    head, tokenizer = bundle.head, bundle.tokenizer
    want = []
    for text, spans in zip(table.texts, table.labels, strict=True):
        _, ids, starts, _ = pieces(bundle, text)
        numbers, taken = [], set()
        for start in starts:
            (word,) = [i for i, (begin, end, _) in enumerate(spans) if begin <= start < end]
            numbers.append(-1 if word in taken else LABELS.index(spans[word][2]))
            taken.add(word)
        for first in range(0, max(len(ids) - (LENGTH - 2), 0) + 3, 3):
            seen = slice(first, first + LENGTH - 2)
            row = [tokenizer.cls_id, *ids[seen], tokenizer.sep_id]
            want.append((row, [-1, *numbers[seen], -1]))
            if first + LENGTH - 2 >= len(ids):
                break
    assert len(want) > len(SENTENCES)
    got = []
    for features, targets in table.batches(head, tokenizer, 3, length=LENGTH):
        assert list(features) == ["input_word_ids", "input_mask", "input_type_ids"]
        assert targets.dtype == tf.int32
        rows = zip(features["input_word_ids"].numpy(), features["input_mask"].numpy(), targets.numpy(), strict=True)
        for ids, mask, tags in rows:
            size = mask.sum()
            got.append((ids[:size].tolist(), tags[:size].tolist()))
            assert (tags[size:] == -1).all()
    assert got == want
    packed, targets = head.pack(tokenizer, LENGTH)(
        {"text": table.texts}, head.targets(table.labels, table.place)
    )  # all windows at once
    assert [row[: m.sum()].tolist() for row, m in zip(targets.numpy(), packed["input_mask"].numpy(), strict=True)] == [
        tags for _, tags in want
    ]


def test_pieces_outside_of_every_word_teach_nothing(bundle):
    table = kbz.data.Table.from_lists(["a good film . it"], [[(2, 6, "B-PER"), (14, 16, "O")]])
    _, targets = bundle.head.pack(bundle.tokenizer, LENGTH)(
        {"text": table.texts}, bundle.head.targets(table.labels, table.place)
    )
    assert targets.numpy().tolist() == [[-1, -1, 1, -1, -1, 0, -1]]


def test_loss_and_accuracy_count_words_alone():
    random = np.random.default_rng(3)
    logits = random.normal(size=(BATCH, TIME, 5)).astype("float32")
    targets = random.integers(-1, 5, (BATCH, TIME)).astype("int32")
    head = kbz.heads.TokenClassification(LABELS)
    counts = targets >= 0
    chosen = np.take_along_axis(special.log_softmax(logits, -1), np.maximum(targets, 0)[..., None], -1)[..., 0]
    assert float(head.loss()(targets, logits)) == pytest.approx(-chosen[counts].mean(), abs=1e-5)
    assert float(head.loss()(np.full((2, 3), -1), logits[:2, :3])) == 0
    (metric,) = head.metrics()
    assert float(metric.result()) == 0
    metric.update_state(targets[:2], logits[:2])
    metric.update_state(targets[2:], logits[2:])
    assert metric.name == "accuracy"
    assert float(metric.result()) == pytest.approx((logits.argmax(-1) == targets)[counts].mean())
    metric.reset_state()
    metric.update_state(targets, logits, sample_weight=np.array([[1.0], [0], [0], [0], [0]]))
    assert float(metric.result()) == pytest.approx((logits.argmax(-1) == targets)[:1][counts[:1]].mean())


@pytest.mark.slow  # an example learns the same task in every run
def test_it_learns_to_find_names(tmp_path):
    table = kbz.data.from_words(
        [["the", "film", "was", "good"], ["a", "story", "and", "plot"], ["it", "is", "a", "sad", "film"]] * 12,
        [["O", "B-X", "O", "O"], ["O", "B-X", "O", "B-Y"], ["O", "O", "O", "O", "B-X"]] * 12,
    )
    head = kbz.heads.TokenClassification(kbz.heads.TokenClassification.labels_in(table.labels))
    assert head.labels == ("O", "B-X", "B-Y")
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    settings = Settings(epochs=4, learning_rate=1e-2, batch_size=6, length=5)
    run = kbz.finetune(tiny.bundle(config=config), head, table, table, settings=settings, verbose=0)
    epochs = run.history.epochs
    assert set(epochs[0]) == {
        "loss",
        "accuracy",
        *(f"val_{name}" for name in ("f1", "precision", "recall", "accuracy", "f1_X", "f1_Y")),
    }
    assert epochs[-1]["loss"] < 0.3 * epochs[0]["loss"]
    assert max(epoch["val_f1"] for epoch in epochs) == epochs[run.history.best]["val_f1"] > 0.95
    assert run.bundle.predict(["a film"])[0]["label"] == ["X"]
    assert run.bundle.max_length == 5


# ---- answers


@pytest.mark.parametrize("words", ["tokenizer", "whitespace"])
def test_answers_are_those_of_a_loop(bundle, words):
    head = kbz.heads.TokenClassification(LABELS, stride=3, words=words)
    asked = kbz.Bundle(bundle.encoder, bundle.tokenizer, head, bundle.model, LENGTH)
    want = [answer_by_loop(bundle, text, words == "whitespace") for text in TEXTS]
    assert sum(len(answer["entity"]) for answer in want) > 10
    assert any("e\u0301" in entity for answer in want for entity in answer["entity"])
    same(asked.predict(TEXTS, batch_size=len(TEXTS)), want)
    same(asked.predict(TEXTS, batch_size=1), want)


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (LABELS, "auto"),
        (["O", "I-X", "B-X", "I-Y"], "auto"),
        (["S-X", "O", "E-Y", "B-Y", "I-X", "E-X", "S-Y", "I-Y", "B-X"], "bio"),
        (["O", "B", "I"], "auto"),
        (["NOUN", "X", "B-X"], "auto"),
        (["O", "V"], "words"),
        (["O", "art", "person"], "auto"),
    ],
)
def test_tags_become_entities_as_seqeval_reads_them(bundle, labels, scheme):
    head = kbz.heads.TokenClassification(labels, scheme=scheme)
    texts = ["a good film and the plot was so dull , the end", "", "it is a story of two actor s", "film"]
    features, _ = head.pack(bundle.tokenizer, 23)({"text": texts})
    logits = np.random.default_rng(7).normal(size=(*features["input_word_ids"].shape, len(labels))).astype("float32")
    answer = {name: value.numpy() for name, value in tf.function(head.decode)(logits, features).items()}
    plain = {"io": "I-", "words": "S-"}.get(scheme, "") or {"NOUN": "S-", "person": "I-"}.get(labels[-1], "")
    plain = "S-" if labels[0] == "NOUN" else plain
    for row, text in enumerate(texts):
        chosen = logits[row, 1 : 1 + len(text.split())].argmax(-1)
        tags = [labels[i] if labels[i] == "O" and plain != "S-" else plain + labels[i] for i in chosen]
        ends = np.cumsum([len(word) + 1 for word in text.split()]) - 1
        starts = [end - len(word) for end, word in zip(ends, text.split(), strict=True)]
        want = [(type_, starts[first], ends[last]) for type_, first, last in get_entities(tags)]
        count = (answer["start"][row] >= 0).sum()
        got = zip(answer["label"][row][:count], answer["start"][row][:count], answer["end"][row][:count], strict=True)
        assert [(label.decode(), start, end) for label, start, end in got] == want
        assert (answer["label"][row][count:] == b"").all()
        assert (answer["end"][row][count:] == -1).all()
        assert (answer["score"][row][count:] == 0).all()


def test_the_export_answers_as_python_does(bundle, export):
    loaded = tf.saved_model.load(str(export)).signatures
    assert set(loaded) == {"serving_default", "words", "tokenized", "tokens", "examples"}
    same(served(loaded["serving_default"], bundle.head, TEXTS), [answer_by_loop(bundle, text) for text in TEXTS])
    outputs = loaded["words"].structured_outputs
    assert {name: (spec.dtype, len(spec.shape)) for name, spec in outputs.items()} == {
        **dict.fromkeys(("entity", "label"), (tf.string, 2)),
        **dict.fromkeys(("start", "end"), (tf.int32, 2)),
        "score": (tf.float32, 2),
    }
    for signature in ("serving_default", "words"):
        one = loaded[signature](text=tf.constant(TEXTS))
        other = fresh_process.ask_tf1(str(export), signature, {"text": TEXTS})
        for name, value in one.items():
            if name == "score":
                np.testing.assert_allclose(other[name], value, atol=1e-5)
            else:
                assert other[name].tolist() == value.numpy().tolist(), name


def test_evaluation_through_the_export_is_seqevals(bundle, export):
    table = kbz.data.from_words(SENTENCES * 2, TAGS * 2)
    words = tf.saved_model.load(str(export)).signatures["words"]
    figures = bundle.head.score(table, served(words, bundle.head, table.texts))
    assert bundle.evaluate(table, batch_size=3) == figures

    predicted = []
    for sentence, text in zip(SENTENCES, table.texts, strict=False):
        _, ids, *_ = pieces(bundle, text)
        chosen = logits_by_loop(bundle, ids).argmax(-1)
        kept = [i for i, word in enumerate(sentence) if word != "\u200b"]  # the tokenizer drops the other
        tags = [LABELS[chosen[first]] for *_, first in words_by_loop(bundle, text, at_spaces=True)]
        assert len(tags) == len(kept)
        predicted.append(["O"] * len(sentence))
        for type_, first, last in get_entities(tags):
            inner = [f"I-{type_}"] * (kept[last] - kept[first])
            predicted[-1][kept[first] : kept[last] + 1] = [f"B-{type_}", *inner]
    for name in ("precision", "recall", "f1"):
        oracle = getattr(seqeval.metrics, f"{name}_score")(TAGS * 2, predicted * 2)
        assert figures[name] == pytest.approx(oracle, abs=1e-12)
    assert figures["f1"] > 0
    report = seqeval.metrics.classification_report(TAGS * 2, predicted * 2, output_dict=True, zero_division=0)
    assert [figures["f1_LOC"], figures["f1_PER"]] == pytest.approx([report[t]["f1-score"] for t in ("LOC", "PER")])


def test_awkward_texts_are_answered(bundle, export):
    ask = tf.saved_model.load(str(export)).signatures["serving_default"]
    assert ask(text=tf.constant([], tf.string))["entity"].shape == (0, 0)
    assert ask(text=tf.constant(["", " "]))["start"].shape == (2, 0)
    texts = [b"\xff\xfe good", b"\x00", b"film good a " * 40_000, b"x" * 1_000_000, "\u0301" * 99]
    answer = ask(text=tf.constant(texts))
    assert answer["start"].shape[0] == 5
    long = bundle.head.trim({name: value[2].numpy().tolist() for name, value in answer.items()})
    assert long["end"][-1] > 12 * 39_990
    for entity, start, end in zip(*(long[name][::997] for name in ("entity", "start", "end")), strict=True):
        assert entity == texts[2][start:end]


def test_score_of_tags_that_are_parts_of_speech():
    head = kbz.heads.TokenClassification(["DET", "NOUN", "VERB"])
    table = kbz.data.from_words(["a film is", "film"], ["DET NOUN VERB", "NOUN"])
    answers = [
        {"start": [0, 2, 7], "end": [1, 6, 9], "label": ["DET", "NOUN", "NOUN"]},
        {"start": [0], "end": [4], "label": ["NOUN"]},
    ]
    figures = head.score(table, answers)
    assert figures["accuracy"] == figures["f1"] == 0.75
    assert [figures["f1_DET"], figures["f1_NOUN"], figures["f1_VERB"]] == pytest.approx([1, 0.8, 0])


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"labels": []}, "labels must be 1 or more"),
        ({"labels": ["O", "O"]}, "different strings"),
        ({"labels": ["O", "B-X"], "words": "syllables"}, "words is 'syllables', it must be one of tokenizer, white"),
        ({"labels": ["O", "B-X"], "stride": 0}, "stride is 0"),
        ({"labels": ["O", "B-X"], "scheme": "bioes"}, "scheme is 'bioes', it must be one of auto, bio, io, words"),
        ({"labels": ["O", "PER"], "scheme": "bio"}, "the tag 'PER' has none of its prefixes, such as B-PER"),
        ({"labels": ["O", "B-X"], "dropout": 1}, "dropout is 1"),
    ],
)
def test_what_makes_no_head(arguments, told):
    with pytest.raises(ConfigError, match=told):
        kbz.heads.TokenClassification(**arguments)


def test_a_length_without_room_for_a_piece(bundle):
    with pytest.raises(ConfigError, match=r"The length is 2; \[CLS\], \[SEP\] and one piece take 3"):
        bundle.head.pack(bundle.tokenizer, 2)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ([(0, 1, "O"), (2, 6, "B-ORG")], r"word 2 \(characters 2 to 6\) has the tag 'B-ORG', .*\(O, B-PER, I-PER"),
        (["O", "B-PER"], r"word 1 is 'O', want \(start, end, tag\).*from_words make such rows"),
        ("O O", "want tagged words, .* got 'O O'"),
        (1.5, "want tagged words, .* got 1.5"),
        ([(0, 4, "O"), (3, 6, "O")], "word 2 is characters 3 to 6, the one before ends at 4"),
        ([(2, 2, "O")], "word 1 is characters 2 to 2"),
    ],
)
def test_rows_that_are_no_tagged_words_of_the_head(bundle, label, told):
    table = kbz.data.Table.from_lists(["a film", "a film"], [[(0, 1, "O"), (2, 6, "B-PER")], label])
    with pytest.raises(DataError, match=f"the lists handed in, item 2: {told}"):
        table.batches(bundle.head, bundle.tokenizer, 2, length=LENGTH)
    with pytest.raises(DataError, match=f"item 2: {told}"):
        bundle.evaluate(table)


def test_labels_of_rows_that_are_no_tagged_words():
    with pytest.raises(DataError, match=r"row 2: want tagged words, \(start, end, tag\) each, got 0\.5"):
        kbz.heads.TokenClassification.labels_in([[], 0.5])


def test_an_evaluation_reads_the_words_between_white_space(bundle):
    table = kbz.data.Table.from_lists(["a film."], [[(0, 1, "O"), (2, 6, "B-PER"), (6, 7, "O")]])
    with pytest.raises(DataError, match="item 1: its words are not those between white space"):
        bundle.evaluate(table)
