"""Tables of texts and labels, corpora of plain text, data sets by name, batches.

Names resolve on first use: batches need TensorFlow, tables do not.
"""

from importlib import import_module
from typing import Any

# public name -> the module it lives in
_PUBLIC = {
    "Table": "keras_bert_zoo.data.tables",
    "read_table": "keras_bert_zoo.data.tables",
    "read_lines": "keras_bert_zoo.data.lines",
    "read_choices": "keras_bert_zoo.data.choices",
    "read_pairs": "keras_bert_zoo.data.pairs",
    "Corpus": "keras_bert_zoo.data.corpus",
    "CORPORA": "keras_bert_zoo.data.corpora",
    "fetch_corpus": "keras_bert_zoo.data.corpora",
    "read_corpus": "keras_bert_zoo.data.corpus",
    "Splits": "keras_bert_zoo.data.datasets",
    "DATASETS": "keras_bert_zoo.data.datasets",
    "load_dataset": "keras_bert_zoo.data.datasets",
    "read_conll": "keras_bert_zoo.data.conll",
    "from_words": "keras_bert_zoo.data.conll",
    "read_splits": "keras_bert_zoo.data.reading",
    "read_texts": "keras_bert_zoo.data.reading",
    "read_squad": "keras_bert_zoo.data.squad",
    "question_table": "keras_bert_zoo.data.squad",
    "write_squad": "keras_bert_zoo.data.squad",
    "GLUE": "keras_bert_zoo.data.glue",
    "read_glue": "keras_bert_zoo.data.glue",
    "write_pretraining_data": "keras_bert_zoo.data.pretraining",
    "batches": "keras_bert_zoo.data.batching",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keras_bert_zoo.data' has no attribute '{name}'")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
