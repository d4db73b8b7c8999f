"""Which processes train together: read from TF_CONFIG, from Slurm's variables or from Kubernetes' ones.

Nothing here needs TensorFlow, and nothing is sent: `training/meeting.py` is where the workers find one another.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.hosts import expand_hosts, expand_tasks

SOURCES = ("auto", "tf_config", "slurm", "kubernetes")
PORT = 2222  # of the first worker of a host, where nothing names another; as TensorFlow's own examples
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_ORDINAL = re.compile(r"(.+)-(\d+)")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The addresses, "host:port", of all workers, the chief's first, and the number of this one.

    `source` says where it was read.  `local` is (number, count) of this process among those that share its host's GPUs,
    where the scheduler leaves it to them to share.
    Raises: ConfigError where addresses are not "host:port" or are not all different, or the number is none of them.
    """

    addresses: tuple[str, ...]
    index: int
    source: str = "the call"
    local: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "addresses", tuple(self.addresses))
        if not self.addresses:
            raise ConfigError(f"{self.source}: there are no workers. Name the address of each, as host:port.")
        for address in self.addresses:
            _check_address(address, self.source)
        if twice := [address for address, count in Counter(self.addresses).items() if count > 1]:
            raise ConfigError(
                f"{self.source}: {twice[0]} is the address of several workers. Give each one its own host or port."
            )
        if isinstance(self.index, bool) or not isinstance(self.index, int):
            raise ConfigError(f"{self.source}: this worker's number is {self.index!r}, it must be a whole number.")
        if not 0 <= self.index < len(self.addresses):
            raise ConfigError(
                f"{self.source}: this worker's number is {self.index}, but there are {len(self.addresses)} workers,"
                f" numbered from 0 to {len(self.addresses) - 1}."
            )

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes what the run leaves."""
        return self.index == 0

    @property
    def host_and_port(self) -> tuple[str, int]:
        """This worker's own address."""
        return split_address(self.addresses[self.index])

    def name(self, index: int) -> str:
        """Return what messages call a worker: its number and address."""
        return worker_name(index, self.addresses)


def worker_name(index: int, addresses: Sequence[str]) -> str:
    """Return what messages call a worker: its number and address."""
    return f"worker {index}{', the chief' if index == 0 else ''} ({addresses[index]})"


def in_one_row(jobs: Mapping[str, Sequence[str]], kind: str | None, index: int) -> tuple[tuple[str, ...], int]:
    """Return the addresses of the jobs "chief" and "worker", the chief's first, and a task's number among them."""
    chiefs = jobs.get("chief", ())
    return (*chiefs, *jobs.get("worker", ())), index + (len(chiefs) if kind == "worker" else 0)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port; an IPv6 host loses its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def find_cluster(environ: Mapping[str, str], source: str = "auto") -> Cluster:
    """Read a cluster from environment variables; "auto" takes the first of `SOURCES` whose variables are there.

    Raises: ConfigError where there are none, or they make no cluster.
    """
    if source not in SOURCES:
        raise ConfigError(f"cluster is {source!r}, it must be one of {', '.join(SOURCES)}.")
    if source == "auto":
        found = [name for name, (told_by, _) in _READERS.items() if environ.get(told_by)]
        if not found:
            raise ConfigError(
                "multi_worker: nothing tells which workers there are. Set TF_CONFIG, start with srun under Slurm, or"
                " set KBZ_WORKERS and KBZ_SERVICE under Kubernetes; see docs/distributed.md."
            )
        source = found[0]
    return _READERS[source][1](environ)


# ---- TF_CONFIG


def from_tf_config(environ: Mapping[str, str]) -> Cluster:
    """Read TF_CONFIG: {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.

    A job "chief" of one task comes before the workers.  Raises: ConfigError naming what is wrong.
    """
    text = environ.get("TF_CONFIG", "")
    try:
        told = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"TF_CONFIG is no JSON ({error}): {text!r:.80}.") from None
    if not isinstance(told, dict):
        raise ConfigError(f"TF_CONFIG is {text!r:.80}, it must be an object with 'cluster' and 'task'.")
    jobs, task = told.get("cluster"), told.get("task")
    if not isinstance(jobs, dict) or not jobs:
        raise ConfigError(f"TF_CONFIG: 'cluster' is {jobs!r:.80}, it must map 'worker' to a list of host:port.")
    if not isinstance(task, dict):
        raise ConfigError(f"TF_CONFIG: 'task' is {task!r:.80}, it must tell this worker's 'type' and 'index'.")
    if others := sorted(set(jobs) - {"chief", "worker"}):
        raise ConfigError(
            f"TF_CONFIG: 'cluster' has the job {others[0]!r}; there may be 'worker' and 'chief'. Parameter servers and"
            " evaluators have no place here: the workers evaluate together."
        )
    for job, addresses in jobs.items():
        if not isinstance(addresses, list) or not all(isinstance(each, str) for each in addresses):
            raise ConfigError(f"TF_CONFIG: '{job}' is {addresses!r:.80}, it must be a list of host:port.")
    if (chiefs := len(jobs.get("chief", []))) > 1:
        raise ConfigError(f"TF_CONFIG: there are {chiefs} chiefs, there may be one.")
    kind, index = task.get("type"), task.get("index")
    if kind not in jobs:
        raise ConfigError(f"TF_CONFIG: this task's type is {kind!r}, the cluster has {', '.join(map(repr, jobs))}.")
    if isinstance(index, bool) or not isinstance(index, int):
        raise ConfigError(f"TF_CONFIG: this task's index is {index!r}, it must be a whole number.")
    if not 0 <= index < len(jobs[kind]):
        raise ConfigError(
            f"TF_CONFIG: this task is {kind!r} number {index}, but there are {len(jobs[kind])}, numbered from 0."
        )
    return Cluster(*in_one_row(jobs, kind, index), "TF_CONFIG")


