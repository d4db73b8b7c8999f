"""Run as a script in processes of their own: training on one device, on several, in parts.

    replicas.py FILE short|long|pretrainings       one device, and two logical CPUs of this process
    replicas.py FILE INDEX PORT...    one process of a cluster on 127.0.0.1

What was measured is written to FILE as JSON, arrays as lists.
"""

import json
import os
import sys
from pathlib import Path

FILE, WHAT, *PORTS = sys.argv[1:]
if PORTS:
    task = {"type": "worker", "index": int(WHAT)}
    told = {"cluster": {"worker": [f"127.0.0.1:{port}" for port in PORTS]}, "task": task}
    os.environ["TF_CONFIG"] = json.dumps(told)

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent))
import tiny  # noqa: E402

import keras_bert_zoo as kbz  # noqa: E402

if PORTS:
    SEVERAL = kbz.strategy("multi_worker")  # before anything else
else:
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    SEVERAL = kbz.strategy("mirrored", devices=["CPU:0", "CPU:1"])  # one for all: a second would reuse the first's keys
ONE = tf.distribute.get_strategy()

import keras  # noqa: E402
import record_files  # noqa: E402

from keras_bert_zoo.errors import ConfigError  # noqa: E402
from keras_bert_zoo.training import pretrain as loop  # noqa: E402
from keras_bert_zoo.training import steps  # noqa: E402
from keras_bert_zoo.training.layouts import laid_out  # noqa: E402
from keras_bert_zoo.training.resume import seeds  # noqa: E402

STILL = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_hidden_layers=1)
PAIRS = [f"{text} . {text}" for text in (tiny.BAD + tiny.GOOD)]  # so that a row has several places asked about


def classification():
    head = kbz.heads.Classification(["bad", "good"], dropout=0.0)
    return head, tiny.mood_table(3)  # 36 rows: five batches of 7 and one of 1


def pretraining():
    head = kbz.heads.Pretraining(mask_share=0.3)
    texts = [*tiny.GOOD, *tiny.BAD, "a good film and a bad film"]  # 13 rows: batches of 7 and 6
    return head, kbz.data.Table.from_lists(texts, [0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0], [*PAIRS, "b c d e f"])


def ranking():
    head = kbz.heads.SentenceEmbedding()
    return head, kbz.data.Table.from_lists(tiny.GOOD + tiny.BAD, None, tiny.BAD + tiny.GOOD)


def similarity():
    head = kbz.heads.SentenceEmbedding(loss="similarity")
    return head, kbz.data.Table.from_lists(tiny.GOOD, [0.1, 0.9, 0.5, 0.3, 0.2, 0.7], tiny.BAD)


def choice():
    head = kbz.heads.MultipleChoice(dropout=0.0)
    choices = [["a", "b"], ["a film", "c"], ["d"], ["it", "is", "x"], ["q", "the end"], ["so", "z"]]
    return head, kbz.data.Table.from_lists(tiny.GOOD, [0, 1, 0, 2, 1, 0], choices)


def tags():
    head = kbz.heads.TokenClassification(["O", "B-X"], dropout=0.0)
    spans = [[(0, 1, "O" if text[0] == "a" else "B-X")] for text in tiny.GOOD + tiny.BAD]
    return head, kbz.data.Table.from_lists(tiny.GOOD + tiny.BAD, spans)


@tf.autograph.experimental.do_not_convert
def _weighed(xy, weights):
    return (*xy, weights[: tf.shape(xy[1])[0]])


