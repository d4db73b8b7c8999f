"""sentence-transformers: the same encoder to embeddings, as it answers texts; it sorts what one call is given."""

from __future__ import annotations

from typing import Any

import sentence_transformers
import torch
from sentence_transformers import models

from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import MIXED_SORTED, SHORT_SORTED, Way, serving_turns

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def serving(setup: Setup) -> list[Way]:
    """Strings to mean-pooled embeddings, a whole list a call, which it sorts: the workloads that are sorted."""
    return [_way(setup, name) for name in DTYPES]


def _way(setup: Setup, name: str) -> Way:
    torch.set_num_threads(setup.threads)
    encoder = models.Transformer(str(setup.model), max_seq_length=setup.length, model_args={"dtype": DTYPES[name]})
    made = sentence_transformers.SentenceTransformer(
        modules=[encoder, models.Pooling(encoder.get_word_embedding_dimension())], device="cpu"
    )

    def encode(texts: list[str]) -> Any:
        return made.encode(texts, batch_size=setup.plan.batch_size, show_progress_bar=False)

    settings = f"SentenceTransformer.encode, embeddings instead of probabilities; {setup.threads} threads"
    turns = serving_turns(setup, encode, whole_list=encode)
    return Way(name, name, settings, {workload: turns[workload] for workload in (SHORT_SORTED, MIXED_SORTED)})
