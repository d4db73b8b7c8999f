"""The heads of pretraining in NumPy, from Hugging Face's tensors, and Google's losses; no use of the package."""

import bert_oracle
import numpy as np
from sizes import HIDDEN, VOCAB

PREDICTIONS = {
    "cls.predictions.transform.dense.weight": (HIDDEN, HIDDEN),
    "cls.predictions.transform.dense.bias": (HIDDEN,),
    "cls.predictions.transform.LayerNorm.weight": (HIDDEN,),
    "cls.predictions.transform.LayerNorm.bias": (HIDDEN,),
    "cls.predictions.bias": (VOCAB,),
}
RELATIONSHIP = {"cls.seq_relationship.weight": (2, HIDDEN), "cls.seq_relationship.bias": (2,)}
# Which tensors transformers 4 and 5 write for a class: the tied decoder is written once, as table and bias.
CLASSES = {
    "BertForMaskedLM": (False, PREDICTIONS),
    "BertForNextSentencePrediction": (True, RELATIONSHIP),
    "BertForPreTraining": (True, {**PREDICTIONS, **RELATIONSHIP}),
}


def tensors(architecture, seed=5):
    """Return random tensors under the names of a class's file."""
    pooler, head = CLASSES[architecture]
    rng = np.random.default_rng(seed)
    own = {
        name: (rng.normal(0, 0.4, shape) + name.endswith("LayerNorm.weight")).astype(np.float32)
        for name, shape in head.items()
    }
    encoder = bert_oracle.tensors(bert_oracle.CONFIG, pooler=pooler)
    return {**{f"bert.{name}": value for name, value in encoder.items()}, **own}


def logits(values, features, positions, config=bert_oracle.CONFIG):
    """Return what a class of transformers computes: masked_lm [B,M,V] and, where it has them, next_sentence [B,2]."""
    w = {name: value.astype(np.float64) for name, value in values.items()}
    bert = {name.removeprefix("bert."): value for name, value in values.items() if name.startswith("bert.")}
    found = bert_oracle.bert(config, bert, features)
    answer = {}
    if "cls.predictions.bias" in w:
        x = np.take_along_axis(found["sequence_output"], positions[..., None], axis=1)  # [B,M,D]
        x = x @ w["cls.predictions.transform.dense.weight"].T + w["cls.predictions.transform.dense.bias"]
        x = bert_oracle.ACTIVATIONS[config["hidden_act"]](x)
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        x = x * w["cls.predictions.transform.LayerNorm.weight"] + w["cls.predictions.transform.LayerNorm.bias"]
        answer["masked_lm"] = x @ w["bert.embeddings.word_embeddings.weight"].T + w["cls.predictions.bias"]
    if "cls.seq_relationship.bias" in w:
        pooled = found["pooled_output"]
        answer["next_sentence"] = pooled @ w["cls.seq_relationship.weight"].T + w["cls.seq_relationship.bias"]
    return answer


def cross_entropy(logits, ids):
    """Return -log softmax at the ids, each."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.log(np.exp(shifted).sum(-1)) - np.take_along_axis(shifted, ids[..., None], -1)[..., 0]


def masked_lm_loss(logits, ids, weights):
    """Google's run_pretraining.py, get_masked_lm_output: numerator / (denominator + 1e-5)."""
    return (weights * cross_entropy(logits, ids)).sum() / (weights.sum() + 1e-5)
