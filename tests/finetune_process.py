"""A fine-tuning that can be killed, see kills.py: python finetune_process.py ROOT OUT [KILLED_AFTER_STEP]."""

import kills
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.training import epochs as loop
from keras_bert_zoo.training.fit import Settings

CONFIG = tiny.CONFIG.replace(num_hidden_layers=1, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
# 36 rows: 8 batches an epoch, the last of one row; the worst epoch is the last, for the rate is far too high.
SETTINGS = Settings(
    epochs=4,
    batch_size=5,
    learning_rate=3e-2,
    warmup=0.0,
    length=9,
    seed=3,
    steps_per_execution=2,
    checkpoint_every=3,
    determinism="on",  # "auto" would leave runs that are not kept as they are
)


def finetune(root, out, **options):
    head = kbz.heads.Classification(["bad", "good"])
    options = {"validation": tiny.mood_table(), "settings": SETTINGS, "verbose": 0, **options}
    return kbz.finetune(root / "bert", head, tiny.mood_table(3), out=out, **options)


if __name__ == "__main__":
    kills.main(loop, loop.Epochs, finetune)
