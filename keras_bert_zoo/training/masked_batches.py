"""Rows of pretraining shards as the model takes them, masks drawn.  B batch, T tokens a row, M places asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import tensorflow as tf

from keras_bert_zoo.data.ahead import made_ahead
from keras_bert_zoo.text.masking import draw_masks
from keras_bert_zoo.text.sequences import pack_sequences
from keras_bert_zoo.training.dealing import with_steps
from keras_bert_zoo.training.records import Rows, Stream

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

Prepare = Callable[[Mapping[str, tf.Tensor]], tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]]


def preparation(
    tokenizer: Tokenizer,
    *,
    dynamic: bool,
    share: float,
    most: int,
    whole_words: bool,
    width: int | None,
    sequences: int = 1,
    length: int = 0,
) -> Prepare:
    """Return the function, for `tf.data`, from a stream's batch to what the model takes and what its losses take.

    `dynamic` draws masks, see `text.masking.draw_masks`; `width` is the number of places asked about in every batch,
    None for as many as its fullest row has.  With several `sequences` a row they are put into rows of `length` tokens,
    see `text.sequences.pack_sequences`.
    """

    @tf.autograph.experimental.do_not_convert
    def prepare(batch: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        features = {name: batch[name] for name in ("input_word_ids", "input_mask", "input_type_ids")}
        if dynamic:
            features, asked = draw_masks(
                features, tokenizer, batch["seeds"], share=share, most=most, whole_words=whole_words
            )
        else:
            features["masked_lm_positions"] = batch["masked_lm_positions"]
            ids = tf.cast(batch["masked_lm_ids"], tf.float32)
            asked = tf.stack([ids, batch["masked_lm_weights"]], axis=-1)  # [B,M,2]
        if width is not None:
            more = tf.maximum(width - tf.shape(asked)[1], 0)
            features["masked_lm_positions"] = tf.pad(features["masked_lm_positions"], [[0, 0], [0, more]])
            asked = tf.pad(asked, [[0, 0], [0, more], [0, 0]])
        targets = {"masked_lm": asked, "next_sentence": batch["next_sentence_labels"]}
        return pack_sequences(features, targets, length, sequences=sequences) if sequences > 1 else (features, targets)

    return prepare


def batches(
    stream: Stream, prepare: Prepare, start: int, stop: int, strategy: tf.distribute.Strategy | None = None
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Return the batches of steps `start` to `stop`, ready for `fit`; of a stream that is a share, the strategy's."""
    pieces = (stop - start) * (1 if stream.share.whole else stream.share.replicas)
    dataset = _dataset(stream, prepare, lambda: stream.batches(start, stop)).apply(
        tf.data.experimental.assert_cardinality(pieces)
    )
    if stream.share.whole or strategy is None:
        return dataset
    return with_steps(strategy.distribute_datasets_from_function(lambda _: dataset), stop - start)


def held_out(stream: Stream, prepare: Prepare) -> tf.data.Dataset:
    """Return every row once, with the same masks each time, ready for `evaluate`."""
    dataset = _dataset(stream, prepare, stream.in_order)
    if stream.corrupt == "skip":  # nobody knows how many there are
        return dataset
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-stream.shards.instances // stream.batch_size)))


def _dataset(stream: Stream, prepare: Prepare, read: Callable[[], Iterator[Rows]]) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_generator(read, output_signature=stream.signature())
    return made_ahead(dataset, prepare)
