"""Folders of the Hugging Face hub that hold safetensors, a BERT and WordPiece; their "gelu" is the one by erf."""

from __future__ import annotations

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.zoo.hub import HubFolder
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets.google import (
    CHINESE,
    DEVLIN,
    ENGLISH_CASED,
    ENGLISH_UNCASED,
    MULTILINGUAL_CASED,
    MULTILINGUAL_UNCASED,
)

_SBERT = "Reimers and Gurevych 2019, Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks"
_BGE = "Xiao et al. 2023, C-Pack: Packaged Resources To Advance General Chinese Embedding"
_E5 = "Wang et al. 2022, Text Embeddings by Weakly-Supervised Contrastive Pre-training"
_GTE = "Li et al. 2023, Towards General Text Embeddings with Multi-stage Contrastive Learning"
_ARCTIC = "Merrick et al. 2024, Arctic-Embed: Scalable, Efficient, and Accurate Text Embedding Models"
_MXBAI = "Lee et al. 2024, Open Source Strikes Bread: New Fluffy Embeddings Model"
_UAE = "Li and Li 2023, AnglE-optimized Text Embeddings"
_LABSE = "Feng et al. 2022, Language-agnostic BERT Sentence Embedding"
_NER = "Devlin et al. 2019 (BERT); Tjong Kim Sang and De Meulder 2003, the CoNLL-2003 shared task"

# layers, hidden size, heads
_L6, _L12, _BASE, _LARGE = (6, 384, 12), (12, 384, 12), (12, 768, 12), (24, 1024, 16)


def _folder(
    repository: str,
    description: str,
    size: tuple[int, int, int],
    license: str,
    citation: str,
    *,
    vocabulary: int = ENGLISH_UNCASED,
    casing: str = "uncased",
    name: str = "",
    aliases: tuple[str, ...] = (),
) -> Preset:
    layers, hidden, heads = size
    own = repository.split("/")[1]
    return Preset(
        name=name or own,
        description=description,
        source=HubFolder(repository),
        config=BertConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
        ),
        casing=casing,
        license=license,
        citation=citation,
        aliases=(repository, own, *aliases),
    )


