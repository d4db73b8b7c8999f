"""Segment pairs against Model Garden's own script, which is handed the very numbers that ours draws."""

import random

import numpy as np
import pytest

from keras_bert_zoo.data.pretraining import draws
from keras_bert_zoo.data.pretraining.segments import (
    Block,
    Cut,
    Instances,
    instances,
    other_documents,
    segments_from,
    truncated,
    truncated_sizes,
)
from keras_bert_zoo.data.pretraining.settings import Plan, Settings

SEED = 77


def corpus(documents=23, seed=3, most=40):
    """Return documents as lists of sentences of tokens; every token is another number."""
    rng = np.random.default_rng(seed)
    token, made = 0, []
    for _ in range(documents):
        sentences = []
        for size in rng.integers(1, most, rng.integers(1, 31)):
            sentences.append(list(range(token, token + int(size))))
            token += int(size)
        made.append(sentences)
    return made


def block_of(documents, first_document=0):
    """Return part of a corpus as a block."""
    sentences = [len(document) for document in documents]
    bounds = np.cumsum([0, *sentences])
    sizes = [len(sentence) for document in documents for sentence in document]
    numbers = np.arange(first_document, len(documents))
    ends = np.cumsum([0, *sizes])[bounds[first_document] :]
    return Block(numbers, bounds[first_document:-1], bounds[first_document:] - bounds[first_document], ends)


def plan_of(documents, **settings):
    total = sum(map(len, documents))
    return Plan(Settings(seed=SEED, **settings), 30_000, 0, 2, 3, 4, len(documents), total)


def ours(documents, plan, copy):
    """Return [first tokens, second tokens, random] of each instance by document and place, before truncation."""
    block = block_of(documents)
    ends, bounds = block.ends, np.append(block.firsts, len(block.ends) - 1)
    found = [[] for _ in documents]
    for part in instances(block, plan, [copy]):
        second, size = part.second.copy(), part.second_size.copy()
        some = np.flatnonzero(part.random)
        other = other_documents(part.keys[some], part.document[some], len(documents))
        assert (other != part.document[some]).all()
        second[some], size[some] = segments_from(
            ends, bounds[other], bounds[other + 1], part.keys[some], part.wanted[some]
        )
        rows = zip(part.document, part.first, part.first_size, second, size, part.random, strict=True)
        for document, first, first_size, second, size, is_random in rows:
            tokens = list(range(first, first + first_size)), list(range(second, second + size))
            found[document].append((*tokens, bool(is_random)))
    for one in found:
        one.sort()  # in the order of the document
    return found


class Scripted:
    """A `random.Random` for one document, whose numbers are those that ours draws for the same purposes."""

    def __init__(self, number, first_sentence, documents, plan, copy):
        self.number, self.documents, self.plan = number, documents, plan
        self.base = copy * plan.sentences + first_sentence
        self.here, self.size, self.short_drawn = 0, 1, False

    def key(self):
        return draws.keys(SEED, np.array([self.base + self.here]))

    def uniform(self, purpose):
        return draws.uniform(self.key(), purpose)[0]

    def random(self):
        if not self.short_drawn:
            self.short_drawn = True
            return self.uniform(draws.SHORT)
        drawn = self.uniform(draws.NEXT)
        if drawn >= 0.5:  # an actual next ends the chunk
            self.here += self.size
            self.size = 1
        return drawn

    def randint(self, low, high):
        if low == 2:
            return 2 + draws.below(self.key(), draws.TARGET, high - 1)[0]
        if low == 1:  # where to split a chunk of two sentences or more
            self.size = high + 1
            self.first = 1 + draws.below(self.key(), draws.SPLIT, high)[0]
            return self.first
        if high == len(self.documents) - 1 and not hasattr(self, "other"):
            self.other = other_documents(self.key(), np.array([self.number]), len(self.documents))[0]
            return self.other
        del self.other
        start = draws.below(self.key(), draws.START, high + 1)[0]
        self.here += self.first if self.size > 1 else 1
        self.size = 1
        return start


@pytest.mark.parametrize("length", [9, 41, 128])
def test_pairs_are_those_of_model_garden_s_script(length, monkeypatch):
    script = pytest.importorskip("official.nlp.data.create_pretraining_data")
    documents = corpus()
    plan = plan_of(documents, max_length=length)
    kept = []
    monkeypatch.setattr(script, "truncate_seq_pair", lambda a, b, most, rng: kept.append((list(a), list(b))))
    monkeypatch.setattr(script, "create_masked_lm_predictions", lambda tokens, *rest: (tokens, [], []))
    pairs = 0
    for copy in (0, 2):
        found = ours(documents, plan, copy)
        first_sentence = 0
        for number, document in enumerate(documents):
            kept.clear()
            rng = Scripted(number, first_sentence, documents, plan, copy)
            theirs = script.create_instances_from_document(documents, number, length, 0.1, 0.15, 5, [], rng)
            want = [(*pair, one.is_random_next) for pair, one in zip(kept, theirs, strict=True)]
            assert found[number] == want
            pairs += len(want)
            first_sentence += len(document)
    assert pairs > 200


