"""Two devices, two or three processes, and parts of a batch train as one device does with the whole batch."""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("replicas.py")


def measured(folder, what):
    file = folder / f"{what}.json"
    done = subprocess.run([sys.executable, SCRIPT, file, what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("short"), "short")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("long"), "long")


@pytest.fixture(scope="module", params=[2, 3])
def cluster(request, tmp_path_factory):
    """Return what each worker of a cluster on this machine measured."""
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(request.param)]
        ports = [str(each.getsockname()[1]) for each in sockets]
    files = [folder / f"{index}.json" for index in range(request.param)]
    workers = [
        subprocess.Popen([sys.executable, SCRIPT, file, str(index), *ports], stderr=subprocess.PIPE, text=True)
        for index, file in enumerate(files)
    ]
    told = [worker.communicate(timeout=900)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers), "\n\n".join(text[-1500:] for text in told)
    return [json.loads(file.read_text()) for file in files]


def same(got, want, most=1e-6, unnoticed=("attention/key/bias",)):
    """Assert that weights are alike, as a share of the largest, and all figures."""
    largest = max(np.abs(np.array(weight)).max() for weight in want["weights"])
    for name, a, b in zip(want["names"], got["weights"], want["weights"], strict=True):
        # Softmax takes no notice of the keys' bias: its gradient is rounding alone, of which Adam makes whole steps.
        allowed = 5 * most if name.endswith(unnoticed) else most
        assert np.abs(np.subtract(a, b)).max() <= allowed * largest, name
    assert got.get("updates") == want.get("updates")
    for name in ("history", "evaluated", "weighted", "predicted", "one_batch", "tested", "arrays", "trained"):
        assert (name in got) == (name in want)
        for figure, values in _flat(want.get(name)).items():
            np.testing.assert_allclose(_flat(got[name])[figure], values, rtol=4 * most, atol=4 * most, err_msg=figure)


def _flat(figures):
    return figures if isinstance(figures, dict) else {"": figures} if figures is not None else {}


@pytest.mark.parametrize("task", ["classification", "pretraining"])
def test_two_devices_equal_one(short, task):
    want = short["one"][task]
    assert want["updates"] >= 20
    assert want["moved"] > 1e-2
    assert want["history"]["loss"][-1] < want["history"]["loss"][0]
    same(short["two"][task], want)  # pretraining in three parts a device


def test_figures_are_those_of_all_rows(short):
    one = short["one"]["classification"]
    assert set(one["evaluated"]) == {"loss", "accuracy", "f1", "f1_macro", "mcc"}
    assert one["weighted"]["loss"] != pytest.approx(one["evaluated"]["loss"], rel=1e-2)  # weights were given
    assert np.shape(one["predicted"]) == (36, 2)
    assert set(one["arrays"]) == {*one["evaluated"], *(f"val_{name}" for name in one["evaluated"])}


def test_replicas_draw_their_own_dropouts(short):
    first, second = short["masks"]
    assert first == second  # the same seed, the same bits
    outputs = np.array(first["outputs"])  # of the same row, by each replica
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    assert all(drawn > 0 for _, drawn in first["seeds"])


def test_what_is_made_outside_of_the_scope_is_refused(short):
    optimizer, metric = short["refused"]
    assert "but the optimizer was made outside of the strategy's scope. Make the optimizer and the metrics" in optimizer
    assert "lives on several replicas, but the metric compile_metrics was made outside" in metric


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ranking", "similarity", "choice", "tags", "pretraining", "plain"])
def test_two_devices_equal_one_for_other_heads(long, task):
    # Nor does it of what is added to all choices.
    unnoticed = ("attention/key/bias", *(["head_logits/bias"] if task == "choice" else []))
    same(long["two"][task], long["one"][task], unnoticed=unnoticed)
    assert long["one"][task]["moved"] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("task", ["plain", "pretraining", "tags"])
def test_parts_equal_the_whole_batch(long, task):
    same(long["parts"][task], long["one"][task])


@pytest.mark.slow
def test_dropout_repeats(long):
    first, second = long["dropout"]
    assert first == second
    assert np.ravel(first["weights"][0]).tolist() != np.ravel(long["one"]["plain"]["weights"][0]).tolist()


@pytest.mark.slow
def test_half_precision_scales_its_losses(long):
    one = long["half"]["one"]
    assert one["history"]["loss"][-1] < one["history"]["loss"][0]
    for other in ("two", "parts"):
        assert long["half"][other]["scale"] == one["scale"]
        assert long["half"][other]["updates"] == one["updates"]
        np.testing.assert_allclose(long["half"][other]["history"]["loss"], one["history"]["loss"], rtol=5e-3)


@pytest.mark.slow
def test_pretraining_on_two_devices(tmp_path):
    told = measured(tmp_path, "pretrainings")
    want = told["one"]
    largest = max(np.abs(np.array(weight)).max() for weight in want["weights"])
    for name in ("two", "parts"):
        pairs = zip(told[name]["weights"], want["weights"], strict=True)
        assert max(np.abs(np.subtract(a, b)).max() for a, b in pairs) <= 1e-6 * largest
        for row, other in zip(told[name]["rows"], want["rows"], strict=True):
            assert row == pytest.approx(other, rel=1e-5)
    assert told["killed"] == told["whole"]  # the same bits, with dropout


@pytest.mark.slow
def test_a_cluster_equals_one_device(cluster, long):
    for worker in cluster:
        for task, got in worker["cluster"].items():
            same(got, long["one"][task])
        assert worker["half"]["scale"] == long["half"]["one"]["scale"]
    outputs = cluster[0]["masks"]["outputs"]
    assert len({tuple(row) for row in outputs}) == len(cluster)
    assert all(worker["masks"] == cluster[0]["masks"] for worker in cluster)
