"""Strategies by name, and devices that are not there."""

import socket
from types import SimpleNamespace

import pytest
import tensorflow as tf

import keras_bert_zoo as kbz
import keras_bert_zoo.training.strategy as module
from keras_bert_zoo.errors import ClusterError, ConfigError
from keras_bert_zoo.training.cluster import Cluster


def test_names():
    assert kbz.strategy().num_replicas_in_sync == 1
    with pytest.raises(ConfigError, match="strategy is 'cloud', it must be one of default, one_device, mirrored, mult"):
        kbz.strategy("cloud")
    with pytest.raises(ConfigError, match="The strategy 'default' takes no devices; it takes nothing"):
        kbz.strategy("default", devices="GPU:0")
    with pytest.raises(ConfigError, match="The strategy 'tpu' takes no cluster; it takes project, timeout, tpu, zone"):
        kbz.strategy("tpu", cluster="auto")


def test_one_device():
    place = kbz.strategy("one_device")
    assert place.num_replicas_in_sync == 1
    with place.scope():
        variable = tf.Variable([1.0])
    assert variable.device.endswith("CPU:0")
    assert kbz.strategy("one_device", devices="/device:cpu:0").extended.worker_devices == place.extended.worker_devices
    with pytest.raises(ConfigError, match="one_device: there is no device GPU:3; TensorFlow sees CPU:0"):
        kbz.strategy("one_device", devices="GPU:3")
    with pytest.raises(ConfigError, match="one_device takes one device, not CPU:0, CPU:1"):
        kbz.strategy("one_device", devices=["CPU:0", "CPU:1"])


def test_mirrored_without_its_devices():
    assert not tf.config.list_physical_devices("GPU")
    with pytest.warns(UserWarning, match="mirrored: TensorFlow sees no GPU on this machine and computes on its CPU"):
        assert kbz.strategy("mirrored").num_replicas_in_sync == 1
    with pytest.raises(ConfigError, match="mirrored: there is no device CPU:1; TensorFlow sees CPU:0"):
        kbz.strategy("mirrored", devices=["CPU:0", "CPU:1"])
    with pytest.raises(ConfigError, match="mirrored: a device is named twice: CPU:0, CPU:0"):
        kbz.strategy("mirrored", devices=["CPU:0", "cpu:0"])
    assert kbz.strategy("mirrored", devices=["CPU:0"]).num_replicas_in_sync == 1


# ---- several processes; tests/training/test_workers.py has them


def test_what_makes_no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="nothing tells which workers there are"):
        kbz.strategy("multi_worker")
    with pytest.raises(ConfigError, match="cluster is 'mesos', it must be one of auto"):
        kbz.strategy("multi_worker", cluster="mesos")
    with pytest.raises(ConfigError, match="timeout is 0, it must be above 0 seconds"):
        kbz.strategy("multi_worker", timeout=0)
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(ConfigError, match="TF_CONFIG is no JSON"):
        kbz.strategy("multi_worker")


def test_tensorflow_s_own_resolvers_are_taken():
    resolvers = tf.distribute.cluster_resolver
    spec = tf.train.ClusterSpec({"chief": ["a:1"], "worker": ["b:2", "c:3"]})
    resolver = resolvers.SimpleClusterResolver(spec, task_type="worker", task_id=1)
    assert module._resolved(resolver, 5) == Cluster(["a:1", "b:2", "c:3"], 2, "SimpleClusterResolver")
    resolver = resolvers.SimpleClusterResolver(spec, task_type="chief", task_id=0)
    assert module._resolved(resolver, 5).index == 0
    for jobs, task in (({}, 0), ({"worker": ["a:1"], "ps": ["b:1"]}, 0), ({"worker": ["a:1"]}, None)):
        resolver = resolvers.SimpleClusterResolver(tf.train.ClusterSpec(jobs), task_type="worker", task_id=task)
        with pytest.raises(ConfigError, match=r"the SimpleClusterResolver knows the jobs .* want jobs 'worker' and"):
            kbz.strategy("multi_worker", cluster=resolver)


class Kubernetes:
    """Stands for the client of Kubernetes' API: its pods are these lists of (name, node's address, phase) in turn."""

    def __init__(self, *answers):
        self.answers, self.selectors = list(answers), []

    def list_pod_for_all_namespaces(self, label_selector):
        self.selectors.append(label_selector)
        pods = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return SimpleNamespace(
            items=[
                SimpleNamespace(
                    metadata=SimpleNamespace(name=name), status=SimpleNamespace(host_ip=address, phase=phase)
                )
                for name, address, phase in pods
            ]
        )


