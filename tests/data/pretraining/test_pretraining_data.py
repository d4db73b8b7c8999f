"""Shards of pretraining examples as a whole: who reads them, what is in them, and that they are always the same."""

import errno
import gzip
import hashlib
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from own_words import DOCUMENTS, SPECIAL, VOCABULARY, document_of

import keras_bert_zoo as kbz
from keras_bert_zoo.data.corpus import read_corpus
from keras_bert_zoo.data.pretraining import build, shuffle, spool, steps
from keras_bert_zoo.errors import ConfigError, DataError

LENGTH, PLACES = 23, 4
CLS, SEP, MASK = (SPECIAL.index(token) for token in ("[CLS]", "[SEP]", "[MASK]"))


def write(corpus, out, tokenizer, **options):
    given = {"max_length": LENGTH, "max_predictions": PLACES, "masks": "static", "dupe_factor": 3, "shards": 5}
    return kbz.write_pretraining_data(corpus, out, tokenizer, **{**given, **options})


def parsed(folder, *, ids="input_ids", types="segment_ids", masked=True, length=LENGTH, places=PLACES):
    """Read every shard as google-research/bert run_pretraining.py input_fn_builder does."""
    features = {
        ids: tf.io.FixedLenFeature([length], tf.int64),
        "input_mask": tf.io.FixedLenFeature([length], tf.int64),
        types: tf.io.FixedLenFeature([length], tf.int64),
        "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
    }
    if masked:
        features |= {
            "masked_lm_positions": tf.io.FixedLenFeature([places], tf.int64),
            "masked_lm_ids": tf.io.FixedLenFeature([places], tf.int64),
            "masked_lm_weights": tf.io.FixedLenFeature([places], tf.float32),
        }
    account = json.loads((folder / "pretraining.json").read_text())
    records = []
    for shard in account["shards"]:
        found = list(tf.data.TFRecordDataset(str(folder / shard["file"]), account["compression"]).as_numpy_iterator())
        assert len(found) == shard["instances"]
        records += found
    assert set(tf.train.Example.FromString(records[0]).features.feature) == set(features)
    return {name: value.numpy() for name, value in tf.io.parse_example(records, features).items()}


