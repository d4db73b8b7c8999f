"""Versions in folders: new, broken, copied slowly, deleted, replaced, labelled.  Each look is asked for: no clock."""

import os
import shutil

import numpy as np
import pytest

from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.serving.server.folders import find_models
from keras_bert_zoo.serving.server.models import Models
from keras_bert_zoo.serving.server.refusals import Refused
from keras_bert_zoo.serving.server.watching import Watcher


class Scene:
    """A folder of the model `half`, a watcher, and who answers: version n gives x / 2 + plus."""

    def __init__(self, root, small, **options):
        self.root, self.small, self.told, self.models = root, small, [], Models()
        self.options = {"keep": 1, "labels": {}, "timeout": 20, **options}

    def begin(self):
        self.watcher = Watcher([self.root], self.models, say=self.told.append, **self.options)
        self.watcher.begin()

    def put(self, version, of=1):
        shutil.copytree(self.small / "half" / str(of), self.root / "half" / str(version))

    def look(self, times=1):
        for _ in range(times):
            self.watcher.look()

    def answer(self, version=None, label=None):
        """Return the version that answers, and what it makes of 0."""
        with self.models.using("half", version, label) as loaded:
            found = loaded.run("serving_default", {"x": np.zeros(1, "float32")})
            return loaded.version, float(found["y"][0])

    def states(self):
        return {number: status.state for number, status in self.models.statuses("half").items()}


@pytest.fixture
def scene(tmp_path, small):
    def make(*versions, **options):
        made = Scene(tmp_path / "models", small, **options)
        for version in versions:
            made.put(version)
        made.begin()
        scenes.append(made)
        return made

    scenes = []
    yield make
    for made in scenes:
        made.models.close()


def test_a_new_version_takes_over_once_it_is_whole(scene):
    it = scene(1)
    assert it.answer() == (1, 2.0)
    with it.models.using("half") as held:  # somebody is still asking
        it.put(2, of=3)
        it.look()
        assert it.answer() == (1, 2.0)  # it may still be being copied
        it.look()
        assert it.answer() == (2, 5.0)
        assert not held.closed
        assert held.run("serving_default", {"x": np.ones(1, "float32")})["y"].tolist() == [2.5]
    assert held.closed
    assert it.states() == {2: "AVAILABLE", 1: "END"}
    with pytest.raises(Refused, match=r"Servable not found for request: Specific\(half, 1\)"):
        it.answer(version=1)
    assert [line.split(" (")[0] for line in it.told] == [
        "half: version 1 is served",
        "half: version 2 is served",
        "half: version 1 is served no longer",
    ]


def test_versions_are_numbers_not_texts(scene):
    it = scene(9, 10)
    assert it.answer()[0] == 10
    (it.root / "half" / "11.tmp").mkdir()
    (it.root / "half" / ".12").mkdir()
    (it.root / "half" / "13").mkdir()  # empty
    it.look(3)
    assert it.answer()[0] == 10


