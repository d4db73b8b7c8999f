"""Whose turn it is, and what the turns tell."""

import pytest

from keras_bert_zoo.benchmark.plan import BERT_BASE, Plan, Setup, gigaflop
from keras_bert_zoo.benchmark.turns import Spread, ratios, spread, take_turns


def test_each_round_another_side_begins_and_the_first_round_is_not_counted():
    order = []

    def side(name, speeds):
        left = iter(speeds)
        return lambda: order.append(name) or next(left)

    found = take_turns({"a": side("a", [9, 1, 2, 3]), "b": side("b", [9, 4, 5, 6]), "c": side("c", [9, 7, 8, 9])}, 3)
    assert found == {"a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 9]}
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"


def test_a_side_that_fails_is_left_out():
    left = iter([1.0, 2.0, None])
    found = take_turns({"a": lambda: 5.0, "b": lambda: next(left)}, 4)
    assert found == {"a": [5.0] * 4}
    assert take_turns({}, 2) == {}


def test_figures_and_ratios_by_value():
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    # Turn by turn: 2, 1.5, 4.  The ratio of the medians would be 3 / 2 = 1.5.
    assert ratios([2.0, 3.0, 8.0], [1.0, 2.0, 2.0]) == Spread(2.0, 1.5, 4.0)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_the_work_of_bert_base():
    # 85M weights in the blocks' matrices, two operations each for 1024 tokens; and the attention's two products.
    dense = 2 * 1024 * 12 * (4 * 768 * 768 + 2 * 768 * 3072)
    attention = 2 * 2 * 12 * 8 * 128 * 128 * 768
    assert gigaflop(BERT_BASE, 8, 128) == pytest.approx((dense + attention) / 1e9)


def test_a_setup_goes_to_the_workers_whole(setup):
    read = Setup.read(setup.write())
    assert (read.plan.repeats, read.workloads, read.threads) == (2, setup.workloads, setup.threads)
    assert Plan(**{**vars(read.plan), "grid": tuple(read.plan.grid), "gemm": tuple(read.plan.gemm)}) == setup.plan
