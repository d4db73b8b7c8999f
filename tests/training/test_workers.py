"""Processes of a cluster on this machine: what they tell one another, and whole trainings, beside one process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import cluster_process
import numpy as np
import pytest
import record_files
import tensorflow as tf
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ClusterError
from keras_bert_zoo.training.workers import Workers, lost_workers

SCRIPT = Path(cluster_process.__file__)


def ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(each.getsockname()[1]) for each in sockets]


def start(mode, root, count):
    """Start all processes of a cluster."""
    taken = ports(count)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), os.environ.get("PYTHONPATH", "")])}
    return [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), mode, str(root), str(index), *taken],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("cluster")
    options = {"kind": "masked", "names": "model_garden"}
    record_files.shards(root / "data", [21, 9, 14], 13, **options)
    record_files.shards(root / "held", [10], 13, seed=9, **options)
    record_files.shards(root / "other" / "data", [21, 9, 14], 13, seed=2, **options)
    record_files.shards(root / "other" / "held", [10], 13, seed=9, **options)
    for folder in (root, root / "other"):
        record_files.vocabulary(folder / "vocab.txt")
    kbz.save(tiny.bundle(config=cluster_process.CONFIG), root / "bert")
    return root


@pytest.fixture(scope="module")
def told(root):
    """Return what two workers wrote."""
    processes = start("together", root, 2)
    done = [process.communicate(timeout=600) for process in processes]
    for process, (_, error) in zip(processes, done, strict=True):
        assert process.returncode == 0, error[-4000:]
    return [json.loads((root / f"told-{index}.json").read_text()) for index in range(2)]


def test_workers_tell_one_another(told):
    addresses = told[0]["place"][3]
    assert [each["place"] for each in told] == [[0, 2, True, addresses], [1, 2, False, addresses]]
    for each in told:
        assert each["gathered"] == [{"from": 0, "text": "üüü"}, {"from": 1, "text": "üüüü"}]
        assert each["most"] == 17
        assert each["chiefs"] == ["said by", 0]
    want = (np.arange(15) * 7 - 3).reshape(3, 5)
    for kind in ("float32", "uint8", "int64", "float16"):
        array = want.astype(kind)
        if kind == "float32":
            array[0, :3] = [-0.0, 1e-42, np.inf]
        for each in told:
            assert each[kind] == [kind, [3, 5], array.tobytes().hex()]


def test_what_differs_is_named_and_what_the_chief_meets_ends_all(told):
    addresses = told[0]["place"][3]
    chief, other = f"worker 0, the chief ({addresses[0]})", f"worker 1 ({addresses[1]})"
    for each in told:
        assert each["agree"] is None
        assert each["differ"].startswith(
            f"ClusterError: The workers are not alike. data.train: {other} has 'table 1', {chief} has 'table 0'."
        )
    assert told[0]["first"] == ["done by 0", "ConfigError: The folder is there already."]
    assert told[1]["first"] == [None, f"ClusterError: {chief} ended: The folder is there already."]


def test_a_signal_that_one_gets_stops_all_after_a_checkpoint_and_the_run_goes_on(told, root):
    assert [each["stopped"] for each in told] == [[signal.SIGTERM, told[0]["stopped"][1]]] * 2
    step = told[0]["stopped"][1]
    assert 3 < step < cluster_process.STEPS
    assert told[0]["left"][:2] == ["replaced.json", "settings.json"]
    assert told[0]["left"][-1] == f"step-{step:09}.safetensors"
    one = cluster_process.pretrain(root, "default", root / "one")
    for each in told:
        assert [row["step"] for row in each["rows"]] == [row["step"] for row in one.rows]
        for ours, theirs in zip(each["rows"], one.rows, strict=True):
            for name in set(theirs) - {"tokens_per_second"}:
                if ours["steps"] == theirs["steps"]:  # figures begin anew where a run went on
                    assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-6), name
        same_weights(each["pretrained"], one.bundle.model)
    assert told[0]["pretrained"] == told[1]["pretrained"]
    assert sorted(os.listdir(root / "run")) == sorted(os.listdir(root / "one"))
    same_weights(told[0]["pretrained"], kbz.load(root / "run").model)


def test_workers_with_files_of_their_own_stay_alike(told):
    assert told[0]["by_file"] == told[1]["by_file"]
    assert told[0]["by_file"] != told[0]["pretrained"]


def test_other_data_are_refused_and_nothing_is_written(told, root):
    for each in told:
        assert each["other_data"].startswith("ClusterError: The workers are not alike. data.0: worker 1")
        assert each["other_table"].startswith("ClusterError: The workers are not alike. data.train: worker 1")
    assert not (root / "never").exists()


def test_fine_tuning_equals_one_process_and_the_chief_alone_writes(told, root):
    one = cluster_process.finetune("default", root / "alone")
    for each in told:
        for ours, theirs in zip(each["epochs"], one.history.epochs, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
        assert each["test"] == pytest.approx(one.test, rel=1e-4, abs=1e-6)
        same_weights(each["tuned"], one.bundle.model)
    assert told[0]["tuned"] == told[1]["tuned"]
    assert sorted(os.listdir(root / "tuned")) == sorted(os.listdir(root / "alone"))
    assert [name for name in os.listdir(root) if name.startswith(".")] == []


def same_weights(got, model, limit=1e-6):
    want = {weight.path: weight.numpy() for weight in model.weights}
    assert got.keys() == want.keys()
    largest = max(np.abs(value).max() for value in want.values())
    apart = max(np.abs(np.array(got[name]) - value).max() for name, value in want.items())
    assert apart / largest <= limit


# ---- faults


class Three(Workers):
    """Workers of a cluster that is not there."""

    def __init__(self, addresses):
        self.addresses, self.index = addresses, 1


LOST = "Collective ops is aborted by: recvmsg:Connection reset by peer\nAdditional GRPC error information"


def test_who_is_lost_is_named():
    free = ports(2)
    with socket.create_server(("127.0.0.1", 0)) as alive:
        addresses = [f"127.0.0.1:{alive.getsockname()[1]}", *(f"127.0.0.1:{port}" for port in free)]
        told = f"worker 1 ({addresses[1]}) has lost worker 2 ({addresses[2]}): it ended, or the network did. The"
        with pytest.raises(ClusterError, match=re.escape(told)), lost_workers(Three(addresses)):
            raise tf.errors.UnavailableError(None, None, LOST)
        both = Three([addresses[0], addresses[0], addresses[0]])  # everybody answers
        with pytest.raises(ClusterError, match="has lost another worker: it ended"), lost_workers(both):
            raise tf.errors.UnavailableError(None, None, LOST)
        two = Three(addresses[:2])  # it answers, but there is nobody else
        told = re.escape(f"has lost worker 0, the chief ({addresses[0]})")
        with pytest.raises(ClusterError, match=told), lost_workers(two):
            raise tf.errors.InternalError(None, None, LOST)


def test_errors_of_another_kind_stay_what_they_are():
    for workers, error in (
        (Three(["a:1", "b:2"]), tf.errors.UnavailableError(None, None, "the disk")),
        (Three(["a:1"]), tf.errors.UnavailableError(None, None, LOST)),
        (None, tf.errors.UnavailableError(None, None, LOST)),
        (Three(["a:1", "b:2"]), ValueError(LOST)),
    ):
        with pytest.raises(type(error), match=re.escape(str(error))), lost_workers(workers):
            raise error


# ---- faults, with three processes


def until_step(process, step):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("step") and int(line.split()[1]) >= step:
            return
    raise AssertionError("".join(lines) + process.stderr.read()[-3000:])


def final(root):
    import safetensors.numpy

    return safetensors.numpy.load_file(root / "run" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "count", "victim"), [("pretrain", 3, 2), ("pretrain", 3, 0), ("finetune", 2, 1)])
def test_a_worker_that_is_killed_ends_all_and_the_cluster_goes_on_to_the_same_weights(
    root, tmp_path, mode, count, victim
):
    for name in ("data", "held", "vocab.txt"):
        for place in ("whole", "broken"):
            (tmp_path / place).mkdir(exist_ok=True)
            (tmp_path / place / name).symlink_to(root / name)
    for place in ("whole", "broken"):
        kbz.save(tiny.bundle(config=tiny.CONFIG.replace(num_hidden_layers=1)), tmp_path / place / "bert")
    processes = start(mode, tmp_path / "whole", count)
    assert [process.communicate(timeout=900)[0].split()[-1] for process in processes] == ["done"] * count

    processes = start(mode, tmp_path / "broken", count)
    until_step(processes[victim], 21)
    processes[victim].kill()
    others = [process for index, process in enumerate(processes) if index != victim]
    for process in others:
        output, error = process.communicate(timeout=60)  # bounded: it never waits for the dead without end
        assert process.returncode == 1, error[-3000:]
        assert "has lost worker" in output
    processes[victim].communicate()
    assert (tmp_path / "broken" / "run" / "unfinished").is_dir()

    processes = start(mode, tmp_path / "broken", count)
    outputs = [process.communicate(timeout=900)[0] for process in processes]
    assert [output.split()[-1] for output in outputs] == ["done"] * count
    first = next(line for line in outputs[0].splitlines() if line.startswith("step "))
    assert int(first.split()[1]) > 18  # it did not begin anew
    want, got = final(tmp_path / "whole"), final(tmp_path / "broken")
    assert want.keys() == got.keys()
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    if mode == "finetune":  # the figures of all workers' rows, of the epoch that was cut, too
        told = [json.loads((tmp_path / place / "run/history.json").read_text()) for place in ("whole", "broken")]
        for one, other in zip(*(each["epochs"] for each in told), strict=True):
            assert one == pytest.approx(other, rel=1e-6)


@pytest.mark.slow
def test_a_signal_that_one_worker_of_a_fine_tuning_gets_stops_both(root, tmp_path):
    kbz.save(tiny.bundle(config=tiny.CONFIG.replace(num_hidden_layers=1)), tmp_path / "bert")
    processes = start("finetune", tmp_path, 2)
    until_step(processes[1], 9)
    processes[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=300) for process in processes]
    (step,) = {output.split()[-1] for output, _ in outputs}
    assert [output.splitlines()[-1] for output, _ in outputs] == [f"stopped {step}"] * 2, outputs
    assert (tmp_path / f"run/unfinished/step-{int(step):09}.safetensors").exists()