def sums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def static(corpus, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("static") / "records"
    return folder, write(corpus, folder, tokenizer)


def unmasked(records):
    """Return the ids with what is asked for put back."""
    ids = records["input_ids"].copy()
    for row, positions, labels, weights in zip(
        ids,
        *(records[f"masked_lm_{name}"] for name in ("positions", "ids", "weights")),
        strict=True,
    ):
        real = weights > 0
        row[positions[real]] = labels[real]
        assert not positions[~real].any()
        assert not labels[~real].any()
    return ids


def test_every_row_is_two_segments_of_the_corpus(static, corpus):
    folder, account = static
    records = parsed(folder)
    ids, kinds, mask = unmasked(records), records["segment_ids"], records["input_mask"]
    labels = records["next_sentence_labels"][:, 0]
    assert account["instances"] == len(ids)
    assert account["counts"]["random_next"] == labels.sum()
    assert account["counts"]["tokens"] == mask.sum()
    assert account["counts"]["masked"] == records["masked_lm_weights"].sum()
    texts = " ".join(path.read_text() for path in sorted(corpus.iterdir())).split()
    text = np.array([VOCABULARY.index(word) for word in texts])
    runs = {size: {tuple(text[i : i + size]) for i in range(len(text) - size + 1)} for size in range(1, LENGTH)}
    seen = set()
    for row, kind, real, random in zip(ids, kinds, mask.astype(bool), labels, strict=True):
        assert real.tolist() == [True] * real.sum() + [False] * (LENGTH - real.sum())
        assert not row[~real].any()
        assert not kind[~real].any()
        first, second = row[real & (kind == 0)], row[real & (kind == 1)]
        assert (first[0], first[-1], second[-1]) == (CLS, SEP, SEP)
        first, second = first[1:-1], second[:-1]
        assert tuple(first) in runs[len(first)]
        assert tuple(second) in runs[len(second)]
        documents = set(document_of(first)), set(document_of(second))
        assert all(len(one) == 1 for one in documents)  # a segment is of one document
        assert (documents[0] != documents[1]) == bool(random)  # and a random one never of the same
        seen |= documents[0]
    assert seen == set(range(DOCUMENTS))
    assert 0.4 < 1 - labels.mean() < 0.55


def test_as_many_masks_as_the_original(static):
    records = parsed(static[0])
    length = records["input_mask"].sum(axis=1).tolist()
    # The original's words, and never more than there are tokens to ask for.
    want = [min(PLACES, max(1, round(size * 0.15))) for size in length]
    assert records["masked_lm_weights"].sum(axis=1).tolist() == want
    assert 0.7 < (records["input_ids"] == MASK).sum() / sum(want) < 0.9


def test_dynamic_masks_leave_the_rows_as_they_are(static, corpus, tokenizer, tmp_path):
    write(corpus, tmp_path / "ids", tokenizer, masks="dynamic", names="model_garden")
    records = parsed(tmp_path / "ids", ids="input_word_ids", types="input_type_ids", masked=False)
    masked = parsed(static[0])
    np.testing.assert_array_equal(records["input_word_ids"], unmasked(masked))  # the same rows in the same order
    np.testing.assert_array_equal(records["input_type_ids"], masked["segment_ids"])
    for name in ("input_mask", "next_sentence_labels"):
        np.testing.assert_array_equal(records[name], masked[name])


def test_the_account(static, tokenizer, tmp_path):
    folder, account = static
    assert json.loads((folder / "pretraining.json").read_text()) == account
    tokenizer.save_vocabulary(tmp_path / "vocab.txt")
    shards = account.pop("shards")
    assert [shard["file"] for shard in shards] == [f"pretraining-{i:05}-of-00005.tfrecord" for i in range(5)]
    assert sorted(path.name for path in folder.iterdir()) == [*(one["file"] for one in shards), "pretraining.json"]
    counts = account.pop("counts")
    assert (counts["documents"], counts["sentences"], counts["replaced"]) == (DOCUMENTS, 30 * DOCUMENTS, 0)
    assert (counts["instances"], counts["unknown"]) == (account["instances"], 0)
    settings = account.pop("settings")
    assert settings["seed"] == 12345
    assert settings["unit"] == "lines"
    assert account == {
        "format": 1,
        "kind": "masked",
        "names": "google",
        "max_length": LENGTH,
        "max_predictions": PLACES,
        "compression": "",
        "vocabulary_sha256": hashlib.sha256((tmp_path / "vocab.txt").read_bytes()).hexdigest(),
        "vocabulary_size": len(VOCABULARY),
        "do_lower_case": True,
        "instances": sum(shard["instances"] for shard in shards),
    }
    account.update(shards=shards, counts=counts, settings=settings)


def test_workers_files_order_and_blocks_change_nothing(static, corpus, tokenizer, tmp_path, monkeypatch):
    want = sums(static[0])
    monkeypatch.setattr(spool, "BLOCK", 300)  # many small blocks and slices
    monkeypatch.setattr(steps, "ROWS", 7)
    monkeypatch.setattr(steps, "PAIRS", 5)
    monkeypatch.setattr(steps, "_SPOOLED", 12)
    monkeypatch.setattr(shuffle, "BUCKET", 900)
    files = [corpus / "c.txt", corpus / "a.txt", corpus / "b.txt"]
    write(files, tmp_path / "small", tokenizer)
    assert sums(tmp_path / "small") == want
    write(read_corpus(files), tmp_path / "three", tokenizer, workers=3, scratch=tmp_path / "elsewhere")
    assert sums(tmp_path / "three") == want
    assert not any((tmp_path / "elsewhere").iterdir())
    write(corpus, tmp_path / "other", tokenizer, seed=1)
    assert not set(sums(tmp_path / "other").values()) & set(want.values())


def test_rows_are_in_random_order(static):
    """Rows of one document do not stand together: neighbours are of the same as often as chance has it."""
    documents = document_of(unmasked(parsed(static[0]))[:, 1])
    together = (documents[1:] == documents[:-1]).mean()
    share = (np.bincount(documents) / len(documents)) ** 2
    assert abs(together - share.sum()) < 4 * np.sqrt(share.sum() / len(documents))


def test_compressed_shards(static, corpus, tokenizer, tmp_path):
    account = write(corpus, tmp_path / "small", tokenizer, compress=True, name="packed.v1")
    assert account["compression"] == "GZIP"
    for plain, shard in zip(static[1]["shards"], account["shards"], strict=True):
        assert shard["file"] == plain["file"].replace("pretraining", "packed.v1") + ".gz"
        path = tmp_path / "small" / shard["file"]
        assert gzip.decompress(path.read_bytes()) == (static[0] / plain["file"]).read_bytes()
    np.testing.assert_array_equal(parsed(tmp_path / "small")["input_ids"], parsed(static[0])["input_ids"])


def test_single_segments_of_a_single_document(corpus, tokenizer, tmp_path):
    with pytest.raises(DataError, match=r"b\.txt: the corpus is one document, so .*pairs='none'"):
        write(corpus / "b.txt", tmp_path / "pairs", tokenizer)
    account = write(corpus / "b.txt", tmp_path / "single", tokenizer, pairs="none", masks="dynamic", dupe_factor=1)
    records = parsed(tmp_path / "single", masked=False)
    assert not records["segment_ids"].any()
    assert not records["next_sentence_labels"].any()
    ids = records["input_ids"]
    assert (ids[:, 0] == CLS).all()
    assert ((ids == SEP).sum(axis=1) == 1).all()
    assert set(document_of(ids[ids >= len(SPECIAL)])) == {5}
    assert account["instances"] == len(ids)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("names", ["google", "model_garden"])
def test_model_garden_s_loader_reads_them(static, corpus, tokenizer, tmp_path, names):
    loaders = pytest.importorskip("official.nlp.data.pretrain_dataloader")
    write(corpus, tmp_path / "records", tokenizer, names=names)
    config = loaders.BertPretrainDataConfig(
        input_path=str(tmp_path / "records" / "*.tfrecord"),
        global_batch_size=17,
        is_training=False,
        seq_length=LENGTH,
        max_predictions_per_seq=PLACES,
        use_v2_feature_names=names == "model_garden",
        drop_remainder=False,
    )
    batches = list(loaders.BertPretrainDataLoader(config).load().as_numpy_iterator())
    want = parsed(static[0])
    theirs = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    ours = {"input_word_ids": want.pop("input_ids"), "input_type_ids": want.pop("segment_ids"), **want}
    assert set(theirs) == set(ours)

    def in_order(values, name):  # the loader interleaves the shards
        rows = np.concatenate(
            [values["input_word_ids"], values["masked_lm_ids"], values["masked_lm_positions"]], axis=1
        )
        return values[name][np.lexsort(rows.T)]

    for name in ours:
        np.testing.assert_array_equal(in_order(theirs, name), in_order(ours, name), err_msg=name)


def test_our_head_reads_what_model_garden_s_script_writes(tokenizer, tmp_path):
    script = pytest.importorskip("official.nlp.data.create_pretraining_data")
    instances = [
        script.TrainingInstance(
            ["[CLS]", "aaa", "[MASK]", "[SEP]", "bbb", "[SEP]"], [0, 0, 0, 0, 1, 1], [2], ["abc"], True
        ),
        script.TrainingInstance(
            ["[CLS]", "aab", "[SEP]", "aac", "[SEP]"], [0, 0, 0, 1, 1], [1, 3], ["aab", "x"], False
        ),
    ]

    class Ids:
        @staticmethod
        def convert_tokens_to_ids(tokens):
            return [VOCABULARY.index(token) if token in VOCABULARY else 1 for token in tokens]

    for v2 in (False, True):
        path = str(tmp_path / f"theirs{v2}.tfrecord")
        script.write_instance_to_example_files(instances, Ids, 7, 3, [path], False, v2)
        names = {"ids": "input_word_ids", "types": "input_type_ids"} if v2 else {}
        account = {"shards": [{"file": path, "instances": 2}], "compression": ""}
        (tmp_path / "pretraining.json").write_text(json.dumps(account))
        records = parsed(tmp_path, length=7, places=3, **names)
        features, targets = kbz.heads.Pretraining.split(records)
        abc, aab = VOCABULARY.index("abc"), VOCABULARY.index("aab")
        assert features["input_word_ids"][0, :3].numpy().tolist() == [CLS, VOCABULARY.index("aaa"), MASK]
        assert features["input_type_ids"].numpy().tolist() == [[0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 0, 0]]
        assert features["masked_lm_positions"].numpy().tolist() == [[2, 0, 0], [1, 3, 0]]
        assert targets["masked_lm"].numpy().tolist() == [[[abc, 1], [0, 0], [0, 0]], [[aab, 1], [1, 1], [0, 0]]]
        assert targets["next_sentence"].numpy().tolist() == [1, 0]


def test_our_head_reads_ours(static):
    features, targets = kbz.heads.Pretraining.split(parsed(static[0]))
    assert features["input_word_ids"].shape == (static[1]["instances"], LENGTH)
    assert targets["masked_lm"].shape == (static[1]["instances"], PLACES, 2)
    assert int(targets["next_sentence"].numpy().sum()) == static[1]["counts"]["random_next"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 4}, "max_length is 4, want 5 to 65,535: 3 special tokens and two others."),
        ({"max_length": 3, "pairs": "none"}, "max_length is 3, want 4 to 65,535: 2 special tokens"),
        ({"max_length": 65_536}, "max_length is 65536, want 5 to 65,535"),
        ({"masks": "static "}, "masks is 'static ', want one of 'dynamic', 'static'."),
        ({"pairs": "sop"}, "pairs is 'sop', want one of 'next_sentence', 'none'."),
        ({"names": "v2"}, "names is 'v2', want one of 'google', 'model_garden'."),
        ({"mask_share": 0}, "mask_share is 0, want a share between 0 and 1."),
        ({"short_share": 1.5}, "short_share is 1.5, want a share from 0 to 1."),
        ({"max_predictions": 24}, "max_predictions is 24, want 1 to max_length, 23."),
        ({"dupe_factor": 0}, "dupe_factor is 0, want 1 to 10,000."),
        ({"max_ngram": 0}, "max_ngram is 0, want 1 or more."),
        ({"max_ngram": 2}, "max_ngram is 2: n-grams are of whole words, so set whole_words too."),
        ({"whole_words": True, "masks": "dynamic"}, "whole_words is for masks='static'"),
        ({"name": "a/b"}, "name is 'a/b'; it begins the files' names"),
        ({"shards": 0}, "shards is 0, want 1 to 100,000."),
        ({"workers": 0}, "workers is 0, want 1 or more."),
    ],
)
def test_settings_that_cannot_be(corpus, tokenizer, tmp_path, options, message):
    with pytest.raises(ConfigError) as caught:
        write(corpus, tmp_path / "out", tokenizer, **options)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_text_that_is_not_enough(tokenizer, tmp_path):
    for name, content, message in (
        ("empty", b"", "there is no text in it"),
        ("blank", b" \n\n\t\n", "there is no text in it"),
        ("silent", "\u200d\n\n\u200d\n".encode(), "silent.txt: no text of the corpus gives a token."),
        ("one", b"aaa aab\naac\n", "one.txt: the corpus is one document"),
    ):
        (tmp_path / f"{name}.txt").write_bytes(content)
        with pytest.raises(DataError, match=message):
            write(tmp_path / f"{name}.txt", tmp_path / "out", tokenizer)
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".*"))


