"""Clusters as TF_CONFIG, Slurm and Kubernetes tell them.

Independent sources: TensorFlow's own resolver reads the same TF_CONFIG, and its own expansion the same lists of Slurm.
"""

import json

import pytest

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.cluster import Cluster, find_cluster, split_address
from keras_bert_zoo.training.hosts import expand_hosts, expand_tasks

WORKERS = ["a.lan:2001", "10.0.0.2:2002", "[fe80::1]:2003"]


def tf_config(cluster, task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@pytest.mark.parametrize("number", range(3))
def test_tf_config_is_read_as_tensorflow_reads_it(number, monkeypatch):
    from tensorflow.python.distribute import multi_worker_util
    from tensorflow.python.distribute.cluster_resolver import TFConfigClusterResolver

    for cluster, task in (
        ({"worker": WORKERS}, {"type": "worker", "index": number}),
        (
            {"chief": WORKERS[:1], "worker": WORKERS[1:]},
            {"type": "worker" if number else "chief", "index": max(number - 1, 0)},
        ),
    ):
        environ = tf_config(cluster, task)
        monkeypatch.setenv("TF_CONFIG", environ["TF_CONFIG"])
        theirs = TFConfigClusterResolver()
        place = (theirs.cluster_spec(), theirs.task_type, theirs.task_id)
        ours = find_cluster(environ)
        assert ours.index == multi_worker_util.id_in_cluster(*place) == number
        assert ours.is_chief == multi_worker_util.is_chief(*place)
        assert len(ours.addresses) == multi_worker_util.worker_count(place[0], place[1])
        assert ours.addresses[number] == theirs.cluster_spec().task_address(theirs.task_type, theirs.task_id)
        assert ours.source == "TF_CONFIG"


def test_names_and_addresses():
    cluster = Cluster(WORKERS, 2)
    assert cluster.name(0) == "worker 0, the chief (a.lan:2001)"
    assert cluster.name(1) == "worker 1 (10.0.0.2:2002)"
    assert cluster.host_and_port == ("fe80::1", 2003)
    assert split_address("10.0.0.2:2002") == ("10.0.0.2", 2002)


TASK = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"TF_CONFIG is no JSON \(.*\): '\{'"),
        ("[]", r"TF_CONFIG is '\[\]', it must be an object with 'cluster' and 'task'"),
        ({"task": TASK}, "'cluster' is None, it must map 'worker' to a list of host:port"),
        ({"cluster": {"worker": WORKERS}}, "'task' is None, it must tell this worker's 'type' and 'index'"),
        ({"cluster": {"worker": WORKERS, "ps": WORKERS}, "task": TASK}, "has the job 'ps'; there may be 'worker'"),
        ({"cluster": {"worker": "a:1"}, "task": TASK}, "'worker' is 'a:1', it must be a list of host:port"),
        ({"cluster": {"worker": ["a:1", 2]}, "task": TASK}, "it must be a list of host:port"),
        ({"cluster": {"chief": ["a:1", "b:1"], "worker": ["c:1"]}, "task": TASK}, "there are 2 chiefs, there may be"),
        ({"cluster": {"worker": WORKERS}, "task": {"type": "evaluator", "index": 0}}, "type is 'evaluator'"),
        (
            {"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": "1"}},
            "index is '1', it must be a",
        ),
        ({"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": True}}, "index is True"),
        ({"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": 3}}, "number 3, but there are 3, n"),
        ({"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": -1}}, "number -1, but there are 3"),
        ({"cluster": {"worker": [*WORKERS, WORKERS[0]]}, "task": TASK}, "a.lan:2001 is the address of several workers"),
        ({"cluster": {"worker": ["a.lan"]}, "task": TASK}, "'a.lan' is no address of a worker: want host:port"),
        ({"cluster": {"worker": ["a:0"]}, "task": TASK}, "'a:0' is no address"),
        ({"cluster": {"worker": ["a:65536"]}, "task": TASK}, "'a:65536' is no address"),
        ({"cluster": {"worker": ["grpc://a:2"]}, "task": TASK}, "'grpc://a:2' is no address"),
    ],
)
def test_a_tf_config_that_makes_no_cluster(text, message):
    text = text if isinstance(text, str) else json.dumps(text)
    with pytest.raises(ConfigError, match=message):
        find_cluster({"TF_CONFIG": text})


def test_a_cluster_that_is_none():
    with pytest.raises(ConfigError, match="the call: there are no workers"):
        Cluster([], 0)
    with pytest.raises(ConfigError, match="number is 3, but there are 3 workers, numbered from 0 to 2"):
        Cluster(WORKERS, 3)
    with pytest.raises(ConfigError, match="number is '1', it must be a whole number"):
        Cluster(WORKERS, "1")
    with pytest.raises(ConfigError, match="nothing tells which workers there are"):
        find_cluster({"HOME": "/"})
    with pytest.raises(ConfigError, match="cluster is 'mesos', it must be one of auto, tf_config, slurm, kubernetes"):
        find_cluster({}, "mesos")


# ---- Slurm

STEP = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NODELIST": "n[9-10],gpu7",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
}


