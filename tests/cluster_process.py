"""One process of a cluster on this machine: python cluster_process.py MODE ROOT INDEX PORT...

MODE "together" does all that tests ask of workers that live, and writes ROOT/told-INDEX.json; "pretrain" and
"finetune" begin or go on with ROOT/run and print a line for every step, so that another process can kill it.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ClusterError, ConfigError
from keras_bert_zoo.stopping import Stopped, ended_at_once_if_broken
from keras_bert_zoo.training import epochs
from keras_bert_zoo.training import pretrain as loop
from keras_bert_zoo.training.fit import Settings

CONFIG = tiny.CONFIG.replace(num_hidden_layers=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
SETTINGS = Settings(epochs=2, batch_size=7, length=9, learning_rate=1e-2, patience=2, layout="padded")
LONG = Settings(epochs=9, batch_size=7, length=9, learning_rate=3e-2, layout="padded", checkpoint_every=4)  # 54 updates
STEPS = 9


def recipe(root, steps=STEPS):
    """Return a phase of masked records whose batches no number of workers divides."""
    return kbz.Recipe(
        phases=[kbz.Phase(str(root / "data"), steps=steps, batch_size=7)],
        validation=str(root / "held"),
        learning_rate=1e-3,
        layout="padded",
        shuffle_block=31,
        log_every=2,
        validate_every=4,
        checkpoint_every=2,
        seed=3,
    )


def pretrain(root, devices, out=None, **options):
    made = options.pop("recipe", None) or recipe(root)
    options = {"config": CONFIG, "verbose": 0, **options}
    return kbz.pretrain(options.pop("config"), made, vocabulary=root / "vocab.txt", out=out, devices=devices, **options)


def finetune(devices, out=None):
    head = kbz.heads.Classification(["bad", "good"], dropout=0.0)
    source = out and out.parent / "bert"
    table = tiny.mood_table(2)  # 24 rows: three batches of 7 and one of 3
    return kbz.finetune(
        source or tiny.bundle(config=CONFIG),
        head,
        table,
        tiny.mood_table(1),
        test=tiny.mood_table(1),
        out=out,
        settings=SETTINGS,
        devices=devices,
        verbose=0,
    )


def weights(model):
    return {weight.path: weight.numpy().tolist() for weight in model.weights}


def caught(work):
    try:
        work()
    except (ClusterError, ConfigError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def together(root, index):
    place = kbz.strategy("multi_worker", timeout=120)
    from keras_bert_zoo.training.workers import Workers

    workers = Workers(place)
    told = {
        "place": [workers.index, workers.count, workers.is_chief, workers.addresses],
        "gathered": workers.gather({"from": index, "text": "ü" * (3 + index)}),
        "most": workers.most(17 if index else 4),
        "chiefs": workers.chiefs(["said by", index]),
        "agree": caught(lambda: workers.agree({"same": 1})),
        "differ": caught(lambda: workers.agree({"data": {"train": f"table {index}"}})),
        "first": [workers.first(lambda: f"done by {index}"), caught(lambda: workers.first(refused))],
    }
    for kind in ("float32", "uint8", "int64", "float16"):
        array = (np.arange(15) * (7 if index == 0 else 100) - 3).astype(kind).reshape(3, 5)
        if kind == "float32":
            array[0, :3] = [-0.0, 1e-42, np.inf] if index == 0 else [1, 2, 3]
        shared = workers.chiefs_array(array)
        told[kind] = [str(shared.dtype), shared.shape, shared.tobytes().hex()]

    # A signal that one worker gets stops both, after a checkpoint; the same call goes on.
    moved = loop._Between.on_train_batch_end
    sent = []

    def stepping(self, batch, logs=None):
        if self.step >= 3 and index == 1 and not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        moved(self, batch, logs)

    loop._Between.on_train_batch_end = stepping
    try:
        pretrain(root, place, root / "run")
    except loop.Stopped as stopped:
        told["stopped"] = [stopped.signal, stopped.step]
    told["left"] = sorted(path.name for path in (root / "run" / "unfinished").iterdir() if path.name[0] != ".")
    run = pretrain(root, place, root / "run")
    told["rows"], told["pretrained"] = run.rows, weights(run.bundle.model)
    even = kbz.Recipe(phases=[kbz.Phase(str(root / "data"), steps=2, batch_size=6)], layout="padded", log_every=2)
    by_file = pretrain(root, place, share_by="file", recipe=even)
    told["by_file"] = weights(by_file.bundle.model)

    # What one worker has otherwise is named to both.
    told["other_data"] = caught(lambda: pretrain(root if index == 0 else root / "other", place, root / "never"))
    table = tiny.mood_table(2) if index == 0 else tiny.mood_table(3)
    head = kbz.heads.Classification(["bad", "good"], dropout=0.0)
    told["other_table"] = caught(
        lambda: kbz.finetune(root / "bert", head, table, settings=SETTINGS, devices=place, verbose=0)
    )

    tuned = finetune(place, root / "tuned")
    told["tuned"], told["epochs"], told["test"] = weights(tuned.bundle.model), tuned.history.epochs, tuned.test
    (root / f"told-{index}.json").write_text(json.dumps(told))


def refused():
    raise ConfigError("The folder is there already.")


def main():
    mode, root, index, *ports = sys.argv[1:]
    root, index = Path(root), int(index)
    workers = [f"127.0.0.1:{port}" for port in ports]
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
    if mode == "together":
        together(root, index)
        return
    between = loop._Between if mode == "pretrain" else epochs.Epochs
    moved = between.on_train_batch_end

    def stepping(self, batch, logs=None):
        moved(self, batch, logs)
        print("step", self.step, flush=True)

    between.on_train_batch_end = stepping
    try:
        place = kbz.strategy("multi_worker", timeout=120)
        if mode == "pretrain":
            dropping = tiny.CONFIG.replace(num_hidden_layers=1, hidden_dropout_prob=0.1)
            pretrain(root, place, root / "run", config=dropping, recipe=recipe(root, 60))
        else:
            tables = [tiny.mood_table(3), tiny.mood_table(1)]
            how = {"settings": LONG, "devices": place, "out": root / "run", "verbose": 0}
            kbz.finetune(root / "bert", kbz.heads.Classification(["bad", "good"]), *tables, **how)
        print("done", flush=True)
    except Stopped as stopped:
        print("stopped", stopped.step, flush=True)
    except ClusterError as error:
        print("lost", error, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    with ended_at_once_if_broken():  # as kbz
        main()