def test_bytes_that_are_not_utf8(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"aaa aab\n\naac \xff aad\n")
    account = write(tmp_path / "a.txt", tmp_path / "out", tokenizer)
    assert account["counts"]["replaced"] == 1
    with pytest.raises(DataError, match=r"a\.txt, line 3: byte 0xff is not UTF-8"):
        write(tmp_path / "a.txt", tmp_path / "refused", tokenizer, invalid="refuse")
    assert not (tmp_path / "refused").exists()


def test_a_folder_that_is_there_is_kept(corpus, tokenizer, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="the folder is there already"):
        write(corpus, tmp_path, tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("step", ["reading", "rows", "shard"])
def test_a_full_disk(corpus, tokenizer, tmp_path, monkeypatch, workers, step):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "reading":
        monkeypatch.setattr(spool.SpoolWriter, "write", full)
    elif workers == 1:
        monkeypatch.setattr(steps, "spool_rows" if step == "rows" else "shuffled_rows", full)
    else:  # other processes see the disk as it is
        patched = "import errno, sys\nfrom keras_bert_zoo.data.pretraining import crew, steps\n" + (
            "def full(*a):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
            f"steps.{'spool_rows' if step == 'rows' else 'shuffled_rows'} = full\ncrew.main()\n"
        )
        (tmp_path / "worker.py").write_text(patched)
        monkeypatch.setattr(build.Crew, "MODULE", [str(tmp_path / "worker.py")])
    with pytest.raises(DataError) as caught:
        write(corpus, tmp_path / "out", tokenizer, workers=workers)
    assert str(caught.value).startswith(f"{tmp_path / 'out'}: cannot be written (No space left on device. Rows")
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"worker.py"}


