"""Run as a script in a process of its own: uses the two SavedModels of an encoder as any TF2 code would.

    python hub_stranger.py PREPROCESSOR ENCODER < pairs.json > answers.json

`pairs` is two lists of texts.  Only TensorFlow and TF.Text are imported.
"""

import json
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

preprocessor, encoder = map(tf.saved_model.load, sys.argv[1:])
first, second = json.load(sys.stdin)
tokens = [preprocessor.tokenize(tf.constant(texts)) for texts in (first, second)]
inputs = preprocessor.bert_pack_inputs(tokens, seq_length=tf.constant(9))
answers = {**inputs, **encoder(inputs)}
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(encoder(inputs, training=True)["pooled_output"] ** 2)
gradients = tape.gradient(loss, encoder.trainable_variables)
assert all(gradient is not None for gradient in gradients)
assert not [name for name in sys.modules if name.startswith(("keras_bert_zoo", "tokenizers", "transformers"))]
answers["special"] = {name: int(value) for name, value in preprocessor.tokenize.get_special_tokens_dict().items()}
json.dump(tf.nest.map_structure(lambda x: x.numpy().tolist() if hasattr(x, "numpy") else x, answers), sys.stdout)
