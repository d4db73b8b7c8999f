"""BERT written a second time, in NumPy alone and from Hugging Face's tensors; and the files those live in.

B batch, T tokens, D hidden size, H heads.  Nothing here uses the package: it is what the package is held against.
"""

import json
import math

import numpy as np
import safetensors.numpy
from sizes import BATCH, HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TIME, TYPES, VOCAB

CONFIG = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": HIDDEN,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "model_type": "bert",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "pad_token_id": 0,
    "type_vocab_size": TYPES,
    "vocab_size": VOCAB,
}
LENGTHS = (7, 1, 4, 6, 3)

_erf = np.vectorize(math.erf)
ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "gelu_new": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def inputs(types=TYPES, seed=0):
    """Ids, a mask with padding, and segments, int32 [B,T]; the padding is full of ids too."""
    rng = np.random.default_rng(seed)
    return {
        "input_word_ids": rng.integers(0, VOCAB, (BATCH, TIME), dtype=np.int32),
        "input_mask": (np.arange(TIME) < np.array(LENGTHS)[:, None]).astype(np.int32),
        "input_type_ids": rng.integers(0, types, (BATCH, TIME), dtype=np.int32),
    }


def shapes(config, pooler=True):
    """Return every tensor's shape by its name in `BertModel`: dense weights are [out,in]."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    found = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        dense = {
            "attention.self.query": (hidden, hidden),
            "attention.self.key": (hidden, hidden),
            "attention.self.value": (hidden, hidden),
            "attention.output.dense": (hidden, hidden),
            "intermediate.dense": (inner, hidden),
            "output.dense": (hidden, inner),
        }
        for name, shape in dense.items():
            found |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found |= {f"{layer}{name}.weight": (hidden,), f"{layer}{name}.bias": (hidden,)}
    if pooler:
        found |= {"pooler.dense.weight": (hidden, hidden), "pooler.dense.bias": (hidden,)}
    return found


def tensors(config, seed=1, pooler=True):
    """Return random float32 tensors, large enough that every part of the model shows in its outputs."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(0, 0.3, shape) + (name.endswith("LayerNorm.weight"))).astype(np.float32)
        for name, shape in shapes(config, pooler).items()
    }


def write_folder(folder, config, values, name="model.safetensors"):
    """Write config.json and the tensors as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.numpy.save_file(
        {key: np.ascontiguousarray(value) for key, value in values.items()}, folder / name, metadata={"format": "pt"}
    )
    return folder


def bert(config, values, features):
    """Run BERT in float64; returns sequence_output, encoder_outputs and, with a pooler, pooled_output."""
    w = {name: value.astype(np.float64) for name, value in values.items()}
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def dense(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(x, mask, name):
        batch, time, hidden = x.shape
        q, k, v = (
            dense(x, f"{name}.self.{part}").reshape(batch, time, heads, -1) for part in ("query", "key", "value")
        )
        scores = np.einsum("bthd,bshd->bhts", q, k) / math.sqrt(hidden // heads)
        scores = np.where(mask[:, None, None, :] > 0, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return dense(np.einsum("bhts,bshd->bthd", weights, v).reshape(batch, time, hidden), f"{name}.output.dense")

    ids, mask, segments = (features[name] for name in ("input_word_ids", "input_mask", "input_type_ids"))
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][segments]
    x = norm(x + w["embeddings.position_embeddings.weight"][: ids.shape[1]], "embeddings.LayerNorm")
    outputs = []
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        x = norm(x + attention(x, mask, f"{layer}.attention"), f"{layer}.attention.output.LayerNorm")
        inner = ACTIVATIONS[config["hidden_act"]](dense(x, f"{layer}.intermediate.dense"))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        outputs.append(x)
    answer = {"sequence_output": x, "encoder_outputs": outputs}
    if "pooler.dense.weight" in w:
        answer["pooled_output"] = np.tanh(dense(x[:, 0], "pooler.dense"))
    return answer


def difference(ours, theirs, mask):
    """Return the largest difference of two models' outputs, on real tokens."""
    real = mask.astype(bool)
    assert set(ours) == set(theirs)
    found = [np.abs(np.asarray(ours["sequence_output"])[real] - np.asarray(theirs["sequence_output"])[real]).max()]
    if "pooled_output" in ours:
        found.append(np.abs(np.asarray(ours["pooled_output"]) - np.asarray(theirs["pooled_output"])).max())
    for one, other in zip(ours["encoder_outputs"], theirs["encoder_outputs"], strict=True):
        found.append(np.abs(np.asarray(one)[real] - np.asarray(other)[real]).max())
    return float(max(found))