def test_a_process_that_is_lost(corpus, tokenizer, tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text("import os, signal, sys\nsys.stdin.readline()\nos.kill(os.getpid(), 9)\n")
    monkeypatch.setattr(build.Crew, "MODULE", [str(tmp_path / "worker.py")])
    with pytest.raises(DataError, match=r"one of 2 worker processes ended by itself, with code -9\. It may have been"):
        write(corpus, tmp_path / "out", tokenizer, workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["worker.py"]


def test_progress_is_told(corpus, tokenizer, tmp_path):
    told = []
    account = write(corpus, tmp_path / "out", tokenizer, progress=lambda *what: told.append(what), workers=2)
    stages = [what for what, _, _ in told]
    assert list(dict.fromkeys(stages)) == ["reading", "pairing", "writing"]
    size = sum(path.stat().st_size for path in corpus.iterdir())
    assert [one for one in told if one[0] == "reading"][-1] == ("reading", size, size)
    assert told[-1] == ("writing", account["instances"], account["instances"])
    for stage in set(stages):
        done = [count for what, count, _ in told if what == stage]
        assert done == sorted(done)


def test_a_line_of_ten_megabytes(tokenizer, tmp_path):
    (tmp_path / "long.txt").write_text("aaa aab\n\n" + "aac aad aae " * 870_000 + "\n", encoding="utf-8")
    account = write(tmp_path / "long.txt", tmp_path / "out", tokenizer, dupe_factor=1)
    assert account["counts"]["corpus_tokens"] == 2 + 3 * 870_000
    assert account["instances"] == parsed(tmp_path / "out")["input_ids"].shape[0] == 2


def test_no_tensorflow_in_the_steps():
    """A worker begins in a fraction of a second."""
    import subprocess

    script = (
        "import sys, keras_bert_zoo.data.pretraining.crew\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
