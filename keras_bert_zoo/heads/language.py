"""What the heads of pretraining share: their places on disk, their labels, checks and answers.  N rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_bert_zoo.config import ACTIVATIONS
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.heads.head import Where
from keras_bert_zoo.weights.rows import TRANSPOSE, AnyRow, Row, Spare, Tied

# Where the weights of either lie.  Source: transformers, modeling_bert.py, BertPreTrainingHeads and its
# `_tied_weights_keys`: the decoder is the token table and the bias, and is not written a second time.
_MASKED_LM: tuple[AnyRow, ...] = (
    Row("head_transform/dense/kernel", "cls.predictions.transform.dense.weight", TRANSPOSE),
    Row("head_transform/dense/bias", "cls.predictions.transform.dense.bias"),
    Row("head_transform/norm/gamma", "cls.predictions.transform.LayerNorm.weight"),
    Row("head_transform/norm/beta", "cls.predictions.transform.LayerNorm.bias"),
    Row("head_masked_lm/bias", "cls.predictions.bias"),
    Tied("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    Tied("cls.predictions.decoder.bias", "cls.predictions.bias"),
)
_NEXT_SENTENCE: tuple[AnyRow, ...] = (
    Row("head_logits/kernel", "cls.seq_relationship.weight", TRANSPOSE),
    Row("head_logits/bias", "cls.seq_relationship.bias"),
)
# Source: google-research/bert run_pretraining.py get_masked_lm_output, get_next_sentence_output.
_TF1_MASKED_LM: tuple[AnyRow, ...] = (
    Row("head_transform/dense/kernel", "cls/predictions/transform/dense/kernel"),
    Row("head_transform/dense/bias", "cls/predictions/transform/dense/bias"),
    Row("head_transform/norm/gamma", "cls/predictions/transform/LayerNorm/gamma"),
    Row("head_transform/norm/beta", "cls/predictions/transform/LayerNorm/beta"),
    Row("head_masked_lm/bias", "cls/predictions/output_bias"),
)
_TF1_NEXT_SENTENCE: tuple[AnyRow, ...] = (
    Row("head_logits/kernel", "cls/seq_relationship/output_weights", TRANSPOSE),
    Row("head_logits/bias", "cls/seq_relationship/output_bias"),
)
# Source: tf-models-official, nlp/modeling: layers/masked_lm.py and cls_head.py, models/bert_pretrainer.py.
_GARDEN_MASKED_LM: tuple[AnyRow, ...] = (
    Row("head_transform/dense/kernel", "masked_lm/dense/kernel"),
    Row("head_transform/dense/bias", "masked_lm/dense/bias"),
    Row("head_transform/norm/gamma", "masked_lm/layer_norm/gamma"),
    Row("head_transform/norm/beta", "masked_lm/layer_norm/beta"),
    Row("head_masked_lm/bias", "masked_lm/bias"),
)
_GARDEN_NEXT_SENTENCE: tuple[AnyRow, ...] = (
    Row("head_logits/kernel", "next_sentence/out_proj/kernel"),
    Row("head_logits/bias", "next_sentence/out_proj/bias"),
)
# Source: keras_hub, layers/modeling/masked_lm_head.py; the decoder is the backbone's own table.
_KERAS_HUB_MASKED_LM: tuple[AnyRow, ...] = (
    Row("head_transform/dense/kernel", "task/layers/masked_lm_head/_intermediate_dense/vars/0"),
    Row("head_transform/dense/bias", "task/layers/masked_lm_head/_intermediate_dense/vars/1"),
    Row("head_transform/norm/gamma", "task/layers/masked_lm_head/_intermediate_layer_norm/vars/0"),
    Row("head_transform/norm/beta", "task/layers/masked_lm_head/_intermediate_layer_norm/vars/1"),
    Row("head_masked_lm/bias", "task/layers/masked_lm_head/vars/0"),
)
# Source: the same layers, in an encoder that Model Garden's export_tfhub_lib.py wrote with its masked-LM layer.
_SAVED_MASKED_LM: tuple[AnyRow, ...] = (
    *_TF1_MASKED_LM[:-1],
    Row("head_masked_lm/bias", "cls/predictions/output_bias/bias"),
)
# A weight format -> where it keeps the two heads.
_BOTH = {
    "huggingface": (_MASKED_LM, _NEXT_SENTENCE),
    "tf1": (_TF1_MASKED_LM, _TF1_NEXT_SENTENCE),
    "model_garden": (_GARDEN_MASKED_LM, _GARDEN_NEXT_SENTENCE),
}


def _beside(own: tuple[AnyRow, ...], other: tuple[AnyRow, ...]) -> tuple[AnyRow, ...]:
    return (*own, *(Spare(row.theirs) for row in other))


# Weights of one of the heads are often kept with the other one beside it: Google's own always are.
MASKED_LM_PLACES: Mapping[str, Sequence[AnyRow]] = {
    **{format: _beside(masked_lm, next_sentence) for format, (masked_lm, next_sentence) in _BOTH.items()},
    "keras_hub": _KERAS_HUB_MASKED_LM,
    "saved_model": _SAVED_MASKED_LM,
}
NEXT_SENTENCE_PLACES: Mapping[str, Sequence[AnyRow]] = {
    format: _beside(next_sentence, masked_lm) for format, (masked_lm, next_sentence) in _BOTH.items()
}
PRETRAINING_PLACES: Mapping[str, Sequence[AnyRow]] = {format: (*both[0], *both[1]) for format, both in _BOTH.items()}
# A second text follows the first, or does not: Google's and Hugging Face's order.
NEXT_SENTENCE_LABELS = ("is_next", "not_next")


def next_sentence_targets(labels: Sequence[Any], where: Where) -> np.ndarray:
    """Turn 0 and 1, or is_next and not_next, into int32 [N].  Raises: DataError naming the row on anything else."""
    numbers = {"0": 0, "1": 1, **{label: i for i, label in enumerate(NEXT_SENTENCE_LABELS)}}
    for i, label in enumerate(labels):
        if str(label) not in numbers:
            raise DataError(f"{where(i)}: label {label!r} is neither is_next (0) nor not_next (1).")
    return np.array([numbers[str(label)] for label in labels], "int32")


def check_masking(head: str, top_k: int, mask_share: float, max_predictions: int | None) -> None:
    """Raises: ConfigError on numbers that ask for no token."""
    if top_k < 1:
        raise ConfigError(f"{head}: top_k is {top_k}, it must be at least 1.")
    if not 0 < mask_share < 1:
        raise ConfigError(f"{head}: mask_share is {mask_share}, it must lie between 0 and 1.")
    if max_predictions is not None and max_predictions < 1:
        raise ConfigError(f"{head}: max_predictions is {max_predictions}, it must be at least 1.")


def check_transform(head: str, hidden_act: str | None, layer_norm_eps: float | None) -> None:
    """Raises: ConfigError on what is neither None nor a value that an encoder's config may have."""
    if hidden_act is not None and hidden_act not in ACTIVATIONS:
        raise ConfigError(f"{head}: hidden_act is {hidden_act!r}, it must be one of {', '.join(ACTIVATIONS)}.")
    number = isinstance(layer_norm_eps, (int, float)) and not isinstance(layer_norm_eps, bool)
    if layer_norm_eps is not None and not (number and layer_norm_eps > 0):
        raise ConfigError(f"{head}: layer_norm_eps is {layer_norm_eps!r}, it must be a number above 0.")


