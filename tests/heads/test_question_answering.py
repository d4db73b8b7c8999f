"""Question answering, from windows to answers, against the original's loops, Model Garden, numpy and Hugging Face."""

import json
import math
import types

import bert_oracle
import keras
import numpy as np
import pytest
import safetensors.numpy
import squad_oracle
import tensorflow as tf
import tiny
from scipy import special
from sizes import HIDDEN, POSITIONS

import keras_bert_zoo as kbz
from keras_bert_zoo.answers import plain
from keras_bert_zoo.data.squad import Answer, Question
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training.fit import Settings

LENGTH, STRIDE, QUERY, LONGEST, BEST = 19, 4, 6, 7, 5
HEAD = kbz.heads.QuestionAnswering(doc_stride=STRIDE, max_query_length=QUERY, max_answer_length=LONGEST, n_best=BEST)
WITH_NONE = kbz.heads.QuestionAnswering(**{**HEAD.get_config(), "no_answer": True, "null_threshold": 0.5})
ODD = [
    "é",
    "Ü",
    "北",
    "京",
    "🎬",
    "👨‍👩‍👧",
    "  ",
    "   ",
    "film",
    "story",
    "good",
    "bad",
    "a",
    "zz",
    ".",
    "!",
    "e\u0301",
    "Ǆ",
    "ﬁ",
    "가",
]


def odd_texts(random, many, longest):
    return ["".join(random.choice(ODD, random.integers(1, longest)).tolist()) for _ in range(many)]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.tokenizer()


def pieces(tokenizer, texts):
    ids, starts, ends = tokenizer.tokenize_with_offsets(texts)
    offsets = [list(zip(a, b, strict=True)) for a, b in zip(starts.to_list(), ends.to_list(), strict=True)]
    return ids.to_list(), offsets


def cases(tokenizer, seed, many=11):
    """Questions, contexts with their pieces and offsets, and the windows there should be."""
    random = np.random.default_rng(seed)
    questions, contexts = odd_texts(random, many, 14), odd_texts(random, many, 130)
    asked, _ = pieces(tokenizer, questions)
    read, offsets = pieces(tokenizer, contexts)
    assert max(map(len, asked)) > QUERY
    assert max(map(len, read)) > 2 * LENGTH
    return questions, contexts, asked, read, offsets, squad_oracle.windows(asked, read, LENGTH, STRIDE, QUERY)


def test_rows_are_the_original_s_windows(tokenizer):
    questions, contexts, asked, read, _, windows = cases(tokenizer, 0)
    features, targets = HEAD.pack(tokenizer, LENGTH)({"question": questions, "context": contexts})
    assert targets is None
    cls, sep, pad = tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id
    want = [
        [cls, *asked[w.example][: w.asked], sep, *read[w.example][w.start : w.start + w.size], sep] for w in windows
    ]
    width = max(map(len, want))
    assert width == LENGTH
    assert features["input_word_ids"].numpy().tolist() == [row + [pad] * (width - len(row)) for row in want]
    assert features["input_mask"].numpy().sum(axis=1).tolist() == [len(row) for row in want]
    types = features["input_type_ids"].numpy()
    for row, window in zip(types.tolist(), windows, strict=True):
        assert row == [0] * (window.asked + 2) + [1] * (window.size + 1) + [0] * (
            width - window.asked - window.size - 3
        )
    lengths = {"question": np.array([len(a) for a in asked]), "context": np.array([len(c) for c in read])}
    counts = np.bincount([w.example for w in windows])
    assert HEAD.row_counts(lengths, LENGTH).tolist() == counts.tolist()
    assert counts.max() > 3

    pack = HEAD.pack(tokenizer, LENGTH)  # one window each, as batches ask for them
    rows = iter(features["input_word_ids"].numpy().tolist())
    for example, count in enumerate(counts):
        for number in range(count):
            picked = {"question": questions[example : example + 1], "context": contexts[example : example + 1]}
            one = pack(picked, window=tf.constant([number]))[0]["input_word_ids"].numpy()[0].tolist()
            assert one == next(rows)[: len(one)]


