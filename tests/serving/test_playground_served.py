"""The playground on the real server with real exports: it shows what the server answers, for every head."""

import contextlib
import json

import numpy as np
import pytest
import requests
import tiny
from chromium import Browser, needs_browser
from tokenizers import BertWordPieceTokenizer

import keras_bert_zoo as kbz
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.serving.server.run import running

pytestmark = needs_browser
TEXT, SECOND = "so good 😀 film [MASK] was great", "a [MASK] plot"
CHOICES = ["it was dull", "awful", "very funny"]
SEVERAL = ["a good film", "a bad film", "the plot"]
ONE = {"text": TEXT}
PAIR = {"text": TEXT, "text_pair": SECOND}
# name -> the head, and what is asked: the text of each field, and the rows of the request they mean
HEADS = {
    "mood": (kbz.heads.Classification(["bad", "good", "neither"]), [ONE]),
    "pair": (kbz.heads.Classification(["no", "yes"], pair=True), [PAIR]),
    "topics": (kbz.heads.MultiLabel(["plot", "actors"]), [ONE]),
    "rating": (kbz.heads.Regression(), [ONE]),
    "mask": (kbz.heads.MaskedLM(top_k=3), [ONE]),
    "follows": (kbz.heads.NextSentence(), [PAIR]),
    "pretraining": (kbz.heads.Pretraining(top_k=3), [PAIR]),
    "answers": (kbz.heads.QuestionAnswering(n_best=4), [{"question": "was it good", "context": f"😀 {TEXT} " * 3}]),
    "choices": (kbz.heads.MultipleChoice(), [{"text": TEXT, "choices": CHOICES}]),
    "vectors": (kbz.heads.SentenceEmbedding(), [{"text": text} for text in SEVERAL]),
    "names": (kbz.heads.TokenClassification(["O", "B-PER", "I-PER", "B-LOC"]), [ONE]),
}
OTHERS = {
    "classify": "mood pair topics follows choices".split(),
    "regress": ["rating"],
    "words": ["names"],
    "examples": HEADS,
}


@contextlib.contextmanager
def pages(root, names):
    """Serve the heads' exports; yields a function from a name to a page of that model."""
    for name in names:
        export_bundle(tiny.bundle(HEADS[name][0]), root / "models" / name)
    with running(root / "models", grpc_port=None) as addresses, Browser(root / "profile") as browser:
        page = browser.page()

        def of(name):
            page.goto("about:blank", "true")
            shown = f"document.querySelector('#model').value === {json.dumps(name)}"
            page.goto(f"{addresses.rest}/#model={name}", f"{shown} && document.querySelector('#fields textarea')")
            return page, addresses.rest

        yield of
        assert page.complaints() == []


def fill(page, rows):
    """Write the rows into the form's fields, in their order."""
    texts = [text for row in rows for value in row.values() for text in ([value] if isinstance(value, str) else value)]
    fields = "document.querySelectorAll('#fields textarea').length"
    while page.js(fields) < len(texts):
        page.click("[data-list]")
    for number, text in enumerate(texts):
        page.write("#fields textarea", text, number)
    assert page.js(fields) == len(texts)


def press(page):
    page.js("document.querySelector('#status').textContent = ''")
    page.click("#submit")
    said = "document.querySelector('#status').textContent.startsWith('Answered')"
    page.wait(f"{said} || !document.querySelector('#error').hidden")
    assert page.js(said), f"{page.text('#model')}, {page.text('#error')}, {page.text('#curl')}"


def shares(values):
    return [f"{100 * value:.1f} %" for value in values]


def best_first(values):
    return shares(sorted(values, reverse=True))


def check(name, page, answers, asked):
    """Compare what the page shows with the answers in JSON."""
    answer = answers[0]
    bars = page.texts("#result .share")
    if name in ("mood", "pair", "topics", "choices"):
        assert bars == best_first(answer["probabilities"])
    if name in ("mood", "pair"):
        assert page.text(".big") == answer["label"]
    if name == "choices":
        assert page.text(".big") == CHOICES[answer["choice"]]
    if name == "rating":
        assert float(page.text(".big")) == pytest.approx(answer, rel=1e-3)
    if name == "follows":
        assert bars == shares([answer, 1 - answer])
    if name in ("mask", "pretraining"):
        masks = 1 if name == "mask" else 2
        assert len(answer["tokens"]) == masks
        assert page.texts("#result button.name") == [token for tokens in answer["tokens"] for token in tokens]
        assert bars[: 3 * masks] == [share for scores in answer["scores"] for share in shares(scores)]
    if name == "pretraining":
        assert bars[6:] == shares([answer["probability"], 1 - answer["probability"]])
    if name == "answers":
        context = asked[0]["context"]
        assert page.text("#result mark") == answer["answer"] == context[answer["start"] : answer["end"]]
        assert page.text(".big") == answer["answer"]
    if name == "vectors":
        units = np.array(answers) / np.linalg.norm(answers, axis=1, keepdims=True)
        shown = [float(cell) for cell in page.texts(".matrix td.figure")]
        np.testing.assert_allclose(shown, (units @ units.T).ravel(), atol=0.0006)
    if name == "names":
        marked = page.js("[...document.querySelectorAll('#result mark')].map((m) => m.textContent)")
        count = sum(start >= 0 for start in answer["start"])
        found = [answer[each][:count] for each in ("start", "end", "label")]
        assert count
        assert marked == [TEXT[start:end] + label for start, end, label in zip(*found, strict=True)]


def check_model(of, name):
    _, rows = HEADS[name]
    page, rest = of(name)
    fill(page, rows)
    press(page)
    asked = requests.post(f"{rest}/v1/models/{name}:predict", json={"instances": rows}, timeout=60)
    check(name, page, asked.json()["predictions"], rows)
    page.wait("document.querySelectorAll('#reading details').length")
    assert page.text("#reading > p:last-child") is None  # where it says that tokens cannot be shown
    result = page.js("document.querySelector('#result').innerText")
    for signature, has in OTHERS.items():
        if name in has:
            page.choose("#signature", signature)
            fill(page, rows)
            press(page)
            if signature == "examples":
                assert page.js("document.querySelector('#result').innerText") == result
            if signature == "classify":
                assert len(page.texts("#result .bar")) == len(page.texts("#result .share")) > 1
            if signature == "regress":
                assert page.text(".big") == result.strip()
    page.choose("#signature", "tokenized")
    press(page)  # what stands there for a start can be answered
    assert '"outputs"' in page.text("#result pre")
    return page


def test_a_label_and_tokens_from_the_server(tmp_path):
    with pages(tmp_path, ["mood"]) as of:
        page = check_model(of, "mood")
        page.choose("#signature", "serving_default")
        fill(page, [{"text": "So GOOD, a film"}])
        press(page)
        page.wait("document.querySelectorAll('#reading details').length")
        vocabulary = {token: i for i, token in enumerate(tiny.VOCABULARY)}
        assert page.texts("#reading .chip") == BertWordPieceTokenizer(vocabulary).encode("So GOOD, a film").tokens
        page.point("#reading .word", 1)
        page.wait("!document.querySelector('#tip').hidden")
        assert page.texts("#tip .chip") == ["good", "[UNK]"]


@pytest.mark.slow
def test_every_head(tmp_path):
    with pages(tmp_path, HEADS) as of:
        for name in HEADS:
            check_model(of, name)
