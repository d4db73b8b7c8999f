"""Sequences packed into rows in plain Python and NumPy; no use of the package.

B sequences, R rows, L tokens a row, P places asked about and S sequences a row.
"""

import numpy as np


def first_fit_decreasing(tokens, asks, length, sequences, predictions=None):
    """Return which sequences each row holds, in order: the textbook's loop, one sequence after the other."""
    rows = []
    for i in sorted(range(len(tokens)), key=lambda i: (-tokens[i], -asks[i], i)):
        if not tokens[i]:
            continue
        for row in rows:
            fits = sum(tokens[j] for j in row) + tokens[i] <= length and len(row) < sequences
            if fits and (predictions is None or sum(asks[j] for j in row) + asks[i] <= predictions):
                row.append(i)
                break
        else:
            rows.append([i])
    return rows


def packed(features, targets, rows, length, sequences, predictions=None, height=None):
    """Write the rows down token by token; returns features and targets as `pack_sequences` does."""
    asked = targets["masked_lm"][..., 1] != 0
    most = predictions or max((sum(asked[i].sum() for i in row) for row in rows), default=0)
    height = height or len(rows)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    found = {name: np.zeros((height, length), "int32") for name in names}
    found["masked_lm_positions"] = np.zeros((height, most), "int32")
    masked = np.zeros((height, most, 2), "float32")
    follows = np.full((height, sequences), -1, "int32")
    for r, row in enumerate(rows):
        token = place = 0
        for k, i in enumerate(row):
            begin = token
            for t in range(int((features["input_mask"][i] != 0).sum())):
                values = (features["input_word_ids"][i, t], k + 1, features["input_type_ids"][i, t])
                for name, value in zip(names, values, strict=True):
                    found[name][r, token] = value
                token += 1
            for m in np.flatnonzero(asked[i]):
                found["masked_lm_positions"][r, place] = begin + features["masked_lm_positions"][i, m]
                masked[r, place] = targets["masked_lm"][i, m]
                place += 1
            follows[r, k] = targets["next_sentence"][i]
    return found, {"masked_lm": masked, "next_sentence": follows}


def batch(lengths, vocabulary=99, places=4, time=None, seed=4):
    """Return features and targets of sequences of these lengths; places asked about may lie anywhere in the list."""
    random = np.random.default_rng(seed)
    count, time = len(lengths), time or max(lengths, default=1)
    mask = np.arange(time) < np.array(lengths, int).reshape(-1, 1)
    positions = np.zeros((count, places), "int32")
    weights = np.zeros((count, places), "float32")
    for i, length in enumerate(lengths):
        asks = random.integers(0, min(places, length) + 1)
        slots = np.sort(random.permutation(places)[:asks])
        positions[i, slots] = random.permutation(length)[:asks]
        weights[i, slots] = 1
    features = {
        "input_word_ids": random.integers(5, vocabulary, mask.shape).astype("int32"),
        "input_mask": mask.astype("int32"),
        "input_type_ids": random.integers(0, 2, mask.shape).astype("int32"),
        "masked_lm_positions": positions,
    }
    asked = np.stack([random.integers(5, vocabulary, weights.shape) * weights, weights], axis=-1)
    return features, {"masked_lm": asked.astype("float32"), "next_sentence": random.integers(0, 2, count)}
