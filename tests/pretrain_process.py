"""A pretraining that can be killed, see kills.py: python pretrain_process.py ROOT OUT [KILLED_AFTER_STEP]."""

import kills
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


def pretrain(root, out):
    kbz.pretrain(CONFIG, recipe(root), vocabulary=root / "vocab.txt", out=out, verbose=0)


if __name__ == "__main__":
    kills.main(loop, loop._Between, pretrain)
