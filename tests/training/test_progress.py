"""What a long training shows."""

import math

import pytest

from keras_bert_zoo.training import progress
from keras_bert_zoo.training.progress import Display, span
from keras_bert_zoo.training.recipes import Phase, Recipe

RECIPE = Recipe([Phase("a", 60, 8), Phase("b", 20, 2)])
FIGURES = {"loss": 7.25, "perplexity": 1234.5, "masked_lm_accuracy": 0.125, "next_sentence_accuracy": 0.5}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (math.nan, "? min"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3599, "1 h 0 min"),
        (11_520, "3 h 12 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_spans_of_time(seconds, words):
    assert span(seconds) == words


def row(step, **more):
    return {"step": step, "phase": 1, "steps": 5, **FIGURES, "learning_rate": 1e-4, "tokens_per_second": 4321.7, **more}


def test_lines_and_the_time_that_is_left(capsys, monkeypatch):
    now = iter([100.0, 110.0, 130.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    display = Display(2)
    display.begin(RECIPE, 10, [16, 64])  # 60 · 8 · 16 = 7,680 of work and 20 · 2 · 64 = 2,560
    display.moved(20, FIGURES, 99.0)  # the first call made the graph: the clock begins
    display.row(row(40))  # 10 s for 2,560, 5,120 left
    display.row(row(60, val_loss=8.0, val_perplexity=2000.4))  # 30 s for 5,120, 2,560 left
    display.end()
    line = "loss 7.25  perplexity 1,234  mlm 0.125  nsp 0.5"
    assert capsys.readouterr().out.splitlines() == [
        "Going on after step 10 of 80.",
        f"step 40/80  {line}  4,322 tokens/s  20 s left",
        f"step 60/80  {line}  val_loss 8  val_perplexity 2,000  4,322 tokens/s  15 s left",
    ]


def test_nothing_and_a_bar(capsys):
    for verbose in (0, 1):
        display = Display(verbose)
        display.begin(RECIPE, 0, [16, 64])
        display.moved(20, FIGURES, 99.0)
        display.say("measuring")
        display.row(row(40))
        display.moved(44, FIGURES, 99.0)
        display.end()
        shown = capsys.readouterr().out
        assert bool(shown) == bool(verbose)
    assert "step 40/80  loss 7.25" in shown
    assert Display("auto").verbose == 2  # no terminal