@pytest.mark.parametrize("room", [2, 5, 12])
def test_truncation_leaves_what_the_original_leaves(room):
    script = pytest.importorskip("official.nlp.data.create_pretraining_data")
    first, second = (x.ravel() for x in np.meshgrid(np.arange(1, 31), np.arange(1, 31)))
    left = truncated_sizes(first, second, room)
    for a, b, want_a, want_b in zip(first, second, *left, strict=True):
        tokens = [0] * a, [0] * b
        script.truncate_seq_pair(*tokens, room, random.Random(1))
        assert (want_a, want_b) == (len(tokens[0]), len(tokens[1]))


def test_tokens_leave_from_the_front_as_coins_fall():
    count = 200_000
    keys = draws.keys(5, np.arange(count))
    for tossed in (1, 3, 64, 65, 200):
        heads = draws.coins(keys, 7, np.full(count, tossed))
        assert heads.min() >= 0
        assert heads.max() <= tossed
        assert abs(heads.mean() - tossed / 2) < 4 * np.sqrt(tossed / 4 / count)
        assert abs(heads.var() / (tossed / 4) - 1) < 0.03
    mixed = np.arange(count) % 131
    heads = draws.coins(keys, 7, mixed)
    assert (heads <= mixed).all()
    for place in (64, 65, 130, 0):  # each the same whoever is beside it
        assert draws.coins(keys[place : place + 1], 7, mixed[place : place + 1])[0] == heads[place]
    cut = Cut(np.full(count, 100), np.full(count, 9), np.full(count, 500), np.full(count, 13))
    short = truncated(keys, cut, 12)
    assert set(short.first_size) == set(short.second_size) == {6}
    assert abs((short.first - 100).mean() - 1.5) < 4 * np.sqrt(0.75 / count)
    assert abs((short.second - 500).mean() - 3.5) < 4 * np.sqrt(1.75 / count)
    assert ((short.first - 100 >= 0) & (short.first - 100 <= 3)).all()


def test_single_segments():
    documents = corpus()
    plan = plan_of(documents, max_length=41, pairs="none", short_share=0)
    found = ours(documents, plan, 0)
    for document, rows in zip(documents, found, strict=True):
        assert [token for first, _, _ in rows for token in first] == [t for sentence in document for t in sentence]
        assert not any(second or is_random for _, second, is_random in rows)
        assert all(len(first) >= 39 for first, _, _ in rows[:-1])  # 41 less [CLS] and [SEP]
        starts = {sentence[0] for sentence in document}
        assert all(first[0] in starts for first, _, _ in rows)


def test_a_document_s_instances_depend_on_no_other_document():
    documents = corpus()
    plan = plan_of(documents, max_length=41)
    whole = list(instances(block_of(documents), plan, range(3)))
    part = list(instances(block_of(documents, 11), plan, [1]))
    rows = {tuple(row) for found in whole for row in zip(*map(np.ndarray.tolist, found), strict=True)}
    some = {tuple(row) for found in part for row in zip(*map(np.ndarray.tolist, found), strict=True)}
    assert some < rows
    assert len({row[0] for row in rows}) == len(rows)  # keys differ


def test_a_document_of_many_steps_is_handed_out_in_parts(monkeypatch):
    monkeypatch.setattr("keras_bert_zoo.data.pretraining.segments._STEPS", 3)
    documents = corpus(documents=2)
    plan = plan_of(documents, max_length=9)
    parts = list(instances(block_of(documents), plan, [0]))
    assert len(parts) > 5
    monkeypatch.undo()
    (whole,) = instances(block_of(documents), plan, [0])
    np.testing.assert_array_equal(np.concatenate([part.keys for part in parts]), whole.keys)


def test_how_many_pairs_are_random_and_how_long_they_are():
    """Sentences of one token, so that a chunk is as long as its target says and always has two sentences or more."""
    documents = [[[0]] * 700] * 2_000
    plan = plan_of(documents, max_length=23)
    parts = instances(block_of(documents), plan, [0])
    found = Instances(*map(np.concatenate, zip(*parts, strict=True)))
    assert len(found.keys) > 70_000
    last = found.first + found.first_size + found.second_size == (found.document + 1) * 700
    some = ~last
    random_share = found.random[some].mean()
    assert abs(random_share - 0.5) < 3 * np.sqrt(0.25 / some.sum())
    target = found.wanted + found.first_size
    assert (found.first_size[some] + found.second_size[some] == target[some]).all()
    by_document = target[np.unique(found.document, return_index=True)[1]]
    assert len(by_document) == 2000
    short = by_document < 20
    # A tenth is short; of those one in 19 draws the full length, 2 to 20 being as likely.
    share = 0.1 * 18 / 19
    assert abs(short.mean() - share) < 3 * np.sqrt(share * (1 - share) / 2000)
    assert set(by_document) == set(range(2, 21))
    split = found.first_size[some & (target == 20)]  # 1 to 19, any as likely
    shares = np.bincount(split, minlength=20)[1:] / len(split)
    assert np.abs(shares - 1 / 19).max() < 4 * np.sqrt(1 / 19 / len(split))


def test_other_documents_are_drawn_evenly_and_never_the_own():
    count = 190_000
    own = np.arange(count) % 20
    other = other_documents(draws.keys(1, np.arange(count)), own, 20)
    assert (own != other).all()
    table = np.zeros((20, 20))
    np.add.at(table, (own, other), 1)
    each = count / 20 / 19
    assert np.abs(table[~np.eye(20, dtype=bool)] - each).max() < 4.5 * np.sqrt(each)
