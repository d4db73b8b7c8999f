"""Every signature of every head: a request is answered the same alone and in a batch with others."""

import numpy as np
import pytest
import tiny
from test_joined_requests import together

import keras_bert_zoo as kbz
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.serving.server.loaded import Loaded
from keras_bert_zoo.serving.server.warming import replay
from keras_bert_zoo.serving.warmup import serving_examples

HEADS = {
    "classification": lambda: kbz.heads.Classification(["bad", "good", "neither"]),
    "pair": lambda: kbz.heads.Classification(["no", "yes"], pair=True),
    "multi_label": lambda: kbz.heads.MultiLabel(["plot", "actors"]),
    "regression": kbz.heads.Regression,
    "token_classification": lambda: kbz.heads.TokenClassification(["O", "B-X", "I-X", "B-Y"]),
    "question_answering": kbz.heads.QuestionAnswering,
    "multiple_choice": kbz.heads.MultipleChoice,
    "masked_lm": kbz.heads.MaskedLM,
    "next_sentence": kbz.heads.NextSentence,
    "sentence_embedding": lambda: kbz.heads.SentenceEmbedding(pooling="mean"),
}
REQUESTS = [["a good film"], ["", "the plot of a [MASK] story"], ["it was " * 30], ["[MASK] and [MASK]"], ["x"]]
MANY = [["a", "the end"], ["b", "", "no"], ["c", "d"], ["e", ""], ["f", "g", "h"]]


def columns(head, number):
    """Return the head's columns for a request: its texts, the other column in another order, lists of other lengths."""
    texts = REQUESTS[number]
    made = {name: texts if i == 0 else texts[::-1] for i, name in enumerate(head.columns)}
    return {name: [MANY[number]] * len(texts) if head.ranks.get(name, 1) == 2 else made[name] for name in made}


def strings(values):
    """Return texts or bytes as bytes; not by way of numpy's own strings, which lose a last nought."""
    array = np.array(values, object)
    for place, value in np.ndenumerate(array):
        array[place] = value if isinstance(value, bytes) else value.encode()
    return array


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_company_changes_no_answer_of_any_head(name, tmp_path):
    head = HEADS[name]()
    loaded = Loaded(name, 1, export_bundle(tiny.bundle(head), tmp_path / name), timeout=60)
    assert replay(loaded) >= 3 * len(loaded.signatures) - 3
    requests = []
    for signature in sorted(loaded.signatures.keys() - {"tokenized"}):
        for number in range(len(REQUESTS)):
            given = columns(head, number)
            if loaded.signatures[signature].inputs.keys() <= {"examples", "inputs"}:
                (column,) = loaded.signatures[signature].inputs
                given = {column: [each.SerializeToString() for each in serving_examples(given)]}
            requests.append((signature, {key: strings(values) for key, values in given.items()}))
    answers, seen = together(loaded, requests)
    assert any(each[1] > 1 for each in seen)  # some were joined
    for (signature, tensors), answer in zip(requests, answers, strict=True):
        alone = loaded.run(signature, tensors)
        assert answer.keys() == alone.keys()
        for output, array in alone.items():
            assert answer[output].shape == array.shape, (signature, output)
            if array.dtype == np.float32:
                np.testing.assert_allclose(answer[output], array, rtol=1e-4, atol=1e-5, err_msg=f"{signature} {output}")
            else:
                assert answer[output].tolist() == array.tolist(), (signature, output)
    loaded.retire()
