"""The playground in a real browser, on recorded answers: what people see, by mouse and by keyboard."""

import json
import subprocess
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from chromium import Browser, needs_browser
from playground_fake import EVIL, MODELS, VECTORS, Fake, bert_tokenizer, named_entities, serving
from starlette.responses import JSONResponse, PlainTextResponse

pytestmark = needs_browser
ANSWERED = "document.querySelector('#status').textContent.startsWith('Answered')"
FAILED = "!document.querySelector('#error').hidden"
READ = "document.querySelectorAll('#reading details').length"
EMOJI = "🇪🇺😀 Ada lives in Paris."  # of three code points and six UTF-16 units before " Ada"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def served():
    fake = Fake()
    with serving(fake.app()) as url:
        yield fake, url


@pytest.fixture
def fake(served):
    fake, _ = served
    fake.bodies.clear()
    yield fake
    fresh = Fake()
    for name in ("versions", "errors", "labels", "fails", "tokenizer"):
        setattr(fake, name, getattr(fresh, name))
    fake.held.set()


@pytest.fixture
def page(browser, served, fake):
    """Return a fresh tab, and hold against it whatever the browser complains about."""
    made = browser.page()
    made.allowed = []
    yield made
    found = made.complaints()
    made.close()
    complaints = [text for text in found if not any(part in text for part in made.allowed)]
    assert complaints == []
    assert {url.split("/")[2] for url in made.asked()} <= {served[1].split("/")[2]}


def open_model(page, served, name, version=""):
    hash = f"model={quote(name)}" + (f"&version={version}" if version else "")
    shown = f"document.querySelector('#model').value === {json.dumps(name)}"
    page.goto("about:blank", "true")
    page.goto(f"{served[1]}#{hash}", f"{shown} && document.querySelector('#fields textarea')")


def ask(page, *texts):
    for number, text in enumerate(texts):
        page.write("#fields textarea", text, number)
    page.js("document.querySelector('#status').textContent = ''")
    page.click("#submit")
    page.wait(f"{ANSWERED} || {FAILED}")
    assert page.js(ANSWERED), page.text("#error")


def asked(fake):
    """Return path and body of the last request that was not about tokens."""
    path, body = [each for each in fake.bodies if '"signature_name":"tokens"' not in each[1]][-1]
    return path, json.loads(body)


def bars(page, where="#result"):
    """Return each bar's name, what is said of its share, and how wide it is drawn, as a share of its track."""
    found = page.js(
        f"""[...document.querySelectorAll('{where} .bar')].map((bar) => {{
            const track = bar.querySelector(".track");
            const width = parseFloat(getComputedStyle(track, "::after").width) / track.clientWidth;
            return [bar.querySelector(".name").textContent, bar.querySelector(".share").textContent, width,
                    bar.classList.contains("strong")];
        }})"""
    )
    return [(name, share, round(width, 2), strong) for name, share, width, strong in found]


LOOK = "window.dispatchEvent(new Event('focus'))"  # as when one comes back to the page: it looks what is new
ODD = "The answer is not what the signature promises"
STILL = "document.getAnimations().length === 0"


def test_probabilities_are_bars_and_labels_are_text(page, served, fake):
    open_model(page, served, "mood")
    ask(page, EVIL)
    page.wait(STILL)
    assert page.text(".big") == "good"
    assert bars(page) == [
        ("good", "75.0 %", 0.75, True),
        ("bad", "20.0 %", 0.2, False),
        (EVIL, "5.0 %", 0.05, False),
    ]
    assert asked(fake) == ("/v1/models/mood:predict", {"instances": [{"text": EVIL}]})
    page.wait(READ)
    assert page.text("#reading .text") == EVIL
    assert page.js("document.querySelectorAll('main img, main script, main b').length") == 0
    assert page.js("window.hacked") is None


def test_strings_cannot_become_markup_at_all(page, served):
    open_model(page, served, "mood")
    page.allowed = ["TrustedHTML", "unsafe-eval"]
    assert (
        page.js("(() => { try { document.body.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } })()")
        == "TypeError"
    )
    assert page.js("document.querySelector('h1').textContent.trim()") == "Playground"