def masked_packer(head: Any, pack: Any, tokenizer: Any, length: int) -> Any:
    """Return `text.masking.typed_or_drawn` of a head that masks: around `pack`, by the head's own arguments."""
    from keras_bert_zoo.text.masking import typed_or_drawn

    options = {"share": head.mask_share, "most": head.max_predictions, "whole_words": head.whole_words}
    return typed_or_drawn(pack, tokenizer, head.columns, length, **options)


def widen_places(head: Any, features: dict[str, Any], asked: Any, width: Any) -> tuple[dict[str, Any], Any]:
    """Pad `masked_lm_positions` [B,M] and what is asked [B,M,2] to the most places a row of `width` tokens may have."""
    import tensorflow as tf

    from keras_bert_zoo.text.packing import pad_axis

    most = tf.maximum(1, tf.cast(tf.math.ceil(head.mask_share * tf.cast(width, tf.float32)), tf.int32))
    if head.max_predictions is not None:
        most = tf.minimum(most, head.max_predictions)
    positions = pad_axis(features["masked_lm_positions"], 1, most)
    return {**features, "masked_lm_positions": positions}, pad_axis(asked, 1, most)


def masking_config(head: Any) -> dict[str, Any]:
    """Return the arguments of a head that masks."""
    return {name: getattr(head, name) for name in ("top_k", "mask_share", "max_predictions", "whole_words")}