def test_slurm_s_tasks_are_workers_in_slurm_s_order():
    cluster = find_cluster(STEP)
    # TensorFlow's SlurmClusterResolver sorts the hosts by name, so that n10 would come before n9.
    assert cluster == Cluster(["n9:2222", "n9:2223", "n10:2222", "n10:2223", "gpu7:2222"], 3, "Slurm", (1, 2))
    assert find_cluster({**STEP, "KBZ_PORT": "7000"}).addresses[3] == "n10:7001"
    assert find_cluster({**STEP, "SLURM_GPUS_PER_TASK": "1"}).local == (0, 1)  # Slurm gave each its own
    one = {**STEP, "SLURM_STEP_NODELIST": "n4", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_PROCID": "0"}
    assert find_cluster({**one, "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}) == Cluster(["n4:2222"], 0, "Slurm")


def test_tf_config_goes_before_slurm_unless_slurm_is_named():
    both = {**STEP, **tf_config({"worker": WORKERS}, TASK)}
    assert find_cluster(both).source == "TF_CONFIG"
    assert find_cluster(both, "slurm").source == "Slurm"


LISTS = ["n1", "n[1-3]", "n[001-011,3],login", "a,b,c[7,9-12]", "rack1n[08-10]"]


@pytest.mark.parametrize("text", LISTS)
def test_lists_of_hosts_are_expanded_as_tensorflow_expands_them(text):
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist

    assert expand_hosts(text) == expand_hostlist(text)


@pytest.mark.parametrize("text", ["3", "3(x2),2,1", "1(x10)"])
def test_tasks_a_host_are_expanded_as_tensorflow_expands_them(text):
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_tasks_per_node

    assert expand_tasks(text) == expand_tasks_per_node(text)


def test_lists_that_tensorflow_does_not_know():
    assert expand_hosts("r[1-2]n[09-10]-ib") == ["r1n09-ib", "r1n10-ib", "r2n09-ib", "r2n10-ib"]


@pytest.mark.parametrize("text", ["n[1-", "n[3-1]", "n[a]", "n[1-3]]", ",a", "a,", "a,,b", "n[]", "n[0-99999999]"])
def test_lists_that_are_none(text):
    with pytest.raises(ConfigError, match=r"SLURM_STEP_NODELIST is .* it must be a list such as n"):
        expand_hosts(text)
    with pytest.raises(ConfigError, match=r"SLURM_STEP_TASKS_PER_NODE is .* it must be a list such as 4"):
        expand_tasks(f"{text}x")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SLURM_STEP_NODELIST": ""}, "SLURM_STEP_NODELIST is not set, .* Start it with srun"),
        ({"SLURM_STEP_TASKS_PER_NODE": ""}, "SLURM_STEP_TASKS_PER_NODE is not set"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2"}, "names 3 hosts, SLURM_STEP_TASKS_PER_NODE tells the tasks of 1"),
        ({"SLURM_PROCID": "5"}, "Slurm: this worker's number is 5, but there are 5 workers"),
        ({"SLURM_PROCID": "-1"}, "SLURM_PROCID is '-1', it must be a whole number"),
        ({"SLURM_NODEID": "0"}, "task 3 has SLURM_NODEID 0, 1 was expected: .*--distribution=block"),
        ({"SLURM_LOCALID": "0"}, "task 3 has SLURM_LOCALID 0, 1 was expected"),
        ({"KBZ_PORT": "http"}, "KBZ_PORT is 'http', it must be a whole number"),
        ({"KBZ_PORT": "65535"}, "'n9:65536' is no address"),
    ],
)
def test_a_step_that_makes_no_cluster(changed, message):
    with pytest.raises(ConfigError, match=message):
        find_cluster({**STEP, **changed})


# ---- Kubernetes

POD = {"KBZ_WORKERS": "3", "KBZ_SERVICE": "bert", "HOSTNAME": "train-bert-1"}


def test_pods_know_their_number_from_their_name():
    addresses = ["train-bert-0.bert:2222", "train-bert-1.bert:2222", "train-bert-2.bert:2222"]
    assert find_cluster(POD) == Cluster(addresses, 1, "Kubernetes")
    assert find_cluster({**POD, "JOB_COMPLETION_INDEX": "1", "KBZ_PORT": "80"}).addresses[2] == "train-bert-2.bert:80"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"KBZ_SERVICE": ""}, "Kubernetes: KBZ_SERVICE is not set"),
        ({"HOSTNAME": "train-bert-x7k2p"}, "HOSTNAME is 'train-bert-x7k2p', it must end with the pod's number"),
        ({"HOSTNAME": "train-3"}, "this worker's number is 3, but there are 3 workers"),
        ({"JOB_COMPLETION_INDEX": "2"}, "JOB_COMPLETION_INDEX is 2, but HOSTNAME is 'train-bert-1'"),
        ({"KBZ_WORKERS": "many"}, "KBZ_WORKERS is 'many', it must be a whole number"),
        ({"KBZ_WORKERS": "0"}, "there are no workers"),
    ],
)
def test_pods_that_make_no_cluster(changed, message):
    with pytest.raises(ConfigError, match=message):
        find_cluster({**POD, **changed})
