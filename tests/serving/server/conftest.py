"""A folder of small models, and one server for all tests that change nothing about it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # as in `from fresh import ask_fresh`


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Return a folder with the models half (versions 1 and 3) and words (version 7)."""
    import small_models

    root = tmp_path_factory.mktemp("small")
    small_models.write(small_models.predict_half(plus=2), root / "half" / "1")
    small_models.write(small_models.predict_half(plus=5), root / "half" / "3")
    small_models.write(small_models.words(), root / "words" / "7")
    return root


@pytest.fixture(scope="session")
def server(small):
    """Return the addresses of a server of the small models; half's version 1 is "stable"."""
    from keras_bert_zoo.serving.server.limits import Limits
    from keras_bert_zoo.serving.server.run import running

    limits = Limits(rows=20, body=10_000, patience=0.5, timeout=1)
    with running(small, labels={"half": {"stable": 1}}, limits=limits, watch_every=0.05) as addresses:
        yield addresses