def test_several_labels_hold(page, served):
    open_model(page, served, "topics")
    ask(page, "a film")
    page.wait(STILL)
    assert page.text(".big") == "plot, music"
    assert bars(page) == [
        ("plot", "90.0 %", 0.9, True),
        ("music", "60.0 %", 0.6, True),
        ("actors", "35.0 %", 0.35, False),
    ]
    assert page.texts("#result .note") == ["✓ holds", "✓ holds"]


def test_a_value_and_a_second_text(page, served, fake):
    open_model(page, served, "rating")
    ask(page, "a film")
    assert page.text(".big") == "3.142"
    open_model(page, served, "follows")
    ask(page, "It rains.", "who?")
    page.wait(STILL)
    assert bars(page) == [("The second text follows", "82.0 %", 0.82, True), ("It does not", "18.0 %", 0.18, False)]
    assert asked(fake)[1] == {"instances": [{"text": "It rains.", "text_pair": "who?"}]}
    page.wait(READ)
    assert page.texts("#reading h4") == ["Text", "Second text"]
    assert page.texts(".chip") == ["[CLS]", "it", "rain", "##s", ".", "[SEP]", "who", "?", "[SEP]"]
    assert page.texts(".chip.type-1") == ["who", "?", "[SEP]"]
    assert "The second text's tokens are shaded." in page.text("#reading .hint")


def test_masks_are_filled_and_other_tokens_can_be_put_in(page, served):
    open_model(page, served, "masks")
    ask(page, "Many film [MASK] in 1921.")
    assert page.text(".filled") == "Many film paris in 1921."
    assert page.text(".filled mark") == "paris"
    page.click("#result button.name", 1)
    assert page.text(".filled") == "Many films in 1921."  # "##s" joins the word before it
    assert page.js("document.activeElement.textContent") == "##s"
    assert [strong for *_, strong in bars(page)] == [False, True, False]
    ask(page, "no mask")
    assert page.text("#result") == "Write [MASK] where a token is to be found."
    ask(page, "[MASK] and [MASK]")  # the answer has one: the other was cut off, so the server's own text is shown
    assert page.texts("#result .text") == ["as the server filled it"]
    page.write("#fields textarea", "a ")
    page.click(".field-head button")
    assert page.js("document.querySelector('#fields textarea').value") == "a [MASK]"
    assert page.js("document.activeElement.id") == "field-text"


def test_entities_are_marked_where_they_are(page, served):
    open_model(page, served, "names")
    ask(page, EMOJI)
    found = named_entities(EMOJI)
    parts = page.js(
        "[...document.querySelectorAll('#result mark')].map((m) => [...m.childNodes].map((n) => n.textContent))"
    )
    assert [("".join(words), label) for *words, label in parts] == [("Ada", "PER"), ("Paris", "LOC")]
    before = page.js(
        """[...document.querySelectorAll('#result mark')].map((mark) => {
            const range = new Range();
            range.setStart(document.querySelector("#result .text"), 0);
            range.setEndBefore(mark);
            return Array.from(range.toString().replace("PER", "")).length;
        })"""
    )
    assert before == found["start"][:2] == [4, 17]
    assert page.js("document.querySelector('#result .text').textContent.replace(/PER|LOC/g, '')") == EMOJI
    assert page.texts("#result tbody td") == ["Ada", "PER", "99.0 %", "4 to 7", "Paris", "LOC", "89.0 %", "17 to 22"]
    paris = "document.querySelector('#result mark').className"
    color = page.js("document.querySelectorAll('#result mark')[1].className")
    ask(page, "Paris")
    assert page.js(paris) == color  # a label keeps its color
    ask(page, "nobody here")
    assert page.js("document.querySelectorAll('#result mark').length") == 0
    assert "Nothing was found" in page.text("#result")