def test_the_resolver_that_asks_kubernetes_itself(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    pods = [("bert-1", "10.0.0.2", "Running"), ("bert-0", "10.0.0.1", "Running")]
    starting = [("bert-1", "10.0.0.2", "Pending"), *pods[1:]]

    def resolver(client, **place):
        labels = {"worker": ["app=bert"]}
        made = tf.distribute.cluster_resolver.KubernetesClusterResolver(labels, 2222, override_client=client)
        for name, value in place.items():
            setattr(made, name, value)
        return made

    client = Kubernetes(starting, starting, pods)  # pods that still start are waited for
    cluster = module._resolved(resolver(client, task_type="worker", task_id=1), timeout=30)
    assert cluster == Cluster(["10.0.0.1:2222", "10.0.0.2:2222"], 1, "KubernetesClusterResolver")
    assert client.selectors == ["app=bert"] * 3
    words = 'no whole cluster within 0.03 seconds: Pod "bert-1" is not running; phase: "Pending". Look at that worker'
    with pytest.raises(ClusterError, match=words):
        module._resolved(resolver(Kubernetes(starting), task_type="worker", task_id=1), timeout=0.03)
    with pytest.raises(ConfigError, match=r"the task None None; .*: set its task_type and task_id where it cannot"):
        kbz.strategy("multi_worker", cluster=resolver(Kubernetes(pods)))
    # It tells the nodes' addresses, so that a node has room for one pod.
    crowded = [(name, "10.0.0.1", phase) for name, _, phase in pods]
    with pytest.raises(
        ConfigError, match=r"KubernetesClusterResolver: 10.0.0.1:2222 is the address of several workers"
    ):
        kbz.strategy("multi_worker", cluster=resolver(Kubernetes(crowded), task_type="worker", task_id=1))


def test_workers_of_one_host_share_its_gpus(monkeypatch):
    taken = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"{kind}:{i}" for i in range(6)])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: taken.append((kind, devices)))
    addresses = ["a:1", "a:2", "a:3"]
    assert module._share_of_gpus(Cluster(addresses, 1)) == 6
    assert taken == []
    assert module._share_of_gpus(Cluster(addresses, 1, local=(1, 3))) == 2
    assert taken == [("GPU", ["GPU:2", "GPU:3"])]
    with pytest.raises(ConfigError, match="4 workers of a host cannot share 6 GPUs evenly"):
        module._share_of_gpus(Cluster(addresses, 1, local=(1, 4)))


def test_a_process_that_has_begun_to_work_cannot_join(monkeypatch):
    tf.constant(1)  # the devices are in use
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ConfigError, match=r"TensorFlow has begun to work already, .*kbz.strategy\('multi_worker'\) f"):
        kbz.strategy("multi_worker", cluster=Cluster([address], 0))


def test_a_cluster_that_tensorflow_refuses(monkeypatch):
    def refuses(cluster_resolver):
        raise tf.errors.UnknownError(None, None, "Could not start gRPC server\nat all")

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", refuses)
    monkeypatch.setattr(module, "meet", lambda *args: None)
    with pytest.raises(ClusterError, match=r"^worker 1 \(b:2\) cannot join the cluster: Could not start gRPC server$"):
        kbz.strategy("multi_worker", cluster=Cluster(["a:1", "b:2"], 1))


# ---- TPUs: TensorFlow's own resolver, and in place of what only a TPU has, fakes that note what was asked of them


@pytest.fixture
def asked(monkeypatch):
    notes = []
    note = lambda name: lambda resolver: notes.append((name, resolver.master())) or name  # noqa: E731
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", note("connect"))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", note("initialize"))
    monkeypatch.setattr(tf.distribute, "TPUStrategy", note("strategy"))
    return notes


def test_a_tpu_of_this_machine(asked):
    assert kbz.strategy("tpu") == "strategy"
    assert asked == [("initialize", ""), ("strategy", "")]  # nothing to connect to


def test_a_tpu_by_its_address(asked):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"grpc://127.0.0.1:{server.getsockname()[1]}"
        assert kbz.strategy("tpu", tpu=address) == "strategy"
    assert asked == [("connect", address), ("initialize", address), ("strategy", address)]
    with pytest.raises(ClusterError, match=r"The TPU 'grpc://.*' \(127.*\) cannot be reached within 3 seconds: Conn"):
        kbz.strategy("tpu", tpu=address, timeout=3)


def test_a_tpu_by_its_name_is_asked_for_in_its_zone(asked, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        class Resolver:
            def __init__(self, **options):
                self.options = options
                asked.append(options)

            def master(self):
                return f"grpc://127.0.0.1:{server.getsockname()[1]}"

        monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", Resolver)
        assert kbz.strategy("tpu", tpu="mine", zone="us-central1-a", project="bert") == "strategy"
    assert asked[0] == {"tpu": "mine", "zone": "us-central1-a", "project": "bert"}
    assert [name for name, _ in asked[1:]] == ["connect", "initialize", "strategy"]


def test_a_machine_without_a_tpu():
    with pytest.raises(ConfigError, match="tpu: the TPU of this machine cannot be used: TPUs not found in the cluster"):
        kbz.strategy("tpu")
