"""What the processes of a cluster tell one another while they train, through TensorFlow's own collectives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_zoo.errors import ClusterError, ZooError
from keras_bert_zoo.stopping import cluster_is_broken
from keras_bert_zoo.training.agreement import check_alike
from keras_bert_zoo.training.cluster import in_one_row, worker_name
from keras_bert_zoo.training.meeting import is_listening
from keras_bert_zoo.training.resume import Progress, training_state
from keras_bert_zoo.training.shares import Share

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_SIGNS = ("ollective", "remote target", "oordination service")  # of errors between workers


class Workers:
    """The processes that a strategy trains on; outside a cluster there is one.

    `index` is this one's number, 0 the chief's; `addresses` are all of them, the chief's first.
    """

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy
        self.addresses: tuple[str, ...] = ()
        self.index = 0
        resolver = strategy.cluster_resolver
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and resolver is not None:
            jobs = resolver.cluster_spec().as_dict()  # none at all outside a cluster
            self.addresses, self.index = in_one_row(jobs, resolver.task_type, resolver.task_id or 0)
        self._all = _collective(strategy, _everybodys)
        self._firsts = _collective(strategy, _the_first_one)

    @property
    def count(self) -> int:
        """How many processes there are."""
        return max(len(self.addresses), 1)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.index == 0

    def name(self, index: int) -> str:
        """Return what messages call a worker."""
        return worker_name(index, self.addresses)

    def share(self, by: str) -> Share:
        """Return what this process reads of pretraining shards; `by` is one of `training.shares.SHARINGS`."""
        return Share(self.index, self.count, self.strategy.num_replicas_in_sync // self.count, by)

    def first(self, work: Callable[[], Any] | None) -> Any:
        """Have the chief do something, if anything; the others wait, and fail where it does.

        Returns what the chief's `work` does, None elsewhere.

        Raises: what `work` does at the chief, there; elsewhere ClusterError with the same words.
        """
        if self.count == 1:
            return work() if work else None
        failed: ZooError | None = None
        value = None
        if self.is_chief and work:
            try:
                value = work()
            except ZooError as error:
                failed = error
        words = self.chiefs(None if failed is None else str(failed))
        if failed is not None:
            raise failed
        if words is not None:
            raise ClusterError(f"{self.name(0)} ended: {words}")
        return value

    def agree(self, told: Mapping[str, Any]) -> None:
        """Check that all workers told the same; `told` is JSON.  Raises: ClusterError naming what differs."""
        if self.count > 1:
            check_alike(self.gather(told), self.name)

    def gather(self, value: Any) -> list[Any]:
        """Return what every worker handed in, in their order; JSON."""
        if self.count == 1:
            return [value]
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.int64)
        with lost_workers(self):
            sizes = self._all(tf.constant([len(text)], tf.int64)).numpy()
            texts = self._all(tf.constant(text)).numpy().astype(np.uint8)
        # A worker with several GPUs hands in one copy for each.
        copies = len(sizes) // self.count
        return [json.loads(part.tobytes()) for part in np.split(texts, np.cumsum(sizes)[:-1])[::copies]]

    def most(self, number: int) -> int:
        """Return the highest number that any worker handed in; this one is quick."""
        if self.count == 1:
            return number
        with lost_workers(self):
            return int(tf.reduce_max(self._all(tf.constant([number], tf.int64))))

    def chiefs(self, value: Any) -> Any:
        """Return what the chief handed in; JSON."""
        return self.gather(value if self.is_chief else None)[0]

    def chiefs_array(self, array: np.ndarray) -> np.ndarray:
        """Return the chief's array, bit by bit; the others hand in one of that shape and kind."""
        if self.count == 1:
            return array
        # As whole numbers, to which the others add zeros: the sum is exact.  Of 8 bytes, for TensorFlow keeps those of
        # 4 in the host's memory, where NCCL cannot reach them.
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        bits = np.pad(data, (0, -len(data) % 8)).view(np.int64)
        with lost_workers(self):
            summed = self._firsts(tf.constant(bits)).numpy()
        return summed.view(np.uint8)[: len(data)].view(array.dtype).reshape(array.shape)

    def wait(self) -> None:
        """Return when all workers have come here."""
        self.gather(None)


def workers_of(model: keras.Model) -> Workers:
    """Return the processes that a model is trained on."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    return Workers(model.distribute_strategy if on_tensorflow else tf.distribute.get_strategy())


def share_state(model: keras.Model, workers: Workers, found: Progress | None) -> Progress | None:
    """Give all workers the chief's state of a compiled model, and where its training stands; None where it begins.

    Arrays that are kept beside the state stay the chief's.
    """
    if workers.count == 1:
        return found
    told = workers.chiefs(None if found is None else {"step": found.step, "kept": found.kept})
    if told is None:
        return None
    for variable in training_state(model).values():
        value = workers.chiefs_array(np.array(keras.ops.convert_to_numpy(variable), order="C"))
        if not workers.is_chief:
            variable.assign(value)
    return Progress(**told, arrays=found.arrays if found else {})


def weights_digest(model: keras.Model) -> str:
    """Return a digest of a model's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(weight.path.encode())
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def _everybodys(context: Any, value: tf.Tensor) -> tf.Tensor:
    return context.all_gather(value, axis=0)


def _the_first_one(context: Any, value: tf.Tensor) -> tf.Tensor:
    """Return the first replica's value, which is the chief's."""
    mine = context.replica_id_in_sync_group == 0
    return context.all_reduce("sum", tf.where(mine, value, tf.zeros_like(value)))


def _collective(strategy: Any, step: Callable[[Any, tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function of int64 [n] that all replicas call together."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int64)])
    def run(value: tf.Tensor) -> Any:
        # A copy, for it has a device, which TensorFlow wants of what is sent.
        return strategy.run(lambda: step(tf.distribute.get_replica_context(), tf.identity(value)))

    return lambda value: strategy.experimental_local_results(run(value))[0]


@contextmanager
def lost_workers(workers: Workers | None) -> Iterator[None]:
    """Turn TensorFlow's errors about workers that are gone into one that names them.

    Raises: ClusterError.
    """
    try:
        yield
    except _LOST as error:
        if workers is None or workers.count == 1 or not any(sign in str(error) for sign in _SIGNS):
            raise
        cluster_is_broken()
        others = [i for i in range(workers.count) if i != workers.index]
        gone = [i for i in others if not is_listening(workers.addresses[i])] or (others if len(others) == 1 else [])
        who = ", ".join(map(workers.name, gone)) or "another worker"
        raise ClusterError(
            f"{workers.name(workers.index)} has lost {who}: it ended, or the network did. The cluster cannot go on"
            " without it: start all workers again, and a run that keeps checkpoints goes on from the last one."
        ) from None