def test_the_answer_is_marked_in_its_context(page, served, fake):
    context = "😀 The play was written by two sisters in 1921."
    open_model(page, served, "answers")
    ask(page, "who?", context)
    assert page.text(".big") == "two sisters"
    assert page.text("#result .text") == context
    assert page.text("#result mark") == "two sisters"
    assert [each[0] for each in bars(page)] == ["two sisters", "1921", "(no answer)"]  # padding is no answer
    page.click("#result button.name", 1)
    assert page.text("#result mark") == "1921"
    assert page.texts("#result button[aria-pressed=true]") == ["1921"]
    page.click("#result button.name", 2)
    assert page.text("#result mark") is None
    page.key("Tab")
    page.wait(READ)
    assert page.texts("#reading h4") == ["Question"]  # the context is there already
    ask(page, "who " * 20, context)
    page.wait("document.querySelector('.cut-note')")
    kept = fake.tokenizer.encode("who " * 20, context).tokens.index("[SEP]") - 1
    assert page.texts("#reading .cut") == ["who"] * (20 - kept)


def test_choices_can_be_added_and_removed(page, served, fake):
    open_model(page, served, "choices")
    page.click(".remove", 0)
    page.click("[data-list=choices]")
    assert page.js("document.activeElement.getAttribute('aria-label')") == "Choice 3"
    ask(page, "it rain", "a film", "who", "a <b>story")
    assert asked(fake)[1] == {"instances": [{"text": "it rain", "choices": ["a film", "who", "a <b>story"]}]}
    assert page.text(".big") == "who"
    assert [each[0] for each in bars(page)] == ["who", "a film", "a <b>story"]
    page.wait(READ)
    assert page.texts("#reading summary")[0] == "Row 1 of 3: 7 tokens"
    page.click(".remove", 0)
    page.click(".remove", 0)
    assert page.js("document.querySelector('.remove').disabled")


def test_likeness_of_vectors(page, served, fake):
    open_model(page, served, "vectors")
    ask(page, "a film", "the film", "who")
    vectors = np.array(VECTORS)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cells = page.texts(".matrix td.figure")
    assert cells == [f"{value:.3f}" for value in (units @ units.T).ravel()]
    assert asked(fake)[1] == {"instances": [{"text": "a film"}, {"text": "the film"}, {"text": "who"}]}
    assert page.texts(".legend .text") == ["a film", "the film", "who"]
    page.wait(f"{READ} === 3")
    assert page.texts("#reading summary") == ["Text 1: 4 tokens", "Text 2: 4 tokens", "Text 3: 3 tokens"]


def test_a_book_has_its_rows_closed(page, served, fake):
    fake.tokenizer.no_truncation()
    open_model(page, served, "mood")
    ask(page, "a film to keep " * 50)
    page.wait(READ)
    assert page.texts("#reading summary") == ["202 tokens"]
    assert page.texts("#reading .chip") == []
    page.click("#reading summary")
    page.wait("document.querySelectorAll('#reading .chip').length")
    assert page.texts("#reading .chip") == ["[CLS]", *"a film to keep".split() * 50, "[SEP]"]


