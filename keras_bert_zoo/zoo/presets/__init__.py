"""Weights that have a name.  Pure data: where they come from, what they are, under which licence."""

from __future__ import annotations

from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import archives, google, huggingface, packages

PRESETS: dict[str, Preset] = {
    preset.name: preset for preset in (*packages.PRESETS, *google.PRESETS, *huggingface.PRESETS, *archives.PRESETS)
}

# Often asked for, but published as pickles alone when this was written: reading those runs code.  Name -> repository.
PICKLED = {
    "finbert": "ProsusAI/finbert",
    "finbert-tone": "yiyanghkust/finbert-tone",
    "legal-bert": "nlpaueb/legal-bert-base-uncased",
    "legal-bert-base-uncased": "nlpaueb/legal-bert-base-uncased",
    "legal-bert-small-uncased": "nlpaueb/legal-bert-small-uncased",
    "clinicalbert": "emilyalsentzer/Bio_ClinicalBERT",
    "bio-clinicalbert": "emilyalsentzer/Bio_ClinicalBERT",
}
