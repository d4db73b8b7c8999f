"""Where a model is trained: `tf.distribute` strategies by name."""

from __future__ import annotations

import inspect
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from keras_bert_zoo.errors import ClusterError, ConfigError
from keras_bert_zoo.training.agreement import fingerprint
from keras_bert_zoo.training.cluster import Cluster, find_cluster, in_one_row
from keras_bert_zoo.training.meeting import TIMEOUT, check_reachable, meet


def strategy(name: str = "default", **options: Any) -> Any:
    """Return a `tf.distribute.Strategy` by its name.

    "default" is what TensorFlow takes by itself.  "one_device" is the first GPU, or else the CPU; `devices` names
    another, such as "GPU:1".  "mirrored" is every GPU of this host, or those that `devices` names, a list; where there
    is no GPU, the CPU, with a warning.  "multi_worker" is the same on several processes: `cluster` is "auto",
    "tf_config", "slurm", "kubernetes", a `training.cluster.Cluster` or one of TensorFlow's cluster resolvers, and
    `timeout` how many seconds the workers wait for one another.  "tpu" is a TPU: `tpu` is "local" for one of this
    machine (unless given), else its name or address, with `zone` and `project` where Google Cloud must be asked, and
    `timeout` as above.

    Build and compile the model inside `strategy(...).scope()`.
    Raises: ConfigError on another name, an option it does not take, or devices that are not there; ClusterError where
    workers do not find one another, or are not alike.
    """
    if name not in STRATEGIES:
        raise ConfigError(f"strategy is {name!r}, it must be one of {', '.join(STRATEGIES)}.")
    options = {option: value for option, value in options.items() if value is not None}
    make = _MAKERS[name]
    known = inspect.signature(make).parameters
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"The strategy {name!r} takes no {unknown[0]}; it takes {', '.join(sorted(known)) or 'nothing'}."
        )
    return make(**options)


def _default() -> Any:
    import tensorflow as tf

    return tf.distribute.get_strategy()


def _one_device(devices: str | Sequence[str] | None = None) -> Any:
    import tensorflow as tf

    wanted = [devices] if isinstance(devices, str) else list(devices or ())
    if len(wanted) > 1:
        raise ConfigError(f"one_device takes one device, not {', '.join(wanted)}.")
    gpus = tf.config.list_logical_devices("GPU")
    (device,) = _there("one_device", wanted or ["GPU:0" if gpus else "CPU:0"])
    return tf.distribute.OneDeviceStrategy(device)


def _mirrored(devices: str | Sequence[str] | None = None) -> Any:
    import tensorflow as tf

    wanted = [devices] if isinstance(devices, str) else list(devices or ())
    if wanted:
        return tf.distribute.MirroredStrategy(_there("mirrored", wanted))
    if not tf.config.list_logical_devices("GPU"):
        warnings.warn(
            "mirrored: TensorFlow sees no GPU on this machine and computes on its CPU. Should there be one, look at"
            " nvidia-smi and CUDA_VISIBLE_DEVICES.",
            UserWarning,
            stacklevel=3,
        )
    return tf.distribute.MirroredStrategy()


def _there(name: str, wanted: Sequence[str]) -> list[str]:
    """Return the names of devices as TensorFlow writes them.  Raises: ConfigError where one is not there."""
    import tensorflow as tf

    known = {device.name.removeprefix("/device:"): device.name for device in tf.config.list_logical_devices()}
    found = [device.upper().removeprefix("/").removeprefix("DEVICE:") for device in wanted]
    if missing := [device for device in found if device not in known]:
        raise ConfigError(f"{name}: there is no device {missing[0]}; TensorFlow sees {', '.join(known)}.")
    if len(set(found)) < len(found):
        raise ConfigError(f"{name}: a device is named twice: {', '.join(found)}.")
    return [known[device] for device in found]


# ---- several processes