def test_a_words_tokens_show_where_one_points(page, served, fake):
    open_model(page, served, "mood")
    ask(page, "An unbelievable story, who?")
    page.wait(READ)
    assert page.texts("#reading .chip") == fake.tokenizer.encode("An unbelievable story, who?").tokens
    page.point("#reading .word", 1)
    page.wait("!document.querySelector('#tip').hidden")
    assert page.texts("#tip .chip") == ["un", "##believ", "##able"]
    gap = (
        "document.querySelector('#tip').getBoundingClientRect().bottom - document.querySelectorAll('#reading .word')[1]"
    )
    gap += ".getBoundingClientRect().top"
    near = page.js(gap)
    assert -10 < near < 0
    page.look(1100, 300)
    page.js("scrollBy(0, 40)")
    page.wait(f"{gap} === {near}")  # it goes along
    page.look(1100)
    page.point("h1")
    page.wait("document.querySelector('#tip').hidden")
    page.js("document.querySelector('#reading .word').focus()")  # where Tab comes to
    page.key("ArrowRight")
    page.key("ArrowRight")
    page.wait("document.querySelector('#tip').innerText.includes('story')")
    assert page.texts("#tip .chip") == ["story", ","]
    assert page.js("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.key("Escape")
    assert page.js("document.querySelector('#tip').hidden")
    assert page.js("document.querySelectorAll('#reading .word[tabindex=\"0\"]').length") == 1


def test_words_that_are_cut_off_are_told(page, served, fake):
    open_model(page, served, "follows")
    text = "a film to keep unbelievable " * 4
    ask(page, "who?", text)
    page.wait("document.querySelector('.cut-note')")
    # 16 tokens a row: [CLS] who ? [SEP] + 11 pieces + [SEP]; a film to keep + 3 pieces + a film to keep
    words = text.split()
    assert page.texts(".cut") == words[9:]
    assert "11 words are cut off" in page.text(".cut-note")
    fake.bodies.clear()
    ask(page, "who?", " ".join(f"film{i}" for i in range(1000)))
    page.wait("document.querySelector('.cut-note')?.textContent.includes('989 words')")
    assert len(page.texts(".cut")) == 989
    assert len(fake.bodies) <= 4  # not a request for every word of a book
    ask(page, "who?", "a film\u200b\ufeff to keep")  # nothing is dropped but what parts no words
    page.wait(READ)
    assert page.texts("#reading .text .word") == ["who?", "a", "film\u200b\ufeff", "to", "keep"]
    assert page.texts(".cut") == []


def test_nothing_is_struck_through_where_the_words_are_not_the_row(page, served, fake):
    class Backwards:
        def encode(self, text):
            found = bert_tokenizer().encode(text)
            return SimpleNamespace(tokens=["[CLS]", *found.tokens[-2:0:-1], "[SEP]"], type_ids=found.type_ids)

    open_model(page, served, "mood")
    fake.tokenizer = Backwards()
    ask(page, "a film to keep unbelievable story " * 4)
    page.wait(READ)
    page.point("#reading .word", 3)
    page.wait("!document.querySelector('#tip').hidden")  # the words' own pieces are there by then
    assert page.texts(".cut, .part, .cut-note") == []


@pytest.mark.parametrize("text", ['it\'s `a` $HOME "film" \\ !', "two\nlines 😀 %s"])
def test_the_curl_line_asks_the_same(page, served, fake, text):
    open_model(page, served, "names")
    ask(page, text)
    line = page.js("document.querySelector('#curl').textContent")
    ran = subprocess.run(["bash", "-c", f"{line} -sS"], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout == page.js("document.querySelector('#raw-text').textContent")
    assert [body for _, body in fake.bodies if "instances" in body] == [
        json.dumps({"instances": [{"text": text}]}, ensure_ascii=False, separators=(",", ":"))
    ] * 2
    page.click("#copy")
    page.wait("document.querySelector('#copy').textContent === 'Copied'")
    assert page.js("navigator.clipboard.readText()") == line


@pytest.mark.parametrize(
    ("answer", "title", "said"),
    [
        (JSONResponse({"error": f"Bad {EVIL}"}, 400), "The server refused this (status 400)", f"Bad {EVIL}"),
        (JSONResponse({"error": "full"}, 503), "The server refused this (status 503)", "try again in a moment"),
        (PlainTextResponse("<h1>Bad</h1>", 502), "An answer that is no JSON (status 502)", "<h1>Bad</h1>"),
        (JSONResponse({"predictions": []}), ODD, "1 rows asked, 0 answered"),
        (JSONResponse({"predictions": [{"label": 1}]}), ODD, ""),
        (JSONResponse({}), ODD, ""),
        (JSONResponse(None), "The server refused this (status 200)", "null"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_plainly(page, served, fake, answer, title, said):
    page.allowed = ["the server responded with a status of"]
    open_model(page, served, "mood")
    fake.fails = [answer]
    page.click("#submit")
    page.wait(FAILED)
    assert page.text("#error strong") == title
    assert said in page.text("#error")
    assert page.texts("#result > *") == []
    ask(page, "a film")
    assert page.js("document.querySelector('#error').hidden")


def test_a_server_that_is_gone_is_told_and_comes_back(page):
    page.allowed = ["ERR_CONNECTION"]
    with serving(Fake().app()) as url:
        page.goto(f"{url}#model=mood", "document.querySelector('#fields textarea')")
        page.write("#fields textarea", "kept")
        port = int(url.split(":")[2].strip("/"))
    page.click("#submit")
    page.wait(FAILED)
    assert page.text("#error strong") == "The server does not answer"
    page.wait("!document.querySelector('#gone').hidden")
    with serving(Fake().app(), port):
        page.wait("document.querySelector('#gone').hidden")  # it finds out by itself
        page.click("#submit")
        page.wait(ANSWERED)
        assert page.js("document.querySelector('#fields textarea').value") == "kept"
        page.goto("about:blank", "true")
    page.browser.events.clear()  # its address was another


def test_versions_come_and_go_while_one_writes(page, served, fake):
    fake.versions["mood"] = {2: "AVAILABLE", 3: "AVAILABLE", 4: "END"}
    fake.labels["mood"] = {"stable": 2}
    fake.errors[4] = f"no saved_model.pb {EVIL}"
    open_model(page, served, "mood")
    assert page.texts("#version option") == ["latest (3)", "stable (2)", "4: end", "3", "2"]
    assert page.js("document.querySelector('#version option[value=\"versions/4\"]').disabled")
    assert page.text("#broken") == f"Version 4 cannot be loaded: no saved_model.pb {EVIL}"
    for choice, path in (("versions/2", "/versions/2"), ("labels/stable", "/labels/stable"), ("", "")):
        page.choose("#version", choice)
        page.wait(
            f"location.hash === {json.dumps('#model=mood' + ('&version=' + quote(choice, safe='') if choice else ''))}"
        )
        ask(page, "a film")
        assert asked(fake)[0] == f"/v1/models/mood{path}:predict"
        assert f"/v1/models/mood{path}:predict" in page.text("#curl")
    fake.versions["mood"] = {3: "AVAILABLE", 5: "AVAILABLE"}
    fake.labels["mood"] = {}
    fake.errors.clear()
    page.write("#fields textarea", "still here")
    page.js(LOOK)
    page.wait("document.querySelector('#version option').textContent === 'latest (5)'")
    assert page.js("document.querySelector('#fields textarea').value") == "still here"
    assert page.text("#broken") == ""


def test_a_model_that_goes_away(page, served, fake):
    page.allowed = ["status of 404"]
    open_model(page, served, "odd <b>name")
    assert page.texts("#model option") == sorted(MODELS)
    ask(page, "x")
    assert json.loads(page.text("#result pre")) == {"outputs": [[1, 2]]}  # what no view is for, as it comes
    assert asked(fake) == ("/v1/models/odd <b>name:predict", {"inputs": {"sentences": ["x"]}})
    fake.versions = {}
    page.js(LOOK)
    page.wait("document.querySelector('#about').textContent.startsWith('There is no model yet')")
    assert page.js("document.querySelector('#submit').disabled")


def test_other_signatures_can_be_asked(page, served, fake):
    open_model(page, served, "mood")
    page.choose("#signature", "classify")
    ask(page, "a film")
    page.wait(STILL)
    assert asked(fake) == ("/v1/models/mood:classify", {"signature_name": "classify", "examples": [{"text": "a film"}]})
    assert bars(page)[0] == ("good", "75.0 %", 0.75, True)
    page.choose("#signature", "examples")
    ask(page, "é" * 200)  # lengths beyond 127 take two bytes
    assert page.text(".big") == "good"
    page.choose("#signature", "tokenized")
    assert json.loads(page.js("document.querySelector('#by-hand').value")) == {
        "signature_name": "tokenized",
        "inputs": {"input_word_ids": [[1, 1]]},  # a row
    }
    ask(page)
    assert json.loads(page.text("#result pre")) == {"outputs": [[0.5, 1.5]]}
    page.allowed = ["status of 400"]
    page.write("#by-hand", "{")
    page.click("#submit")
    page.wait(FAILED)
    assert "JSON Parse error" in page.text("#error")
    page.choose("#model", "names")
    page.wait("document.querySelector('#field-text')")
    page.choose("#signature", "examples")
    ask(page, EMOJI)  # the server's own reader of tf.Example finds the text
    assert page.texts("#result td:first-child") == ["Ada", "Paris"]
    page.choose("#model", "rating")
    page.wait("document.querySelector('#signature option[value=regress]')")
    page.choose("#signature", "regress")
    ask(page, "a film")
    assert page.text(".big") == "3.142"
    assert asked(fake)[0] == "/v1/models/rating:regress"


def test_the_last_question_is_the_one_answered(page, served, fake):
    open_model(page, served, "names")
    fake.held.clear()
    page.write("#fields textarea", "Ada is slow")
    page.click("#submit")
    assert fake.waiting.wait(20)
    assert page.js("document.querySelector('#answer').getAttribute('aria-busy')") == "true"
    ask(page, "Paris is quick")
    fake.held.set()
    assert fake.answered.wait(20)
    page.js("fetch('playground/models').then((answer) => answer.text())")  # the late answer, were it read, is before it
    assert page.texts("#result td:first-child") == ["Paris"]
    assert page.js("document.querySelector('#answer').getAttribute('aria-busy')") is None


def test_by_keyboard_alone(page, served, fake):
    open_model(page, served, "mood")
    page.key("Tab")
    assert page.js("document.activeElement.className") == "skip"
    stops = []
    for _ in range(8):
        page.key("Tab")
        stops.append(page.js("document.activeElement.id || document.activeElement.textContent"))
    assert stops == ["model", "version", "signature", "theme", "field-text", "submit", "Example 1", "Example 2"]
    page.key("Enter")
    page.wait(ANSWERED)
    assert asked(fake)[1]["instances"] == [{"text": "Two hours I will never get back."}]
    page.write("#fields textarea", "by keys")
    page.key("Enter", control=True)
    page.wait("document.querySelector('#reading')?.textContent.includes('by keys')")
    assert asked(fake)[1]["instances"] == [{"text": "by keys"}]
    page.write("#fields textarea", " ")
    page.key("Enter", control=True)
    page.wait("document.querySelector('#status').textContent === 'Write something first.'")
    assert page.js("document.activeElement.id") == "field-text"
    named = page.js(
        """[...document.querySelectorAll("select, textarea, button")].filter((e) => e.checkVisibility())
            .every((e) => e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())"""
    )
    assert named


def test_light_and_dark(page, served):
    open_model(page, served, "mood")
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.js(back)
    page.look(1100, dark=True)
    dark = page.js(back)
    assert (light, dark) == ("rgb(245, 246, 248)", "rgb(20, 22, 26)")
    page.click("#theme")
    assert (page.text("#theme"), page.js(back)) == ("Theme: light", light)
    open_model(page, served, "mood")  # remembered
    assert (page.text("#theme"), page.js(back)) == ("Theme: light", light)
    page.look(1100, dark=False)
    page.click("#theme")
    assert (page.text("#theme"), page.js(back)) == ("Theme: dark", dark)
    page.click("#theme")
    assert (page.text("#theme"), page.js(back)) == ("Theme: system", light)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"odd <b>name"}))
def test_it_fits_a_phone(page, served, name):
    page.look(360, 740)
    open_model(page, served, name)
    long = "two sisters 1921 [MASK] " + "w" * 90
    ask(page, *[long] * page.js("document.querySelectorAll('#fields textarea').length"))
    page.wait(READ)
    assert page.js("document.documentElement.scrollWidth") == 360
    outside = page.js(
        """[...document.querySelectorAll("main *, header *")].filter((e) => e.checkVisibility()
            && !e.closest(".scroll, pre, .skip") && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML)"""
    )
    assert outside == []
