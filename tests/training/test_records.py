"""Shards read: which rows come when, what becomes of damage, and masks drawn anew each epoch."""

import itertools
import json

import numpy as np
import pytest
import record_files
import tensorflow as tf
import tiny

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.training.masked_batches import batches, held_out, preparation
from keras_bert_zoo.training.records import Limits, Stream
from keras_bert_zoo.training.shards import find_shards

LENGTH = 13
COUNTS = [8, 1, 6, 9]
LIMITS = Limits(len(tiny.VOCABULARY), 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record_files.shards(tmp_path_factory.mktemp("ids"), COUNTS, LENGTH)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    options = {"kind": "masked", "names": "model_garden", "compression": "GZIP"}
    return record_files.shards(tmp_path_factory.mktemp("masked"), COUNTS, LENGTH, **options)


def written(counts=COUNTS):
    """Return all rows by (shard, number)."""
    every = {}
    for shard, count in enumerate(counts):
        for number, row in enumerate(record_files.rows(count, LENGTH, seed=100 + shard)):
            every[shard, number] = row
    return every


def stream(source, batch_size=5, **options):
    return Stream(find_shards(source), batch_size, LIMITS, **{"block": 7, "seed": 3, **options})


def keys(batch):
    """Return (epoch, shard, number) of each row."""
    return [(int(run & 0xFFFFFFFF), int(row >> 32), int(row & 0xFFFFFFFF)) for run, row in batch["seeds"]]


def test_every_epoch_holds_every_row_once_in_another_order_and_rows_are_what_was_written(folder):
    rows, seen = written(), []
    for batch in stream(folder).batches(0, 15):  # 75 rows: three epochs of 24 and 3 more
        assert batch["input_word_ids"].shape == batch["input_mask"].shape == batch["input_type_ids"].shape
        assert batch["input_mask"].any(axis=0).all()  # no column of padding alone
        for key, ids, mask, types, label in zip(
            keys(batch),
            batch["input_word_ids"],
            batch["input_mask"],
            batch["input_type_ids"],
            batch["next_sentence_labels"],
            strict=True,
        ):
            want = rows[key[1:]]
            assert (ids[: len(want[0])].tolist(), types[: len(want[1])].tolist(), label) == want
            assert mask.tolist() == [1] * len(want[0]) + [0] * (len(ids) - len(want[0]))
        seen += keys(batch)
    epochs = [[key[1:] for key in seen if key[0] == epoch] for epoch in range(4)]
    for epoch in epochs[:3]:
        assert sorted(epoch) == sorted(rows)
    assert len(epochs[3]) == 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != sorted(epochs[0])
    shards = [[shard for shard, _ in itertools.groupby(shard for shard, _ in epoch)] for epoch in epochs[:3]]
    assert len(set(map(tuple, shards))) > 1  # the shards come in another order too


@pytest.mark.parametrize("block", [7, 24, 1000, 1])
def test_a_step_s_batch_depends_on_the_step_alone(folder, block):
    whole = list(stream(folder, block=block).batches(0, 16))
    for start in (1, 4, 5, 9, 15):
        part = list(stream(folder, block=block).batches(start, 16))
        assert len(part) == 16 - start
        for got, want in zip(part, whole[start:], strict=True):
            assert got.keys() == want.keys()
            for name in got:
                np.testing.assert_array_equal(got[name], want[name])
    other = [keys(batch) for batch in stream(folder, block=block, seed=4).batches(0, 4)]
    assert [key[1:] for batch in other for key in batch] != [key[1:] for batch in whole[:4] for key in keys(batch)]


def test_real_tokens_of_each_step_are_counted(folder):
    made = stream(folder)
    want = {step: int(batch["input_mask"].sum()) for step, batch in enumerate(made.batches(3, 7), start=3)}
    assert made.tokens == want


def test_in_order_every_row_comes_once(folder):
    made = stream(folder, 7)
    for _ in range(2):  # and the same again
        seen = [batch["seeds"] for batch in made.in_order()]
        assert [len(each) for each in seen] == [7, 7, 7, 3]
        joined = np.concatenate(seen)
        assert {int(run) for run in joined[:, 0]} == {-1}
        assert [(int(row >> 32), int(row & 0xFFFFFFFF)) for row in joined[:, 1]] == sorted(written())


def test_foreign_files_by_pattern_are_the_same_rows(folder, masked, tmp_path):
    by_manifest = next(iter(stream(masked, dynamic=False).batches(0, 1)))
    for source in (str(masked / "*.tfrecord.gz"), sorted(map(str, masked.glob("*.gz")))):
        shards = find_shards(source)
        assert (shards.kind, shards.compression, shards.length, shards.places) == ("masked", "GZIP", LENGTH, 4)
        assert [shard.instances for shard in shards.files] == COUNTS
        got = next(iter(stream(source, dynamic=False).batches(0, 1)))
        for name in got:
            np.testing.assert_array_equal(got[name], by_manifest[name])
    plain = record_files.shards(tmp_path / "plain", COUNTS, LENGTH, manifest=False)
    shards = find_shards(plain)
    assert (shards.kind, shards.compression, shards.manifest) == ("ids", "", {})
    assert [shard.instances for shard in shards.files] == COUNTS


def test_masked_rows_are_taken_as_they_are_or_given_their_tokens_back(masked):
    rows = written()
    for static, dynamic in zip(
        stream(masked, dynamic=False).batches(0, 5), stream(masked, dynamic=True).batches(0, 5), strict=True
    ):
        assert static["masked_lm_positions"].shape[1] == 2  # of 4 places two are filled
        assert "masked_lm_ids" not in dynamic
        for key, ids, asked, stood in zip(
            keys(static), static["input_word_ids"], static["masked_lm_ids"], dynamic["input_word_ids"], strict=True
        ):
            want = rows[key[1:]][0]
            assert stood[: len(want)].tolist() == want
            assert ids[[1, 3]].tolist() == [record_files.MASK] * 2
            assert asked.tolist() == [want[1], want[3]]
    fixed = next(stream(masked, dynamic=False, trimmed=False).batches(0, 1))
    assert fixed["input_word_ids"].shape == (5, LENGTH)
    assert fixed["masked_lm_positions"].shape == (5, 4)


def prepared(made, start, stop, **options):
    options = {"dynamic": True, "share": 0.15, "most": 3, "whole_words": False, "width": None, **options}
    return list(batches(made, preparation(tiny.tokenizer(), **options), start, stop).as_numpy_iterator())


def test_masks_are_new_each_epoch_and_the_same_for_the_same_seed(folder):
    def by_row(made, start, stop):
        found = {}
        raw = made.batches(start, stop)
        for (features, _), plain in zip(prepared(stream(folder), start, stop), raw, strict=True):
            for key, ids in zip(keys(plain), features["input_word_ids"], strict=True):
                found[key] = ids.tolist()
        return found

    first = by_row(stream(folder), 0, 10)
    again = by_row(stream(folder), 3, 10)
    assert {key: first[key] for key in again} == again
    rows = {key[1:] for key in first}
    both = [row for row in rows if (0, *row) in first and (1, *row) in first]
    changed = [first[0, *row] != first[1, *row] for row in both]
    assert sum(changed) > 0.8 * len(changed) > 15


def test_dynamic_masks_have_the_proportions_of_static_ones(tmp_path):
    source = record_files.shards(tmp_path / "many", [1500], 63)
    made = Stream(find_shards(source), 500, LIMITS, seed=6)
    total = asked = masks = same = 0
    vocabulary = len(tiny.VOCABULARY)
    raw = Stream(find_shards(source), 500, LIMITS, seed=6).batches(0, 9)  # three epochs
    for (features, targets), plain in zip(prepared(made, 0, 9, most=99), raw, strict=True):
        weights, positions = targets["masked_lm"][..., 1], features["masked_lm_positions"]
        stood = targets["masked_lm"][..., 0][weights > 0]
        after = np.take_along_axis(features["input_word_ids"], positions, axis=1)[weights > 0]
        np.testing.assert_array_equal(
            np.take_along_axis(plain["input_word_ids"], positions, axis=1)[weights > 0], stood
        )
        np.testing.assert_array_equal(targets["next_sentence"], plain["next_sentence_labels"])
        total += plain["input_mask"].sum()
        asked += weights.sum()
        masks += (after == record_files.MASK).sum()
        same += (after == stood).sum()
    three = 3 * np.sqrt(0.8 * 0.2 / asked)
    assert asked > 20_000
    assert abs(asked / total - 0.15) < 0.005  # rounded in every row
    assert abs(masks / asked - (0.8 + 0.1 / vocabulary)) < three
    assert abs(same / asked - (0.1 + 0.1 / vocabulary)) < three


def test_fixed_shapes(folder, masked):
    ((features, targets),) = prepared(stream(folder, trimmed=False), 0, 1, width=6)
    assert features["input_word_ids"].shape == (5, LENGTH)
    assert features["masked_lm_positions"].shape == (5, 6)
    assert targets["masked_lm"].shape == (5, 6, 2)
    assert not targets["masked_lm"][:, 3:].any()
    ((features, targets),) = prepared(stream(masked, dynamic=False), 0, 1, dynamic=False)
    assert features["masked_lm_positions"].tolist() == [[1, 3]] * 5
    assert targets["masked_lm"][..., 1].tolist() == [[1, 1]] * 5


def test_held_out_masks_never_change(folder):
    made = preparation(tiny.tokenizer(), dynamic=True, share=0.15, most=3, whole_words=False, width=None)
    streams = [stream(folder, seed=seed) for seed in (3, 4)]
    both = [[features["input_word_ids"].numpy().tolist() for features, _ in held_out(each, made)] for each in streams]
    assert both[0] == both[1]


# ---- damage


def broken(folder, tmp_path, how, shard=2, record=3):
    """Copy shards and damage one of them: cut off in the midst of a record or at its end, or one byte changed."""
    copy = tmp_path / "broken"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    path = copy / f"data-{shard:05}-of-{len(COUNTS):05}.tfrecord"
    data = bytearray(path.read_bytes())
    place = 0
    for _ in range(record):
        place += 16 + int.from_bytes(data[place : place + 8], "little")
    if how == "byte":
        data[place + 40] ^= 4
    if how == "length":
        data[place] ^= 4
    path.write_bytes(data[: place + 30] if how == "cut" else data[:place] if how == "short" else data)
    return copy, path


@pytest.mark.parametrize("how", ["byte", "length", "cut", "short"])
def test_damage_is_told_or_counted(folder, tmp_path, how):
    copy, path = broken(folder, tmp_path, how)
    made = stream(copy)
    with pytest.raises(DataError, match=rf"{path}: record 4 is damaged: .+ \(--skip-corrupt\)") as caught:
        list(made.batches(0, 5))
    assert made.error is caught.value

    made = stream(copy, corrupt="skip")
    whole = list(made.batches(0, 12))
    assert made.damaged == {path.name: 3}
    seen = [key for batch in whole for key in keys(batch)]
    readable = sorted(key for key in written() if key[0] != 2 or key[1] < 3)
    for epoch in range(2):
        assert sorted(key[1:] for key in seen if key[0] == epoch) == readable
    for start in (1, 4, 5, 8):  # with what is known of the damage by then, as a checkpoint keeps it
        again = stream(copy, corrupt="skip", damaged=made.damaged)
        for got, want in zip(again.batches(start, 12), whole[start:], strict=True):
            assert keys(got) == keys(want)
    assert len(np.concatenate([batch["seeds"] for batch in stream(copy, corrupt="skip").in_order()])) == 21


def test_a_shard_that_is_gone_or_all_damaged(folder, tmp_path):
    copy, path = broken(folder, tmp_path, "cut", record=0)
    made = stream(copy, corrupt="skip")
    assert {key[1] for batch in made.batches(0, 4) for key in keys(batch)} == {0, 1, 3}
    shards = find_shards(copy)
    path.unlink()
    made = Stream(shards, 5, LIMITS)
    with pytest.raises(DataError, match=f"{path}: record 1 is damaged: .*No such file"):
        list(made.batches(0, 5))
    for file in copy.glob("*.tfrecord"):
        file.write_bytes(b"x" * 50)
    made = Stream(shards, 5, LIMITS, corrupt="skip")
    with pytest.raises(DataError, match="no shard has a row that can be read"):
        next(made.batches(0, 5))


def test_rows_the_model_has_no_place_for(folder):
    shards = find_shards(folder)
    for limits, told in (
        (Limits(20, 2), r"record \d has \d\d in input_ids, the model has places for 0 to 19"),
        (Limits(99, 1), r"record 1 has 1 in segment_ids, the model has places for 0 to 0"),
    ):
        with pytest.raises(DataError, match=told):
            next(Stream(shards, 5, limits).batches(0, 1))


def test_a_shard_with_other_features(folder, tmp_path):
    copy, _ = broken(folder, tmp_path, "none")
    longer = record_files.example(record_files.rows(1, LENGTH)[0], LENGTH + 2)
    path = copy / "data-00001-of-00004.tfrecord"
    record_files.write(path, [longer])
    wide = f"has {LENGTH + 2} numbers in input_ids, the first shard's have {LENGTH}"
    with pytest.raises(DataError, match=f"{path}: record 1 {wide}"):
        list(stream(copy).batches(0, 5))
    record_files.write(path, [b"\xff\xff"])
    with pytest.raises(DataError, match=f"{path}: record 1 is no tf.train.Example"):
        list(stream(copy).batches(0, 5))


def test_sources_that_hold_nothing(folder, masked, tmp_path):
    copy, path = broken(folder, tmp_path, "none")

    def told(source, words):
        with pytest.raises(DataError, match=words):
            find_shards(source)

    told([], "No pretraining data is named")
    told(tmp_path / "none", "there is no such file")
    told(str(tmp_path / "*.none"), "there is no such file, and no file of such a pattern")
    (tmp_path / "empty").mkdir()
    told(tmp_path / "empty", "no pretraining.json and no file with tfrecord in its name")
    told([copy, folder], "name a folder with pretraining.json alone")
    told([str(path), str(next(masked.glob("*.gz")))], "some of the shards are compressed, some are not")
    (tmp_path / "a.tfrecord").touch()
    told(tmp_path / "a.tfrecord", "it is empty")
    (tmp_path / "a.tfrecord").write_bytes(b"hello, this is a text and no record")
    told(tmp_path / "a.tfrecord", "cut off, or no TFRecord file: byte 0 begins no whole record")
    record_files.write(tmp_path / "a.tfrecord", [b"\xff\xff"])
    told(tmp_path / "a.tfrecord", "its first record is no tf.train.Example")
    record_files.write(tmp_path / "a.tfrecord", [tf.train.Example().SerializeToString()])
    told(tmp_path / "a.tfrecord", "its records lack input_ids or input_word_ids; they have nothing")
    zipped = next(masked.glob("*.gz")).read_bytes()
    (tmp_path / "b.tfrecord").write_bytes(zipped[:-20])
    told(tmp_path / "b.tfrecord", "its compression is damaged")
    record_files.write(tmp_path / "b.tfrecord", [b"x" * 99])
    import gzip

    (tmp_path / "c.tfrecord").write_bytes(gzip.compress((tmp_path / "b.tfrecord").read_bytes()[:-20]))
    told(tmp_path / "c.tfrecord", "cut off: byte 0 begins no whole record")

    manifest = copy / "pretraining.json"
    good = json.loads(manifest.read_text())
    for change, words in (
        ({"format": 2}, "its format is 2, this version reads 1"),
        ({"kind": "masked"}, "says its records are 'masked', but data-00000-of-00004.tfrecord holds 'ids'"),
        ({"shards": [{"file": "x", "instances": 3}]}, "1 of 1 shards are missing, such as x"),
        ({"shards": []}, "its shards hold no instances"),
        ({"shards": 3}, "is no description of pretraining data"),
        ({"compression": "GZIP"}, "its first record cannot be read"),
    ):
        manifest.write_text(json.dumps({**good, **change}))
        told(copy, words)
    manifest.write_text("{")
    told(copy, "is no description of pretraining data")