def train(
    strategy, task, *, epochs, config=STILL, layout="padded", dtype=None, measured=False, counted=True, **options
):
    """Return figures and weights of a training, flat and exact."""
    class_weight = options.pop("class_weight", None)
    head, table = task()
    with strategy.scope():
        bundle = tiny.bundle(head, config=config, dtype=dtype)
        model = laid_out(bundle.model, layout)
        optimizer = kbz.adamw(1e-3, steps=99, warmup=2, global_clipnorm=0.5)
        model.compile(optimizer, head.loss(), metrics=head.metrics(), **options)
    rows = table.batches(head, bundle.tokenizer, 7, length=14)
    rows = rows if counted else rows.filter(lambda *_: True)  # TensorFlow knows no more how many batches there are
    before = [variable.numpy() for variable in model.trainable_variables]
    kept = {"history": model.fit(rows, epochs=epochs, verbose=0, class_weight=class_weight).history}
    kept["updates"] = int(optimizer.iterations.numpy())
    if dtype is not None:
        kept["scale"] = [float(optimizer.loss_scale.numpy()), int(optimizer.good_steps.numpy())]
    kept["names"] = [variable.path for variable in model.trainable_variables]
    kept["weights"] = [variable.numpy().tolist() for variable in model.trainable_variables]
    kept["moved"] = float(
        max(np.abs(a - b.numpy()).max() for a, b in zip(before, model.trainable_variables, strict=True))
    )
    if measured:
        numbers = tf.data.Dataset.range(99).map(lambda i: 0.25 + tf.cast(i, tf.float32) % 3)
        weights = numbers.batch(7)
        heavy = tf.data.Dataset.zip(rows, weights).map(_weighed)
        kept["evaluated"] = model.evaluate(rows, verbose=0, return_dict=True)
        kept["weighted"] = model.evaluate(heavy, verbose=0, return_dict=True)
        kept["predicted"] = model.predict(rows, verbose=0).tolist()
        features, targets = next(iter(rows))
        kept["one_batch"] = model.predict_on_batch(features).tolist()
        kept["tested"] = model.test_on_batch(features, targets, return_dict=True)
        arrays = {name: np.concatenate([value.numpy()] * 3) for name, value in features.items()}
        labels = np.concatenate([targets.numpy()] * 3)
        held = (arrays, labels)
        kept["arrays"] = model.fit(arrays, labels, 4, shuffle=False, validation_data=held, verbose=0).history
        kept["trained"] = model.train_on_batch(features, targets, return_dict=True)
    return kept


def masks(strategy, run):
    """Return what each replica makes of the same row while dropout is on, and the seeds before and after."""
    head, _ = classification()
    keras.utils.set_random_seed(5)
    with strategy.scope():
        model = tiny.bundle(head, seed=run).model
    ids = tf.constant([[2, 7, 9, 3]])
    row = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}

    @tf.function(autograph=False)
    def outputs():
        def forward():
            with steps.own_dropouts(model):
                return model(row, training=True)

        return strategy.gather(strategy.run(forward), axis=0)

    return {"outputs": outputs().numpy().tolist(), "seeds": [seed.numpy().tolist() for seed in seeds(model)]}


def refused(strategy):
    """Return what is said of an optimizer, and of metrics, that were made outside of the scope."""
    head, table = classification()
    with strategy.scope():
        model = tiny.bundle(head, config=STILL).model
    rows = table.batches(head, tiny.tokenizer(), 7, length=14)
    told = []
    for optimizer, metrics in ((kbz.adamw(1e-3, steps=9), None), ("adam", head.metrics())):
        try:
            model.compile(optimizer, head.loss(), metrics=metrics)
            model.fit(rows, verbose=0)
        except ConfigError as error:
            told.append(str(error))
    return told


class _Pulled(Exception):
    """The plug was."""


def pretrained(strategy, folder, *, stop=None, **options):
    """Pretrain in a folder, beside its data; with `stop`, end right after that update, as a kill would."""
    config = options.pop("config", STILL)
    phase = kbz.Phase(str(folder.parent / "data"), steps=20, batch_size=7)
    recipe = kbz.Recipe([phase], learning_rate=1e-3, log_every=2, validate_every=20, checkpoint_every=4, **options)
    move = loop._Between.on_train_batch_end

    def moved(self, batch, logs=None):
        move(self, batch, logs)
        if stop is not None and self.step >= stop:
            raise _Pulled

    loop._Between.on_train_batch_end = moved
    try:
        run = kbz.pretrain(
            config, recipe, vocabulary=folder.parent / "vocab.txt", out=folder, devices=strategy, verbose=0
        )
    except _Pulled:
        return None
    finally:
        loop._Between.on_train_batch_end = move
    rows = [{name: value for name, value in row.items() if name != "tokens_per_second"} for row in run.rows]
    return {"rows": rows, "weights": [v.numpy().tolist() for v in run.bundle.model.trainable_variables]}


