"""What the peers share: Hugging Face's tokenizer, as fast as it goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.text.settings import read_settings

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZING = "tokenizers encode_batch_fast, padded to the batch's longest"


class Tokenizing:
    """Turns a batch of texts into the three inputs, int64 [B,T], T the batch's longest text."""

    def __init__(self, setup: Setup) -> None:
        import tokenizers
        from tokenizers import models, normalizers, pre_tokenizers, processors

        with (setup.model / "vocab.txt").open(encoding="utf-8") as lines:
            numbers = {line.rstrip("\n"): i for i, line in enumerate(lines)}
        told = read_settings(setup.model)  # ours: nothing is left out
        special = told["special_tokens"]
        self.tokenizer = tokenizers.Tokenizer(models.WordPiece(numbers, unk_token=special["unk"]))
        self.tokenizer.normalizer = normalizers.BertNormalizer(
            lowercase=told["lower"], strip_accents=told["strip_accents"], handle_chinese_chars=told["split_cjk"]
        )
        self.tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        ends = (special[role] for role in ("sep", "cls"))
        self.tokenizer.post_processor = processors.BertProcessing(*((token, numbers[token]) for token in ends))
        self.tokenizer.enable_truncation(setup.length)
        self.tokenizer.enable_padding(pad_id=numbers[special["pad"]])

    def __call__(self, texts: list[str]) -> dict[str, Any]:
        encoded = self.tokenizer.encode_batch_fast(texts)
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        return dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))


def softmax(logits: Any) -> np.ndarray:
    """Turn logits [B,C] into probabilities, float32."""
    logits = np.asarray(logits, np.float32)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
