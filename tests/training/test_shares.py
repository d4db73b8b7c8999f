"""Rows shared by the processes of a cluster: none twice in an epoch, shown by their numbers."""

import numpy as np
import pytest
import record_files
import tiny

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.masked_batches import preparation
from keras_bert_zoo.training.records import Limits, Stream
from keras_bert_zoo.training.shards import find_shards
from keras_bert_zoo.training.shares import Share

LENGTH = 13
COUNTS = [8, 1, 6, 9, 5]
LIMITS = Limits(len(tiny.VOCABULARY), 2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return find_shards(record_files.shards(tmp_path_factory.mktemp("ids"), COUNTS, LENGTH))


def stream(shards, batch_size, share=None, **options):
    return Stream(shards, batch_size, LIMITS, **{"block": 7, "seed": 3, "share": share, **options})


def keys(batch):
    """Return (epoch, shard, number) of each row."""
    return [(int(run & 0xFFFFFFFF), int(row >> 32), int(row & 0xFFFFFFFF)) for run, row in batch["seeds"]]


def test_by_record_the_pieces_are_those_of_the_whole_batch_in_order(shards):
    size, steps = 7, 11  # 77 rows: two epochs of 29 and 19 more
    whole = stream(shards, size)
    want = list(whole.batches(0, steps))
    streams = [stream(shards, size, Share(worker, 3, replicas=2)) for worker in range(3)]
    shares = [list(each.batches(0, steps)) for each in streams]
    assert [len(share) for share in shares] == [2 * steps] * 3
    for step in range(steps):
        pieces = [piece for share in shares for piece in share[2 * step : 2 * step + 2]]
        assert [key for piece in pieces for key in keys(piece)] == keys(want[step])
        assert sorted(len(piece["seeds"]) for piece in pieces) == [1, 1, 1, 1, 1, 2]
        place = 0
        for piece in pieces:
            rows, width = piece["input_word_ids"].shape
            assert piece["input_mask"].any(axis=0).all()  # padded to its own longest row
            assert (piece["input_word_ids"] == want[step]["input_word_ids"][place : place + rows, :width]).all()
            place += rows
    assert all(each.tokens == whole.tokens for each in streams)
    later = list(stream(shards, size, Share(1, 3, replicas=2)).batches(4, steps))
    assert [keys(batch) for batch in later] == [keys(batch) for batch in shares[1][8:]]


def test_by_record_no_row_comes_twice_in_an_epoch(shards):
    seen = [key for w in range(3) for batch in stream(shards, 4, Share(w, 3)).batches(0, 29) for key in keys(batch)]
    assert len(seen) == len(set(seen)) == 4 * 29
    assert {shard_row[1:] for shard_row in seen if shard_row[0] == 2} == {
        (shard, number) for shard, count in enumerate(COUNTS) for number in range(count)
    }


@pytest.mark.parametrize("block", [7, 1000])
def test_by_file_no_row_comes_twice_in_an_epoch_and_every_row_in_some(shards, block):
    # Dealt by size: 9+1+5 and 8+6 rows; an epoch is two times 14.
    owned = [{1, 3, 4}, {0, 2}]
    size, epochs = 4, 9
    steps = 14 * epochs // 2
    seen = []
    for worker in range(2):
        each = stream(shards, size, Share(worker, 2, by="file"), block=block)
        got = [keys(batch) for batch in each.batches(0, steps)]
        assert all(len(batch) == 2 for batch in got)
        flat = [key for batch in got for key in batch]
        assert {shard for _, shard, _ in flat} == owned[worker]
        assert [epoch for epoch, *_ in flat] == [epoch for epoch in range(epochs) for _ in range(14)]
        later = stream(shards, size, Share(worker, 2, by="file"), block=block).batches(17, steps)
        assert [keys(batch) for batch in later] == got[17:]
        seen += flat
    assert len(seen) == len(set(seen)) == 28 * epochs
    left_out = [
        {(s, n) for s, count in enumerate(COUNTS) for n in range(count)} - {key[1:] for key in seen if key[0] == epoch}
        for epoch in range(epochs)
    ]
    assert all(len(rows) == 1 for rows in left_out)
    assert len(set(map(frozenset, left_out))) > 1  # another one every time


def test_by_file_masks_are_the_records_own_whoever_reads_them(shards):
    """The same record has the same mask in the same epoch, and two workers never draw from the same numbers."""
    by_key = {}
    for share in (Share(), Share(0, 2, by="file"), Share(1, 2, by="file")):
        for batch in stream(shards, 4, share).batches(0, 7):
            for key, seed in zip(keys(batch), batch["seeds"].tolist(), strict=True):
                assert by_key.setdefault(key, seed) == seed


def test_a_device_may_get_no_row(shards):
    prepare = preparation(
        tiny.tokenizer(), dynamic=True, share=0.2, most=3, whole_words=False, width=None, length=LENGTH
    )
    pieces = list(stream(shards, 2, Share(0, 1, replicas=3)).batches(0, 1))
    assert [len(piece["seeds"]) for piece in pieces] == [0, 1, 1]
    features, targets = prepare(pieces[0])
    assert features["input_word_ids"].shape[0] == features["masked_lm_positions"].shape[0] == 0
    assert targets["masked_lm"].shape[0] == targets["next_sentence"].shape[0] == 0
    packed = preparation(
        tiny.tokenizer(), dynamic=True, share=0.2, most=3, whole_words=False, width=None, length=LENGTH, sequences=2
    )
    assert np.asarray(packed(pieces[0])[1]["next_sentence"]).size == 0


def test_files_are_dealt_evenly():
    dealt = [Share(worker, 3, by="file").files([5, 9, 2, 7, 7, 3]) for worker in range(3)]
    # 9, 7, 7, 5, 3, 2 rows, one after the other to the one with the fewest: 11, 12 and 10 in all
    assert dealt == [([1, 2], 10), ([0, 3], 10), ([4, 5], 10)]


def test_what_cannot_be_shared(shards):
    with pytest.raises(ConfigError, match="The sharing is 'batch', it must be one of record, file"):
        Share(by="batch")
    with pytest.raises(ConfigError, match="There are 5 files for 6 workers: share them by record, or write more"):
        stream(shards, 12, Share(0, 6, by="file"))
    with pytest.raises(ConfigError, match="A batch of 7 rows cannot be shared evenly by 2 workers"):
        stream(shards, 7, Share(0, 2, by="file"))
    with pytest.raises(ConfigError, match="cannot skip damaged records: share by record"):
        stream(shards, 4, Share(0, 2, by="file"), corrupt="skip")