def pretrainings():
    """Return what pretraining gives on one device and on two, killed or not."""
    root = Path(FILE).parent
    record_files.shards(root / "data", [40, 33, 27], 13)
    record_files.vocabulary(root / "vocab.txt")
    kept = {
        "one": pretrained(ONE, root / "one", layout="padded"),
        "two": pretrained(SEVERAL, root / "two"),
        "parts": pretrained(SEVERAL, root / "parts", gradient_accumulation=2),
        "whole": pretrained(SEVERAL, root / "whole", config=tiny.CONFIG),
    }
    assert pretrained(SEVERAL, root / "killed", config=tiny.CONFIG, stop=10) is None
    kept["killed"] = pretrained(SEVERAL, root / "killed", config=tiny.CONFIG)
    return kept


LABELS = {"class_weight": {0: 0.5, 1: 2.0}, "epochs": 4, "measured": True}
HALF = {"epochs": 4, "dtype": "mixed_float16"}


def short():
    return {
        "one": {
            "classification": train(ONE, classification, **LABELS),
            "pretraining": train(ONE, pretraining, epochs=10),
        },
        "two": {
            "classification": train(SEVERAL, classification, **LABELS, steps_per_execution=4),
            "pretraining": train(SEVERAL, pretraining, epochs=10, gradient_accumulation=3, counted=False),
        },
        "masks": [masks(SEVERAL, 3), masks(SEVERAL, 3)],
        "refused": refused(SEVERAL),
    }


def long():
    heads = (ranking, similarity, choice, tags)
    one = {task.__name__: train(ONE, task, epochs=4) for task in heads}
    two = {task.__name__: train(SEVERAL, task, epochs=4) for task in heads}
    one |= {"pretraining": train(ONE, pretraining, epochs=10), "classification": train(ONE, classification, **LABELS)}
    two["pretraining"] = train(SEVERAL, pretraining, epochs=10)
    one["plain"] = train(ONE, classification, epochs=4, layout="packed")
    two["plain"] = train(SEVERAL, classification, epochs=4, layout="packed")
    parts = {
        "plain": train(ONE, classification, epochs=4, gradient_accumulation=2, layout="packed"),
        "pretraining": train(ONE, pretraining, epochs=10, gradient_accumulation=3),
        "tags": train(ONE, tags, epochs=4, gradient_accumulation=9),  # more than a batch has rows
    }
    half = {"one": train(ONE, classification, **HALF), "two": train(SEVERAL, classification, **HALF)}
    half["parts"] = train(SEVERAL, classification, **HALF, gradient_accumulation=2)
    dropout = [train(SEVERAL, classification, config=tiny.CONFIG, epochs=1) for _ in range(2)]
    told = {"one": one, "two": two, "parts": parts, "half": half, "dropout": dropout}
    return {**told, "masks": masks(SEVERAL, 3)}


def cluster():
    kept = {
        "classification": train(SEVERAL, classification, **LABELS, steps_per_execution=4),
        "pretraining": train(SEVERAL, pretraining, epochs=10, gradient_accumulation=3),
        "ranking": train(SEVERAL, ranking, epochs=4),
    }
    return {"cluster": kept, "masks": masks(SEVERAL, 3), "half": train(SEVERAL, classification, **HALF)}


if __name__ == "__main__":
    told = cluster() if PORTS else {"short": short, "long": long, "pretrainings": pretrainings}[WHAT]()
    Path(FILE).write_text(json.dumps(told), encoding="utf-8")
