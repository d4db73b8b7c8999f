"""Every head with arguments, and random features and targets for its model."""

import numpy as np
from sizes import VOCAB

ROWS, TIME, CHOICES, PLACES = 5, 7, 3, 4
MADE = {
    "classification": {"labels": ["bad", "good", "neither"]},
    "multi_label": {"labels": ["plot", "actors"]},
    "regression": {},
    "masked_lm": {},
    "next_sentence": {},
    "pretraining": {},
    "pretraining sequences": {},
    "question_answering": {},
    "multiple_choice": {},
    "sentence_embedding": {"pooling": "mean", "loss": "similarity"},
    "sentence_embedding cls": {"pooling": "cls", "loss": "similarity"},
    "sentence_embedding max": {"pooling": "max", "loss": "similarity"},
    "token_classification": {"labels": ["O", "B-X", "I-X", "B-Y"]},
}


def features(model, random):
    """Rows of 2 to 7 tokens, or three of them an example; a row of a choice may have none, others two sequences."""
    shape = (ROWS, CHOICES, TIME) if len(model.input["input_mask"].shape) == 3 else (ROWS, TIME)
    mask = (np.arange(TIME) < random.integers(2, TIME + 1, (*shape[:-1], 1))).astype("int32")
    if len(shape) == 3:
        mask[2, 1] = 0  # no choice
    elif model.get_layer("grid").sequences > 1:
        mask[1:, 1:] *= 2
    made = {
        "input_word_ids": random.integers(5, VOCAB, shape),
        "input_mask": mask,
        "input_type_ids": random.integers(0, 2, shape),
        "masked_lm_positions": random.integers(0, 2, (ROWS, PLACES)),
    }
    return {name: made[name].astype("int32") for name in model.input}


def targets(name, x, random, sequences):
    real = x["input_mask"]
    masked = np.stack([random.integers(0, VOCAB, (ROWS, PLACES)), random.integers(0, 2, (ROWS, PLACES))], axis=-1)
    return {
        "classification": {"": np.array([0, 2, 1, 1, 0])},
        "multi_label": {"": np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]], "float32")},
        "regression": {"": np.array([[0.5], [-1], [2], [0], [1]], "float32")},
        "masked_lm": {"": masked.astype("float32")},
        "next_sentence": {"": np.array([0, 1, 1, 0, 1])},
        "pretraining": {
            "masked_lm": masked.astype("float32"),
            "next_sentence": np.array([1, 0, 1, 1, 0] if sequences == 1 else [[0, -1], [1, 0], [1, 1], [0, 0], [1, 0]]),
        },
        "question_answering": {"": np.array([[0, 1], [1, 1], [0, 0], [1, 1], [0, 1]])},
        "multiple_choice": {"": np.array([0, 2, 0, 1, 1])},
        "sentence_embedding": {"": np.array([0.5, 1, 0, 0.25, 0.75], "float32")},
        "token_classification": {"": np.where(real, random.integers(-1, 4, real.shape), -1)},
    }[name]
