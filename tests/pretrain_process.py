"""A pretraining in a process of its own, to be killed: python pretrain_process.py ROOT OUT [KILLED_AFTER_STEP].

With a step the process kills itself, in the midst of writing the first checkpoint after it or, where the step is
negative, right after that many updates.  Prints a line for every step, so that another process can kill it.
"""

import os
import signal
import sys
from pathlib import Path

import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.training import pretrain as loop

CONFIG = tiny.CONFIG.replace(num_hidden_layers=1, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)


def recipe(root):
    """Return two phases on ids and on masked records, with a checkpoint now and then."""
    return kbz.Recipe(
        phases=[
            kbz.Phase(str(root / "short"), steps=22, batch_size=8),
            kbz.Phase(str(root / "long"), steps=13, batch_size=5),
        ],
        validation=str(root / "held"),
        learning_rate=3e-3,
        shuffle_block=31,
        log_every=4,
        validate_every=12,
        checkpoint_every=4,
        seed=3,
    )


def main():
    root, out = map(Path, sys.argv[1:3])
    last = int(sys.argv[3]) if len(sys.argv) > 3 else None
    save, moved = loop.save_checkpoint, loop._Between.on_train_batch_end

    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    def saving(model, folder, step, kept, **options):
        if last is not None and 0 <= last < step:
            whole = save(model, folder, step, kept, **options).read_bytes()
            (folder / f"step-{step:09}.safetensors").write_bytes(whole[: len(whole) // 2])  # as a full disk leaves it
            killed()
        return save(model, folder, step, kept, **options)

    def stepping(self, batch, logs=None):
        moved(self, batch, logs)
        print("step", self.step, flush=True)
        if last is not None and last < 0 and self.step >= -last:
            killed()

    loop.save_checkpoint, loop._Between.on_train_batch_end = saving, stepping
    kbz.pretrain(CONFIG, recipe(root), vocabulary=root / "vocab.txt", out=out, verbose=0)
    print("done", flush=True)


if __name__ == "__main__":
    main()