def _multi_worker(cluster: Any = "auto", timeout: float = TIMEOUT) -> Any:
    if not timeout > 0:
        raise ConfigError(f"timeout is {timeout!r}, it must be above 0 seconds.")
    if isinstance(cluster, str):
        cluster = find_cluster(os.environ, cluster)  # what is wrong with it can be told before the import, in no time
    import tensorflow as tf

    if not isinstance(cluster, Cluster):
        cluster = _resolved(cluster, timeout)
    gpus = _share_of_gpus(cluster)
    meet(cluster, {**fingerprint(), "devices": f"GPU x {gpus}" if gpus else "CPU"}, timeout)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": gpus},
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except RuntimeError as error:  # the devices are in use already
        raise ConfigError(
            "multi_worker: TensorFlow has begun to work already, and cannot join a cluster any more. Call"
            f" kbz.strategy('multi_worker') first of all. ({str(error).splitlines()[0]})"
        ) from None
    except tf.errors.OpError as error:
        raise ClusterError(
            f"{cluster.name(cluster.index)} cannot join the cluster: {error.message.splitlines()[0]}"
        ) from None


def _resolved(resolver: Any, timeout: float) -> Cluster:
    """Return the cluster that one of TensorFlow's resolvers knows."""
    jobs = _jobs(resolver, timeout)
    if not jobs or set(jobs) - {"chief", "worker"} or resolver.task_type not in jobs or resolver.task_id is None:
        raise ConfigError(
            f"multi_worker: the {type(resolver).__name__} knows the jobs {', '.join(sorted(jobs)) or 'none'} and the"
            f" task {resolver.task_type} {resolver.task_id}; want jobs 'worker' and 'chief', and which task this is:"
            " set its task_type and task_id where it cannot find them out."
        )
    return Cluster(*in_one_row(jobs, resolver.task_type, resolver.task_id), type(resolver).__name__)


def _jobs(resolver: Any, timeout: float) -> dict[str, list[str]]:
    """Return the addresses of each job.  Raises: ClusterError where a pod of Kubernetes is not running in time."""
    end = time.monotonic() + timeout
    while True:
        try:
            return resolver.cluster_spec().as_dict()
        except RuntimeError as error:  # of a pod that is still starting: KubernetesClusterResolver
            if time.monotonic() >= end:
                raise ClusterError(
                    f"multi_worker: the {type(resolver).__name__} found no whole cluster within {timeout:g} seconds:"
                    f" {error}. Look at that worker, or wait for longer (--worker-timeout)."
                ) from None
        time.sleep(min(_PAUSE, max(end - time.monotonic(), 0)))


_PAUSE = 1.0  # seconds between two questions to Kubernetes


def _share_of_gpus(cluster: Cluster) -> int:
    """Take this process's share of the host's GPUs, where the scheduler leaves that to us, and return how many."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    number, count = cluster.local
    if count > 1 and gpus:
        if len(gpus) % count:
            raise ConfigError(
                f"multi_worker: {count} workers of a host cannot share {len(gpus)} GPUs evenly. Start as many as there"
                " are GPUs, or give each its own (srun --gpus-per-task)."
            )
        each = len(gpus) // count
        gpus = gpus[number * each : (number + 1) * each]
        tf.config.set_visible_devices(gpus, "GPU")
    return len(gpus)


# ---- TPUs


def _tpu(tpu: str = "local", zone: str | None = None, project: str | None = None, timeout: float = TIMEOUT) -> Any:
    import tensorflow as tf

    where = "of this machine" if tpu == "local" else repr(tpu)
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu, zone=zone, project=project)
        if tpu != "local":
            # TensorFlow itself would wait without end.
            check_reachable(resolver.master().removeprefix("grpc://"), f"The TPU {where}", timeout)
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError, ImportError, OSError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"tpu: the TPU {where} cannot be used: {why:.300}. Is it there and free, and is this TensorFlow built for"
            " TPUs (the package tensorflow-tpu)? Name another one with tpu=."
        ) from None


_MAKERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "one_device": _one_device,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}
STRATEGIES = tuple(_MAKERS)
