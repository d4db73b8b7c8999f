"""Run as a script in a process of its own: uses the two SavedModels of an encoder as a stranger's code would.

    python hub_stranger.py FRESH_PROCESS_PY PREPROCESSOR ENCODER < asked.json > answers.json

`asked` holds "pairs", two lists of texts, and "columns", what goes into the signature of either model.  This package
is never imported, only TensorFlow and TF.Text.
"""

import importlib.util
import json
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

spec = importlib.util.spec_from_file_location("fresh_process", sys.argv[1])
fresh = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fresh)
folders = sys.argv[2:]
asked = json.load(sys.stdin)

preprocessor, encoder = map(tf.saved_model.load, folders)
tokens = [preprocessor.tokenize(tf.constant(texts)) for texts in asked["pairs"]]
inputs = preprocessor.bert_pack_inputs(tokens, seq_length=tf.constant(9))
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(encoder(inputs, training=True)["pooled_output"] ** 2)
assert all(gradient is not None for gradient in tape.gradient(loss, encoder.trainable_variables))
answers = {
    "pair": {**inputs, **encoder(inputs)},
    "special": preprocessor.tokenize.get_special_tokens_dict(),
    "signatures": [
        [ask(folder, "serving_default", columns) for folder, columns in zip(folders, asked["columns"], strict=True)]
        for ask in (fresh.ask_tf2, fresh.ask_tf1)
    ],
}
assert not [name for name in sys.modules if name.startswith(("keras_bert_zoo", "tokenizers", "transformers"))]
json.dump(tf.nest.map_structure(lambda x: (x.numpy() if tf.is_tensor(x) else x).tolist(), answers), sys.stdout)
