"""Pretraining records for tests, written one by one with TensorFlow's own classes."""

import hashlib
import json

import numpy as np
import tiny

NAMES = {
    "google": {"ids": "input_ids", "types": "segment_ids"},
    "model_garden": {"ids": "input_word_ids", "types": "input_type_ids"},
}
PLAIN = [i for i, token in enumerate(tiny.VOCABULARY) if not token.startswith(("[", "##"))]
CLS, SEP, MASK = (tiny.VOCABULARY.index(token) for token in ("[CLS]", "[SEP]", "[MASK]"))


def rows(count, length, *, seed=1):
    """Return (ids, types, label) of pairs: the second half repeats the first one's word, or another (label 1)."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        first, second = random.integers(1, (length - 3) // 2 + 1, 2)
        label = int(random.integers(0, 2))
        word = random.choice(PLAIN)
        other = random.choice([w for w in PLAIN if w != word]) if label else word
        ids = [CLS, *[word] * first, SEP, *[other] * second, SEP]
        made.append(([int(i) for i in ids], [0] * (first + 2) + [1] * (second + 1), label))
    return made


def example(row, length, *, names="google", asked=None, places=0):
    """Return a serialised tf.train.Example; `asked` are positions that are masked in it."""
    import tensorflow as tf

    ids, types, label = list(row[0]), row[1], row[2]
    real = len(ids)

    def whole(values, size):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[*values, *[0] * (size - len(values))]))

    features = {}
    if asked is not None:
        stood = [ids[place] for place in asked]
        for place in asked:
            ids[place] = MASK
        weights = [1.0] * len(asked) + [0.0] * (places - len(asked))
        features = {
            "masked_lm_positions": whole(asked, places),
            "masked_lm_ids": whole(stood, places),
            "masked_lm_weights": tf.train.Feature(float_list=tf.train.FloatList(value=weights)),
        }
    features |= {
        NAMES[names]["ids"]: whole(ids, length),
        "input_mask": whole([1] * real, length),
        NAMES[names]["types"]: whole(types, length),
        "next_sentence_labels": whole([label], 1),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, records, compression=""):
    """Write serialised records to one file."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)


def shards(folder, counts, length, *, kind="ids", names="google", compression="", manifest=True, seed=1):
    """Write a folder of shards with so many rows each, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, count in enumerate(counts):
        name = f"data-{number:05}-of-{len(counts):05}.tfrecord" + (".gz" if compression else "")
        asked = {"asked": [1, 3], "places": 4} if kind == "masked" else {}
        made = [example(row, length, names=names, **asked) for row in rows(count, length, seed=seed * 100 + number)]
        write(folder / name, made, compression)
        files.append({"file": name, "instances": count})
    told = {
        "format": 1,
        "kind": kind,
        "names": names,
        "max_length": length,
        "max_predictions": 4,
        "compression": compression,
        "vocabulary_sha256": hashlib.sha256("".join(f"{t}\n" for t in tiny.VOCABULARY).encode()).hexdigest(),
        "do_lower_case": True,
        "shards": files,
        "instances": sum(counts),
        "settings": {},
        "counts": {},
    }
    if manifest:
        (folder / "pretraining.json").write_text(json.dumps(told))
    return folder


def vocabulary(path):
    """Write the tiny vocabulary as a file."""
    path.write_text("".join(f"{token}\n" for token in tiny.VOCABULARY))
    return path
