"""The sides of training.py, each in a process of its own: a classifier, compiled, and batches of ids."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np

_BEFORE = 0.0  # MB that the imports took


def made(name: str, setup: dict[str, Any]) -> Any:
    """Return the side of that name; memory is counted from here on."""
    global _BEFORE
    import tensorflow as tf

    kind = {"ceiling": Ceiling, "keras_hub": KerasHub, "model_garden": ModelGarden}.get(name, Ours)
    kind.imports()
    _BEFORE = 0.0 if tf.config.list_physical_devices("GPU") else _resident()
    return kind(name, setup)


def peak() -> float:
    """Return the most memory there was since, in MB: the GPU's, or this process's."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    return _resident() - _BEFORE


def device() -> str:
    """Return the GPU's name, or nothing."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "a GPU") if gpus else ""


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class Ceiling:
    """The best matrix product there is: square ones, and that of a batch with the inner layer's weights."""

    def __init__(self, name: str, setup: dict[str, Any]) -> None:
        import tensorflow as tf

        dtype = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}.get(setup["precision"], tf.float32)
        rows = setup["batch_size"] * setup["length"]
        config = setup["config"]
        sizes = [(rows, config["hidden_size"], config["intermediate_size"]), (2048,) * 3, (4096,) * 3]
        self.pairs = [(tf.ones((n, k), dtype), tf.ones((k, m), dtype)) for n, k, m in sizes]

    @staticmethod
    def imports() -> None:
        """Import nothing more."""

    def turn(self, workload: str) -> tuple[float, float]:
        """Return (seconds, FLOP) of the quickest product, each multiplied for a second or so."""
        import tensorflow as tf

        best = (1.0, 0.0)
        for left, right in self.pairs:
            once = 2 * left.shape[0] * left.shape[1] * right.shape[1]
            tf.matmul(left, right).numpy()
            count, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < 0.7:
                for _ in range(4):
                    product = tf.matmul(left, right)
                product[0, 0].numpy()  # waits for the GPU
                count += 4
            took = (time.perf_counter() - begin, once * count)
            best = max(best, took, key=lambda pair: pair[1] / pair[0])
        return best


class _Trained:
    """What all sides share: batches by workload, and a timed `fit`."""

    names = ("input_word_ids", "input_mask", "input_type_ids")

    def __init__(self, name: str, setup: dict[str, Any]) -> None:
        self.name, self.setup = name, setup
        self.rows: dict[str, Any] = {}
        self.model = self.classifier()

    def turn(self, workload: str) -> tuple[float, float]:
        """Return (seconds, examples) of one epoch."""
        if workload not in self.rows:
            self.rows[workload] = self.batches(self.lengths(workload), self.padding(workload))
        clock = self.clock()
        self.model.fit(self.rows[workload], epochs=1, callbacks=[clock], verbose=0, shuffle=False)
        return clock.end - clock.begin, self.setup["steps"] * self.setup["batch_size"]

    def lengths(self, workload: str) -> np.ndarray:
        """Return the tokens of each row in the batches' order."""
        real = np.array(self.setup["lengths"])
        if workload == "full":
            return np.full_like(real, self.setup["length"])
        return np.sort(real) if self.padding(workload) == "longest" else real

    def padding(self, workload: str) -> str:
        """Return whether a batch is padded to its longest row, or to the limit."""
        return "longest" if workload == "like" else "limit"

    def batches(self, lengths: np.ndarray, padding: str) -> Any:
        """Return a `tf.data.Dataset` of batches that lie in memory."""
        import tensorflow as tf

        size, random = self.setup["batch_size"], np.random.default_rng(1)
        made = []
        for begin in range(0, len(lengths), size):
            own = lengths[begin : begin + size]
            width = own.max() if padding == "longest" else self.setup["length"]
            mask = (np.arange(width) < own[:, None]).astype("int32")
            ids = random.integers(1000, self.setup["config"]["vocab_size"], mask.shape).astype("int32") * mask
            x = dict(zip(self.names, (ids, mask, np.zeros_like(mask)), strict=True))
            made.append((x, random.integers(0, 2, len(own)).astype("int32")))
        spec = ({name: tf.TensorSpec([size, None], tf.int32) for name in self.names}, tf.TensorSpec([size], tf.int32))
        rows = tf.data.Dataset.from_generator(lambda: iter(made), output_signature=spec)
        return rows.apply(tf.data.experimental.assert_cardinality(len(made))).cache().prefetch(2)

    def clock(self) -> Any:
        import keras

        return _clock(keras.callbacks.Callback)