# ---- Slurm


def from_slurm(environ: Mapping[str, str]) -> Cluster:
    """Read what srun tells every task of a step; the ports of a host begin at KBZ_PORT, unless given 2222.

    The workers have the numbers of Slurm's tasks, which fill one host after the other (--distribution=block).
    Raises: ConfigError naming the variable that is wrong.
    """
    if not environ.get("SLURM_STEP_NODELIST"):
        raise ConfigError(
            "Slurm: SLURM_STEP_NODELIST is not set, so this process is no task of a step. Start it with srun."
        )
    hosts = expand_hosts(environ["SLURM_STEP_NODELIST"])
    tasks = expand_tasks(_there(environ, "SLURM_STEP_TASKS_PER_NODE", "Slurm"))
    if len(hosts) != len(tasks):
        raise ConfigError(
            f"Slurm: SLURM_STEP_NODELIST names {len(hosts)} hosts, SLURM_STEP_TASKS_PER_NODE tells the tasks of"
            f" {len(tasks)}."
        )
    first = _whole(environ, "KBZ_PORT", "Slurm", PORT)
    places = [(host, number) for host, count in enumerate(tasks) for number in range(count)]
    index = _whole(environ, "SLURM_PROCID", "Slurm")
    cluster = Cluster(tuple(f"{hosts[host]}:{first + number}" for host, number in places), index, "Slurm")
    host, number = places[index]
    for name, ours in (("SLURM_NODEID", host), ("SLURM_LOCALID", number)):
        if _whole(environ, name, "Slurm", ours) != ours:
            raise ConfigError(
                f"Slurm: task {index} has {name} {environ[name]}, {ours} was expected: tasks must fill one host after"
                " the other. Start them with srun --distribution=block."
            )
    bound = any(environ.get(name) for name in ("SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK", "SLURM_GPU_BIND"))
    return cluster if bound else dataclasses.replace(cluster, local=(number, tasks[host]))


# ---- Kubernetes


def from_kubernetes(environ: Mapping[str, str]) -> Cluster:
    """Read what an indexed Job or a StatefulSet tells its pods; addresses are names of a headless service.

    KBZ_WORKERS is how many pods there are and KBZ_SERVICE the service; the pod's own name, in HOSTNAME, ends with its
    number.  KBZ_PORT is the port, unless given 2222.  An indexed Job's JOB_COMPLETION_INDEX must be that number.
    Raises: ConfigError naming the variable that is wrong.
    """
    count = _whole(environ, "KBZ_WORKERS", "Kubernetes")
    service = _there(environ, "KBZ_SERVICE", "Kubernetes")
    name = _there(environ, "HOSTNAME", "Kubernetes")
    port = _whole(environ, "KBZ_PORT", "Kubernetes", PORT)
    found = _ORDINAL.fullmatch(name.partition(".")[0])
    if found is None:
        raise ConfigError(
            f"Kubernetes: HOSTNAME is {name!r}, it must end with the pod's number, such as bert-0. Run the workers as"
            " an indexed Job (completionMode: Indexed, with the pods' subdomain) or as a StatefulSet."
        )
    base, index = found[1], int(found[2])
    told = _whole(environ, "JOB_COMPLETION_INDEX", "Kubernetes", index)
    if told != index:
        raise ConfigError(f"Kubernetes: JOB_COMPLETION_INDEX is {told}, but HOSTNAME is {name!r}.")
    return Cluster(tuple(f"{base}-{i}.{service}:{port}" for i in range(count)), index, "Kubernetes")


_READERS = {
    "tf_config": ("TF_CONFIG", from_tf_config),
    "slurm": ("SLURM_PROCID", from_slurm),
    "kubernetes": ("KBZ_WORKERS", from_kubernetes),
}


def _there(environ: Mapping[str, str], name: str, source: str) -> str:
    if not environ.get(name):
        raise ConfigError(f"{source}: {name} is not set; see docs/distributed.md.")
    return environ[name]


def _whole(environ: Mapping[str, str], name: str, source: str, default: int | None = None) -> int:
    if default is not None and not environ.get(name):
        return default
    text = _there(environ, name, source)
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{source}: {name} is {text!r}, it must be a whole number.")
    return int(text)


def _check_address(address: Any, source: str) -> None:
    host, colon, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not colon or not _HOST.fullmatch(host) or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise ConfigError(f"{source}: {address!r} is no address of a worker: want host:port, the port from 1 to 65535.")
