"""Its place makes the helpers beside it importable: `from sizes import VOCAB`."""

import sys

import pytest

# Begun first, for each of them keeps a process busy for longest: the others fill up what is left of the time.
LONG = """
    test_examples test_train test_readme test_question_answering test_language_heads test_saved_model test_pairs
    test_token_classification test_sentence_transformers test_bundle test_glue_commands test_answers test_fit
""".split()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def determinism():
    """What `kbz.pretrain` asks of TensorFlow holds for the whole process, which runs other tests afterwards."""
    yield
    config = sys.modules.get("tensorflow.python.framework.config")
    if config is not None and config.is_op_determinism_enabled():
        config.disable_op_determinism()


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Return a folder with tiny models saved (encoder, mood, pair, rating, topics), and a table to learn from."""
    import tiny

    import keras_bert_zoo as kbz

    root = tmp_path_factory.mktemp("tiny")
    heads = {
        "encoder": None,
        "mood": kbz.heads.Classification(["bad", "good"]),
        "pair": kbz.heads.Classification(["no", "yes"], pair=True),
        "rating": kbz.heads.Regression(),
        "topics": kbz.heads.MultiLabel(["plot", "actors", "music"], threshold=0.4),
    }
    for name, head in heads.items():
        kbz.save(tiny.bundle(head), root / name)
    tiny.mood_table(copies=4).write(root / "train.tsv")
    return root