PRESETS = (
    # The originals, converted by Hugging Face.  "bert-base" and "bert-large" may mean any of several.
    _folder(
        "google-bert/bert-base-uncased",
        "BERT-Base, English uncased",
        _BASE,
        "Apache-2.0",
        DEVLIN,
        aliases=("bert-base",),
    ),
    _folder(
        "google-bert/bert-base-cased",
        "BERT-Base, English cased",
        _BASE,
        "Apache-2.0",
        DEVLIN,
        vocabulary=ENGLISH_CASED,
        casing="cased",
        aliases=("bert-base",),
    ),
    _folder(
        "google-bert/bert-large-uncased",
        "BERT-Large, English uncased",
        _LARGE,
        "Apache-2.0",
        DEVLIN,
        aliases=("bert-large",),
    ),
    _folder(
        "google-bert/bert-large-cased",
        "BERT-Large, English cased",
        _LARGE,
        "Apache-2.0",
        DEVLIN,
        vocabulary=ENGLISH_CASED,
        casing="cased",
        aliases=("bert-large",),
    ),
    _folder(
        "google-bert/bert-large-uncased-whole-word-masking",
        "BERT-Large, English uncased, whole words masked",
        _LARGE,
        "Apache-2.0",
        DEVLIN,
    ),
    _folder(
        "google-bert/bert-large-cased-whole-word-masking",
        "BERT-Large, English cased, whole words masked",
        _LARGE,
        "Apache-2.0",
        DEVLIN,
        vocabulary=ENGLISH_CASED,
        casing="cased",
    ),
    _folder(
        "google-bert/bert-base-multilingual-cased",
        "BERT-Base, 104 languages, cased",
        _BASE,
        "Apache-2.0",
        DEVLIN,
        vocabulary=MULTILINGUAL_CASED,
        casing="cased",
        aliases=("mbert",),
    ),
    _folder(
        "google-bert/bert-base-multilingual-uncased",
        "BERT-Base, 102 languages, uncased",
        _BASE,
        "Apache-2.0",
        DEVLIN,
        vocabulary=MULTILINGUAL_UNCASED,
    ),
    _folder(
        "google-bert/bert-base-chinese",
        "BERT-Base, Chinese; unlike Google's, its tokenizer keeps case",
        _BASE,
        "Apache-2.0",
        DEVLIN,
        vocabulary=CHINESE,
        casing="cased",
    ),
    # Sentence embeddings
    _folder(
        "sentence-transformers/all-MiniLM-L12-v2",
        "MiniLM with 12 layers of 384, tuned for sentence embeddings",
        _L12,
        "Apache-2.0",
        _SBERT,
        aliases=("minilm",),
    ),
    _folder(
        "sentence-transformers/multi-qa-MiniLM-L6-cos-v1",
        "MiniLM with 6 layers of 384, tuned to find answers to questions",
        _L6,
        "Apache-2.0",
        _SBERT,
    ),
    _folder("BAAI/bge-small-en-v1.5", "BGE 1.5, small: English texts for search", _L12, "MIT", _BGE),
    _folder("BAAI/bge-base-en-v1.5", "BGE 1.5, base: English texts for search", _BASE, "MIT", _BGE),
    _folder("BAAI/bge-large-en-v1.5", "BGE 1.5, large: English texts for search", _LARGE, "MIT", _BGE),
    *(
        _folder(
            f"intfloat/e5-{size}{version}",
            f"E5{version.replace('-v', ' ')}, {size}: English texts for search, led by 'query: ' or 'passage: '",
            shape,
            "MIT",
            _E5,
        )
        for version in ("", "-v2")
        for size, shape in (("small", _L12), ("base", _BASE), ("large", _LARGE))
    ),
    _folder("thenlper/gte-small", "GTE, small: English texts for search and likeness", _L12, "MIT", _GTE),
    _folder("thenlper/gte-base", "GTE, base: English texts for search and likeness", _BASE, "MIT", _GTE),
    _folder("thenlper/gte-large", "GTE, large: English texts for search and likeness", _LARGE, "MIT", _GTE),
    _folder("Snowflake/snowflake-arctic-embed-xs", "Arctic Embed, 22M: English search", _L6, "Apache-2.0", _ARCTIC),
    _folder("Snowflake/snowflake-arctic-embed-s", "Arctic Embed, 33M: English search", _L12, "Apache-2.0", _ARCTIC),
    _folder("Snowflake/snowflake-arctic-embed-m", "Arctic Embed, 109M: English search", _BASE, "Apache-2.0", _ARCTIC),
    _folder("Snowflake/snowflake-arctic-embed-l", "Arctic Embed, 335M: English search", _LARGE, "Apache-2.0", _ARCTIC),
    _folder(
        "mixedbread-ai/mxbai-embed-large-v1",
        "Mixedbread's large English embeddings",
        _LARGE,
        "Apache-2.0",
        _MXBAI,
        aliases=("mxbai-embed-large",),
    ),
    _folder("WhereIsAI/UAE-Large-V1", "UAE, large English embeddings", _LARGE, "MIT", _UAE),
    _folder(
        "sentence-transformers/LaBSE",
        "LaBSE: sentences of 109 languages in one space (a dense layer follows: load it with encoder_only)",
        _BASE,
        "Apache-2.0",
        _LABSE,
        vocabulary=501153,
        casing="cased",
    ),
    # Finished tasks
    _folder(
        "dslim/bert-base-NER",
        "English names: persons, places, organisations, others",
        _BASE,
        "MIT",
        _NER,
        vocabulary=ENGLISH_CASED,
        casing="cased",
    ),
    _folder(
        "google-bert/bert-large-uncased-whole-word-masking-finetuned-squad",
        "BERT-Large, English uncased, that answers questions out of a text (SQuAD)",
        _LARGE,
        "Apache-2.0",
        DEVLIN,
        name="bert-large-uncased-wwm-squad",
    ),
)