class Ours(_Trained):
    """keras-bert-zoo, packed as `kbz train` has it; padded, rematerialised or with XLA where the name says so."""

    @staticmethod
    def imports() -> None:
        """Import Keras and what a task model needs."""
        import keras_bert_zoo as kbz

        kbz.adamw, kbz.build_encoder, kbz.heads.Classification, kbz.rematerialize  # noqa: B018 -- names are lazy

    def padding(self, workload: str) -> str:
        return "limit" if workload == "full" or self.name == "ours-xla" else "longest"

    def classifier(self) -> Any:
        import keras_bert_zoo as kbz

        layout = "padded" if self.name in ("ours-xla", "ours-padded") else "packed"
        config = kbz.BertConfig.from_dict(self.setup["config"])
        head = kbz.heads.Classification(["no", "yes"])
        model = head.attach(kbz.build_encoder(config, layout=layout, dtype=self.setup["precision"]))
        model = kbz.rematerialize(model) if self.name == "ours-remat" else model
        optimizer = kbz.adamw(5e-5, steps=10_000, warmup=1_000)
        model.compile(optimizer, head.loss(), metrics=["accuracy"], jit_compile=self.name == "ours-xla")
        return model


class KerasHub(_Trained):
    """KerasHub's backbone and classifier, with Keras's AdamW; XLA as Keras's "auto" has it."""

    names = ("token_ids", "padding_mask", "segment_ids")

    @staticmethod
    def imports() -> None:
        """Import KerasHub."""
        import keras_hub  # noqa: F401

    def classifier(self) -> Any:
        import keras
        import keras_hub

        config, dtype = self.setup["config"], self.setup["precision"]
        backbone = keras_hub.models.BertBackbone(
            vocabulary_size=config["vocab_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            hidden_dim=config["hidden_size"],
            intermediate_dim=config["intermediate_size"],
            max_sequence_length=config["max_position_embeddings"],
            dtype=dtype,
        )
        model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=None, dtype=dtype)
        optimizer = keras.optimizers.AdamW(5e-5, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model


class ModelGarden(_Trained):
    """Model Garden's BertEncoder and BertClassifier on tf-keras, with its own AdamWeightDecay."""

    @staticmethod
    def imports() -> None:
        """Import Model Garden, which takes its time."""
        import tf_keras  # noqa: F401
        from official.nlp import modeling, optimization  # noqa: F401

    def classifier(self) -> Any:
        import tf_keras
        from official.nlp import optimization
        from official.nlp.modeling.models import BertClassifier
        from official.nlp.modeling.networks import BertEncoder

        config = self.setup["config"]
        tf_keras.mixed_precision.set_global_policy(self.setup["precision"])
        network = BertEncoder(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            num_attention_heads=config["num_attention_heads"],
            intermediate_size=config["intermediate_size"],
            max_sequence_length=config["max_position_embeddings"],
        )
        model = BertClassifier(network, num_classes=2)
        optimizer = optimization.AdamWeightDecay(
            5e-5,
            weight_decay_rate=0.01,
            epsilon=1e-6,
            exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
            gradient_clip_norm=1.0,
        )
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model

    def clock(self) -> Any:
        import tf_keras

        return _clock(tf_keras.callbacks.Callback)


def _clock(base: type) -> Any:
    class Clock(base):  # type: ignore[valid-type, misc]
        """Seconds from the first step's beginning to the end of the last: what `fit` sets up is not counted."""

        begin = end = 0.0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.begin = self.begin or time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.end = time.perf_counter()

    return Clock()
