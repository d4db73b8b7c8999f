"""Run as a script in processes of their own: training on one device, on several, in parts.  Prints nothing.

    replicas.py FILE                  one device, and two logical CPUs of this process
    replicas.py FILE INDEX PORT...    one process of a cluster on 127.0.0.1

What was measured is written to FILE, a .json with arrays as lists.
"""

import json
import os
import sys
from pathlib import Path

FILE, *CLUSTER = sys.argv[1:]
if CLUSTER:
    workers = [f"127.0.0.1:{port}" for port in CLUSTER[1:]]
    told = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": int(CLUSTER[0])}}
    os.environ["TF_CONFIG"] = json.dumps(told)

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent))
if CLUSTER:
    SEVERAL = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else
else:
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    SEVERAL = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # one for all: a second would reuse the first's keys
ONE = tf.distribute.get_strategy()

import keras  # noqa: E402
import tiny  # noqa: E402

import keras_bert_zoo as kbz  # noqa: E402
from keras_bert_zoo.training import steps  # noqa: E402
from keras_bert_zoo.training.layouts import laid_out  # noqa: E402

STILL = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_hidden_layers=1)
PAIRS = [f"{text} . {text}" for text in (tiny.BAD + tiny.GOOD)]  # so that a row has several places asked about


def classification():
    head = kbz.heads.Classification(["bad", "good"], dropout=0.0)
    return head, tiny.mood_table(3)  # 36 rows: five batches of 7 and one of 1


def pretraining():
    head = kbz.heads.Pretraining(mask_share=0.3)
    texts = tiny.GOOD + tiny.BAD + ["a", "a good film and a bad film"]
    return head, kbz.data.Table.from_lists(texts, [0, 1, 1, 0, 1, 0, 0] * 2, PAIRS + ["an end", "b c d e f"])


def ranking():
    head = kbz.heads.SentenceEmbedding()
    return head, kbz.data.Table.from_lists(tiny.GOOD + tiny.BAD, None, tiny.BAD + tiny.GOOD)


def choice():
    head = kbz.heads.MultipleChoice(dropout=0.0)
    choices = [["a", "b"], ["a film", "c"], ["d"], ["it", "is", "x"], ["q", "the end"], ["so", "z"]]
    return head, kbz.data.Table.from_lists(tiny.GOOD, [0, 1, 0, 2, 1, 0], choices)


def tags():
    head = kbz.heads.TokenClassification(["O", "B-X"], dropout=0.0)
    spans = [[(0, 1, "O" if text[0] == "a" else "B-X")] for text in tiny.GOOD + tiny.BAD]
    return head, kbz.data.Table.from_lists(tiny.GOOD + tiny.BAD, spans)


def train(strategy, task, *, epochs, config=STILL, layout="padded", batch=7, rate=1e-3, measured=False, **options):
    """Return figures and weights of a training, flat and exact."""
    class_weight = options.pop("class_weight", None)
    head, table = task()
    with strategy.scope():
        bundle = tiny.bundle(head, config=config)
        model = laid_out(bundle.model, layout)
        optimizer = kbz.adamw(rate, steps=99, warmup=2, global_clipnorm=0.5)
        model.compile(optimizer, head.loss(), metrics=head.metrics(), **options)
    rows = table.batches(head, bundle.tokenizer, batch, length=14)
    before = [variable.numpy() for variable in model.trainable_variables]
    kept = {"history": model.fit(rows, epochs=epochs, verbose=0, class_weight=class_weight).history}
    kept["updates"] = int(optimizer.iterations.numpy())
    kept["weights"] = [variable.numpy().tolist() for variable in model.trainable_variables]
    kept["moved"] = float(
        max(np.abs(a - b.numpy()).max() for a, b in zip(before, model.trainable_variables, strict=True))
    )
    if measured:
        numbers = tf.data.Dataset.range(99).map(lambda i: 0.25 + tf.cast(i, tf.float32) % 3)
        weights = numbers.batch(batch)
        heavy = tf.data.Dataset.zip(rows, weights).map(lambda xy, w: (*xy, w[: tf.shape(xy[1])[0]]))
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

    @tf.function
    def outputs():
        def forward():
            with steps.own_dropouts(model):
                return model(row, training=True)

        return strategy.gather(strategy.run(forward), axis=0)

    return {"outputs": outputs().numpy().tolist(), "seeds": [seed.numpy().tolist() for seed in steps.seeds(model)]}


def everything(strategy, name):
    kept = {
        "classification": train(
            strategy, classification, epochs=4, class_weight={0: 0.5, 1: 2.0}, measured=True, steps_per_execution=4
        ),
        "pretraining": train(strategy, pretraining, epochs=10),
        "ranking": train(strategy, ranking, epochs=2),
    }
    if name == "cluster":
        return kept
    for task in (choice, tags):
        kept[task.__name__] = train(strategy, task, epochs=2)
    return kept


if __name__ == "__main__":
    drop = {"config": tiny.CONFIG, "epochs": 1}
    if CLUSTER:
        told = {"cluster": everything(SEVERAL, "cluster"), "masks": masks(SEVERAL, 3)}
    else:
        told = {"one": everything(ONE, "one"), "two": everything(SEVERAL, "two")}
        told["two"]["packed"] = train(SEVERAL, classification, epochs=2, layout="packed")
        told["one"]["packed"] = train(ONE, classification, epochs=2)
        told["masks"] = [masks(SEVERAL, 3), masks(SEVERAL, 3), masks(SEVERAL, 4)]
        told["dropout"] = [train(SEVERAL, classification, **drop) for _ in range(2)]
        for parts in (2, 3):
            told[f"parts_{parts}"] = {
                task.__name__: train(ONE, task, epochs=epochs, gradient_accumulation=parts)
                for task, epochs in ((classification, 4), (pretraining, 10))[: 2 if parts == 3 else 1]
            }
        told["one"]["plain"] = train(ONE, classification, epochs=4)
        told["two_in_parts"] = train(SEVERAL, pretraining, epochs=10, gradient_accumulation=3)
    Path(FILE).write_text(json.dumps(told), encoding="utf-8")
