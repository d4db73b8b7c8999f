"""Checkpoints as google-research/bert leaves them: TF1 variables under its names, written by TF1's own Saver.

Nothing here uses the package: it is what the package is held against.
"""

import json

import bert_oracle
import language_oracle
import numpy as np
import tensorflow as tf
from sizes import HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB

CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": HIDDEN,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "type_vocab_size": TYPES,
    "vocab_size": VOCAB,
}
NUMPY = {**bert_oracle.CONFIG, "hidden_act": "gelu_new"}  # the same model for the NumPy oracle: Google's gelu is tanh

_LAYER = {
    "attention.self.query": "attention/self/query",
    "attention.self.key": "attention/self/key",
    "attention.self.value": "attention/self/value",
    "attention.output.dense": "attention/output/dense",
    "attention.output.LayerNorm": "attention/output/LayerNorm",
    "intermediate.dense": "intermediate/dense",
    "output.dense": "output/dense",
    "output.LayerNorm": "output/LayerNorm",
}
_MODULES = {
    "bert.embeddings.LayerNorm": "bert/embeddings/LayerNorm",
    "bert.pooler.dense": "bert/pooler/dense",
    "cls.predictions.transform.dense": "cls/predictions/transform/dense",
    "cls.predictions.transform.LayerNorm": "cls/predictions/transform/LayerNorm",
    **{
        f"bert.encoder.layer.{i}.{theirs}": f"bert/encoder/layer_{i}/{google}"
        for i in range(LAYERS)
        for theirs, google in _LAYER.items()
    },
}
_SINGLE = {  # these lie in a checkpoint as they do in Hugging Face's files
    "bert.embeddings.word_embeddings.weight": "bert/embeddings/word_embeddings",
    "bert.embeddings.position_embeddings.weight": "bert/embeddings/position_embeddings",
    "bert.embeddings.token_type_embeddings.weight": "bert/embeddings/token_type_embeddings",
    "cls.predictions.bias": "cls/predictions/output_bias",
    "cls.seq_relationship.weight": "cls/seq_relationship/output_weights",
    "cls.seq_relationship.bias": "cls/seq_relationship/output_bias",
    "qa_outputs.weight": "cls/squad/output_weights",
    "qa_outputs.bias": "cls/squad/output_bias",
    "classifier.weight": "output_weights",
    "classifier.bias": "output_bias",
}


def named(values):
    """Return Hugging Face's tensors as Google names them and lays them out."""
    found = {}
    for name, value in values.items():
        module, kind = name.rsplit(".", 1)
        if name in _SINGLE:
            found[_SINGLE[name]] = value
        elif module.endswith("LayerNorm"):
            found[f"{_MODULES[module]}/{'gamma' if kind == 'weight' else 'beta'}"] = value
        else:
            found[f"{_MODULES[module]}/{'kernel' if kind == 'weight' else 'bias'}"] = value.T
    return found


def tensors(head=None):
    """Return all tensors of a model in Hugging Face's names: with the heads of pretraining, another head, or none."""
    rng = np.random.default_rng(7)
    own = {
        "classification": ("classifier", 5),
        "question_answering": ("qa_outputs", 2),
        "regression": ("classifier", 1),
    }
    if head == "pretraining":
        return language_oracle.tensors("BertForPreTraining")
    found = {f"bert.{name}": value for name, value in bert_oracle.tensors(bert_oracle.CONFIG).items()}
    if head is not None:
        name, size = own[head]
        found[f"{name}.weight"] = rng.normal(0, 0.4, (size, HIDDEN)).astype("float32")
        found[f"{name}.bias"] = rng.normal(0, 0.4, size).astype("float32")
    return found


def adam(variables):
    """Return what the optimizer leaves beside them."""
    slots = {f"{name}/{slot}": value * 0 + 7 for name, value in variables.items() for slot in ("adam_m", "adam_v")}
    return {**slots, "global_step": np.array(343, "int64")}


def save(prefix, variables):
    """Write a checkpoint from TF1 variables in a TF1 session."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in variables.items():
            v1.get_variable(name, initializer=tf.constant(value))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(prefix), write_meta_graph=False, write_state=False)


def write_folder(folder, variables, vocabulary, config=CONFIG, prefix="bert_model.ckpt"):
    """Write a folder as Google's archives have it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bert_config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    save(folder / prefix, variables)
    return folder


def read(prefix):
    """Return every tensor of a checkpoint by name."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