@pytest.mark.parametrize("head", [HEAD, WITH_NONE], ids=["always", "with none"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_answers_are_the_original_s(tokenizer, head, seed):
    questions, contexts, _, _, offsets, windows = cases(tokenizer, seed)
    random = np.random.default_rng(seed + 50)
    logits = random.normal(size=(len(windows), LENGTH, 2)).round(1 if seed == 4 else 7).astype("float32")  # 4: ties
    logits[:, 0] += 2.5

    def answered(questions, contexts, logits):
        features, _ = head.pack(tokenizer, LENGTH)({"question": questions, "context": contexts})
        return head.decode(logits, features)

    served = {name: plain(value.numpy()) for name, value in tf.function(answered)(questions, contexts, logits).items()}
    empty = 0
    for i, context in enumerate(contexts):
        mine = [(w, row) for w, row in zip(windows, logits, strict=True) if w.example == i]
        ends = [tuple(row[: w.asked + w.size + 3].astype(float).T) for w, row in mine]
        rows = [w for w, _ in mine]
        want = squad_oracle.answer(context, offsets[i], rows, ends, BEST, LONGEST, head.no_answer, 0.5)
        raw = {name: values[i] for name, values in served.items()}
        assert len(raw["answers"]) == BEST + head.no_answer
        got = head.trim(raw)
        assert list(got) == list(want)
        for name, value in want.items():
            if name in ("score", "no_answer_score", "scores", "start_logits", "end_logits"):
                assert got[name] == pytest.approx(value, abs=1e-5), name
            else:
                assert got[name] == value, name
        for text, start, end in zip(got["answers"], got["starts"], got["ends"], strict=True):
            assert text == (context[start:end] if start >= 0 else "")
        padding = {name: values[len(want["answers"]) :] for name, values in raw.items() if isinstance(values, list)}
        assert all(value in ("", -1, 0) for values in padding.values() for value in values)
        empty += not got["answer"]
    if head.no_answer:
        assert 0 < empty < len(contexts)
    else:
        assert empty < len(contexts) // 3


def test_answers_are_model_garden_s(tokenizer):
    """Words of one piece each, so that its way from pieces back to the text is exact too."""
    squad_lib = pytest.importorskip("official.nlp.data.squad_lib")
    words = [word for word in tiny.WORDS if not word.startswith("##")]
    random = np.random.default_rng(8)
    contexts = [" ".join(random.choice(words, n)) for n in (40, 3, 25, 60)]
    questions = ["a film", "the end", "good or bad", "it was not a very good one"]
    asked, read = pieces(tokenizer, questions)[0], pieces(tokenizer, contexts)[0]
    windows = squad_oracle.windows(asked, read, LENGTH, STRIDE, QUERY)
    logits = random.normal(size=(len(windows), LENGTH, 2)).astype("float32")
    examples, features, results = [], [], []
    for i, context in enumerate(contexts):
        examples.append(types.SimpleNamespace(qas_id=f"q{i}", doc_tokens=context.split()))
    for number, (w, row) in enumerate(zip(windows, logits, strict=True)):
        spans = [(x.start, x.size) for x in windows if x.example == w.example]
        mine = spans.index((w.start, w.size))
        first = w.asked + 2
        tokens = ["[CLS]", *["q"] * w.asked, "[SEP]", *contexts[w.example].split()[w.start : w.start + w.size], "[SEP]"]
        features.append(
            types.SimpleNamespace(
                unique_id=number,
                example_index=w.example,
                tokens=tokens,
                token_to_orig_map={first + i: w.start + i for i in range(w.size)},
                token_is_max_context={
                    first + i: squad_lib._check_is_max_context(
                        [types.SimpleNamespace(start=a, length=b) for a, b in spans], mine, w.start + i
                    )
                    for i in range(w.size)
                },
            )
        )
        starts, ends = row[: len(tokens)].astype(float).T.tolist()
        results.append(types.SimpleNamespace(unique_id=number, start_logits=starts, end_logits=ends))
    predictions, nbest, odds = squad_lib.postprocess_output(
        examples, features, results, BEST, LONGEST, True, version_2_with_negative=True, null_score_diff_threshold=0.5
    )
    packed, _ = WITH_NONE.pack(tokenizer, LENGTH)({"question": questions, "context": contexts})
    served = {name: plain(value.numpy()) for name, value in WITH_NONE.decode(logits, packed).items()}
    for i in range(len(contexts)):
        got = WITH_NONE.trim({name: values[i] for name, values in served.items()})
        assert got["answer"] == predictions[f"q{i}"]
        assert got["no_answer_score"] == pytest.approx(odds[f"q{i}"], abs=1e-5)
        assert got["answers"] == [entry["text"] for entry in nbest[f"q{i}"]]
        assert got["scores"] == pytest.approx([entry["probability"] for entry in nbest[f"q{i}"]], abs=1e-6)
        assert got["start_logits"] == pytest.approx([entry["start_logit"] for entry in nbest[f"q{i}"]])
        assert got["end_logits"] == pytest.approx([entry["end_logit"] for entry in nbest[f"q{i}"]])


@pytest.mark.parametrize("seed", [5, 6])
def test_targets_are_the_places_of_the_answer(tokenizer, seed):
    questions, contexts, _, _, offsets, windows = cases(tokenizer, seed)
    random = np.random.default_rng(seed)
    labels, chosen = [], []
    for i, (context, places) in enumerate(zip(contexts, offsets, strict=True)):
        if i % 4 == 3:
            labels.append(Question(f"q{i}", ()))
            chosen.append(None)
            continue
        first = int(random.integers(len(places)))
        last = min(first + int(random.integers(4)), len(places) - 1)
        # characters may hold several pieces, and pieces several characters: the answer is whole pieces' characters
        start, end = places[first][0], places[last][1]
        while first > 0 and places[first - 1][1] > start:
            first -= 1
        while last + 1 < len(places) and places[last + 1][0] < end:
            last += 1
        labels.append(Question(f"q{i}", (Answer(context[start:end], start), Answer("never read", 0))))
        chosen.append((first, last))
    want = []
    for w in windows:
        span = chosen[w.example]
        held = span is not None and w.start <= span[0] and span[1] < w.start + w.size
        want.append([w.asked + 2 + place - w.start if held else 0 for place in (span or (0, 0))])
    targets = HEAD.targets(labels, str)
    _, places = HEAD.pack(tokenizer, LENGTH)({"question": questions, "context": contexts}, targets)
    assert places.numpy().tolist() == want
    assert [0, 0] in want
    assert sum(row[0] > 0 for row in want) > 5


def test_half_a_word_points_to_its_piece(tokenizer):
    context = "the film was zzgood  indeed"  # z ##z ##g ##o ##o ##d
    label = Question("q", (Answer("as zzg", context.index("as zzg")),))
    _, places = HEAD.pack(tokenizer, 30)({"question": ["it"], "context": [context]}, HEAD.targets([label], str))
    assert tokenizer.tokens(context)[:6] == ["the", "film", "was", "z", "##z", "##g"]
    assert places.numpy().tolist() == [[5, 8]]  # [CLS] it [SEP] the film was z ##z ##g


def test_labels_that_know_no_place(tokenizer):
    with pytest.raises(DataError, match=r"file, line 3: .*know their place, got \{'text'.*question_table"):
        HEAD.targets([Question("a", ()), {"text": "x"}], lambda i: f"file, line {i + 2}")


def test_defined_answers(tokenizer):
    for head in (HEAD, WITH_NONE):
        bundle = tiny.bundle(head)
        contexts = ["", "  \n ", "a good film", b"\xff\xfe", "\x00"]
        for answer in bundle.predict(["what"] * 5, context=contexts)[:2] + bundle.predict([" "], context=["a film"]):
            assert answer == {
                **dict.fromkeys(("answer",), ""),
                **dict.fromkeys(("start", "end"), -1),
                **dict.fromkeys(("score", "no_answer_score"), 0.0),
                **{k: [] for k in ("answers", "starts", "ends", "scores", "start_logits", "end_logits")},
            }
        assert bundle.predict([], context=[]) == []
        for answer, context in zip(bundle.predict(["film " * 500] * 5, context=contexts), contexts, strict=True):
            assert answer["answer"] == "" or answer["answer"] in context
    # invalid UTF-8: offsets into what is left of it
    broken = "caf\u00e9 ".encode() + b"\xff\xc3" + "北京 the  film \U0001f3ac".encode()
    clean = broken.decode("utf-8", "ignore")
    one, other = (tiny.bundle(HEAD).predict(["what"], context=[text])[0] for text in (broken, clean))
    assert one == other
    assert one["answer"] == clean[one["start"] : one["end"]] != ""


def test_a_span_never_ends_in_padding_and_padding_never_wins(tokenizer):
    bundle = tiny.bundle(HEAD)
    features, _ = HEAD.pack(tokenizer, LENGTH)({"question": ["it", "a film"], "context": ["good", "bad " * 11]})
    inputs = {name: features[name] for name in HEAD.inputs}
    logits = bundle.model(inputs).numpy()
    mask = features["input_mask"].numpy().astype(bool)
    assert (logits[~mask] == -1e9).all()
    sequence = bundle.encoder(inputs)["sequence_output"].numpy()
    kernel, bias = (variable.numpy() for variable in bundle.model.get_layer("head_logits").variables)
    assert kernel.shape == (HIDDEN, 2)
    np.testing.assert_allclose(logits[mask], (sequence @ kernel + bias)[mask], atol=1e-5)


def test_loss_and_metrics():
    random = np.random.default_rng(7)
    logits = random.normal(size=(5, 7, 2)).astype("float32")
    logits[2, 4:] = -1e9
    targets = np.array([[3, 5], [0, 0], [1, 3], [6, 6], [2, 4]], "int32")
    losses = [-special.log_softmax(logits[:, :, end], axis=1)[np.arange(5), targets[:, end]] for end in (0, 1)]
    assert float(HEAD.loss()(targets, logits)) == pytest.approx(np.mean(losses), abs=1e-5)
    for end, metric in enumerate(HEAD.metrics()):
        logits[3, 6, end] = 9
        metric.update_state(targets, logits)
        assert float(metric.result()) == pytest.approx((logits[:, :, end].argmax(1) == targets[:, end]).mean())
        assert type(metric).from_config(metric.get_config()).end == end


@pytest.mark.slow  # an example learns the same task in every run
def test_training_finds_the_place():
    """A dozen epochs learn where one of some words stands, whichever window it is in."""
    random = np.random.default_rng(3)
    names, fillers = ["dull", "warm", "funny", "sad"], ["a", "the", "film", "was", "it", "plot"]
    contexts = []
    for _ in range(48):
        words = random.choice(fillers, 14).tolist()
        words[int(random.integers(14))] = random.choice(names)
        contexts.append(" ".join(words))
    answers = [[(n, c.index(n)) for n in names if n in c.split()] for c in contexts]
    table = kbz.data.question_table(["it is"] * 48, contexts, answers)
    train, held = table.split([0.75, 0.25], seed=0)
    head = kbz.heads.QuestionAnswering(doc_stride=5, max_query_length=4, n_best=3)
    keras.utils.set_random_seed(0)
    source = kbz.Bundle(kbz.build_encoder(tiny.CONFIG), tiny.tokenizer())
    settings = Settings(epochs=12, batch_size=4, learning_rate=0.01, length=15, seed=1)
    run = kbz.finetune(source, head, train, settings=settings, verbose=0)
    assert run.history.epochs[0]["loss"] > 3 * run.history.epochs[-1]["loss"]
    assert run.history.epochs[-1]["start_accuracy"] > 0.9
    figures = run.bundle.evaluate(held)
    assert figures["f1"] > 0.8
    assert list(figures) == ["exact_match", "f1"]


def hugging_face_folder(folder, pooler):
    """A folder as transformers writes it for BertForQuestionAnswering: no pooler (with it: as before version 4)."""
    random = np.random.default_rng(4)
    config = {**bert_oracle.CONFIG, "architectures": ["BertForQuestionAnswering"]}
    encoder = bert_oracle.tensors(config, pooler=pooler)
    values = {f"bert.{name}": value for name, value in encoder.items()}
    values["qa_outputs.weight"] = random.normal(size=(2, HIDDEN)).astype("float32")
    values["qa_outputs.bias"] = random.normal(size=2).astype("float32")
    bert_oracle.write_folder(folder, config, values)
    tiny.tokenizer().save(folder)
    return config, encoder, values


@pytest.mark.parametrize("pooler", [False, True], ids=["as written now", "with pooler"])
def test_a_hugging_face_folder(tmp_path, pooler):
    config, encoder, values = hugging_face_folder(tmp_path / "theirs", pooler)
    bundle = kbz.load(tmp_path / "theirs")
    assert bundle.head.get_config() == kbz.heads.QuestionAnswering().get_config()
    inputs = bert_oracle.inputs()
    sequence = bert_oracle.bert(config, encoder, inputs)["sequence_output"]
    want = sequence @ values["qa_outputs.weight"].T.astype(float) + values["qa_outputs.bias"]
    mask = inputs["input_mask"].astype(bool)
    np.testing.assert_allclose(bundle.model(inputs).numpy()[mask], want[mask], atol=1e-4)

    kbz.save(bundle, tmp_path / "ours")
    written = safetensors.numpy.load_file(tmp_path / "ours" / "model.safetensors")
    kept = {name: value for name, value in values.items() if "pooler" not in name}
    assert set(written) == set(kept)
    for name, value in kept.items():
        assert written[name].tobytes() == value.tobytes(), name
    told = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert told["architectures"] == ["BertForQuestionAnswering"]
    assert "id2label" not in told
    text = {"context": ["a good  film, café and 北京 and more of it " * 2]}
    assert kbz.load(tmp_path / "ours").predict(["what is it"], **text) == bundle.predict(["what is it"], **text)


def test_a_run_comes_back_with_its_settings_and_swaps_heads(tmp_path):
    head = kbz.heads.QuestionAnswering(no_answer=True, null_threshold=-1.5, doc_stride=3, n_best=2, dropout=0.2)
    bundle = tiny.bundle(kbz.heads.Classification(["x", "y"]))
    before = [weight.numpy().copy() for weight in bundle.encoder.weights]
    bundle = bundle.attach(head)
    for weight, old in zip(bundle.encoder.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old, err_msg=weight.path)
    again = kbz.load(kbz.save(bundle, tmp_path / "run"))
    assert again.head.get_config() == head.get_config()
    asked = {"texts": ["the film"], "context": ["it was a good film and the plot was fine " * 3]}
    assert again.predict(**asked) == bundle.predict(**asked)
    bundle.model.save(tmp_path / "model.keras")
    inputs = bert_oracle.inputs()
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(inputs), bundle.model(inputs))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"doc_stride": 0}, "doc_stride is 0"),
        ({"max_query_length": 2.5}, "max_query_length is 2.5"),
        ({"max_answer_length": True}, "max_answer_length is True"),
        ({"n_best": -1}, "n_best is -1"),
        ({"no_answer": 1}, "no_answer is 1"),
        ({"null_threshold": "0"}, "null_threshold is '0'"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_settings_that_make_no_head(settings, told):
    with pytest.raises(ConfigError, match=f"QuestionAnswering: {told}"):
        kbz.heads.QuestionAnswering(**settings)


def test_limits(tokenizer):
    with pytest.raises(ConfigError, match=r"max_length is 3, but \[CLS\] and two \[SEP\] alone take 3"):
        HEAD.pack(tokenizer, 3)
    with pytest.raises(ConfigError, match="'model_garden' has no place for the head 'question_answering'"):
        HEAD.rows("model_garden")
    # however short a row is, there is one token of the context in it, and no more of the question than half of it
    for length in (4, 5, 9):
        rows = HEAD.pack(tokenizer, length)({"question": ["a film " * 9], "context": ["bad good"]})[0]
        assert rows["input_word_ids"].shape[1] == length
        assert rows["window_size"].numpy().min() >= 1
    assert math.ceil(POSITIONS / 2) > QUERY