@pytest.mark.parametrize("damage", ["nonsense", "cut short", "no variables", "no weights", "warm-up"])
def test_a_broken_version_is_refused_and_the_old_one_goes_on(scene, damage):
    it = scene(1)
    it.put(2, of=3)
    new = it.root / "half" / "2"
    if damage == "nonsense":
        (new / "saved_model.pb").write_bytes(b"no protocol buffer")
    elif damage == "cut short":
        os.truncate(new / "saved_model.pb", (new / "saved_model.pb").stat().st_size // 2)
    elif damage == "no variables":
        shutil.rmtree(new / "variables")
    elif damage == "no weights":
        os.truncate(new / "variables" / "variables.data-00000-of-00001", 3)
    else:
        (new / "assets.extra").mkdir()
        (new / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no records" * 9)
    it.look(2)
    assert it.answer() == (1, 2.0)
    assert it.states() == {2: "END", 1: "AVAILABLE"}
    status = it.models.statuses("half", 2)[2]
    assert status.code != "OK"
    assert status.message.startswith("half 2: ")
    assert it.told[-1].startswith("half: version 2 cannot be loaded: ")
    assert it.told[-1].endswith(" Version 1 goes on.")
    told = len(it.told)
    it.look(3)
    assert len(it.told) == told  # it is not tried again and again
    shutil.rmtree(new)
    it.put(2, of=3)  # until it looks otherwise
    it.look(2)
    assert it.answer() == (2, 5.0)


def test_the_version_in_use_is_deleted(scene):
    it = scene(1, 2)
    shutil.rmtree(it.root / "half" / "2")
    it.look()
    assert it.answer() == (2, 2.0)  # the next one is loaded before this one leaves
    it.look()
    assert it.answer() == (1, 2.0)
    shutil.rmtree(it.root / "half")
    it.look()
    assert it.answer() == (1, 2.0)
    it.look(2)
    for ask in (it.answer, it.states):
        with pytest.raises(Refused) as error:
            ask()
        assert error.value.code == "NOT_FOUND"
    it.put(1, of=3)  # the same number, somebody else
    it.look(2)
    assert it.answer() == (1, 5.0)


def test_the_same_number_written_anew(scene):
    it = scene(1)
    shutil.rmtree(it.root / "half" / "1")
    it.put(1, of=3)
    it.look()
    assert it.answer() == (1, 2.0)
    it.look()
    assert it.answer() == (1, 5.0)
    (it.root / "half" / "1" / "saved_model.pb").write_bytes(b"nonsense")
    it.look(4)
    assert it.answer() == (1, 5.0)
    assert it.states() == {1: "AVAILABLE"}
    assert it.told[-1].endswith("Version 1 goes on.")


def test_labels_and_versions_besides_the_newest(scene):
    it = scene(1, 2, 3, 4, keep=2, labels={"half": {"stable": 1, "canary": 4}})
    assert it.states() == {4: "AVAILABLE", 3: "AVAILABLE", 1: "AVAILABLE"}
    assert [it.answer(label=label)[0] for label in ("stable", "canary", None)] == [1, 4, 4]
    it.put(5)
    it.look(2)
    assert it.states() == {5: "AVAILABLE", 4: "AVAILABLE", 3: "END", 1: "AVAILABLE"}
    assert it.answer(label="canary")[0] == 4
    for label in ("none", ""):
        with pytest.raises(Refused, match="Unrecognized servable version label"):
            it.answer(label=label)


def test_a_new_model_in_the_folder(scene, small):
    it = scene(1)
    shutil.copytree(small / "half", it.root / "other")
    it.look(2)
    with it.models.using("other") as loaded:
        assert loaded.version == 3
    assert it.models.ready()


def test_what_cannot_be_served(tmp_path, small):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken" / "model" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "model" / "1" / "saved_model.pb").write_bytes(b"nonsense")
    shutil.copytree(small / "half", tmp_path / "twice" / "half")

    def begin(*folders, **options):
        options = {"keep": 1, "labels": {}, "timeout": 9, **options}
        Watcher(folders, Models(), say=lambda line: None, **options).begin()

    for arguments, message in [
        ([tmp_path / "none"], "there is no such folder"),
        ([tmp_path / "empty"], "holds no exported model"),
        ([small / "half" / "1"], "is one version of a model. Serve the model: "),
        ([small, tmp_path / "twice"], "have the same name"),
        ([tmp_path / "broken"], "No model could be loaded. model 1: "),
    ]:
        with pytest.raises(ExportError, match=message):
            begin(*arguments)
    with pytest.raises(ExportError, match="Labels are given to 'full', the models are: half, words"):
        begin(small, labels={"full": {"stable": 1}})
    with pytest.raises(ExportError, match="The label 'stable' is version 2 of 'half', which is not there"):
        begin(small, labels={"half": {"stable": 2}})


def test_folders_of_models_and_of_one(small):
    assert find_models([small]) == {"half": small / "half", "words": small / "words"}
    assert find_models([small / "half", small / "words"]) == find_models([small])
    assert find_models([small, small / "half"]) == find_models([small])
