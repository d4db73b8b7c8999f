"""Cleaning, lower-casing and accent stripping in the graph, through a table that spells the rules out.

B texts, N all bytes of the normalised texts.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from keras_bert_zoo.text import tables
from keras_bert_zoo.text.rules import Switches

_ANY_SIGMA = r"\C*Σ\C*"  # \C is any byte: a dot would fail at invalid UTF-8


class Normalizer:
    """Turns texts into words that are ready for WordPiece.

    Makes its constants where it is called, so that nothing outside a graph needs to be kept or tracked.
    """

    def __init__(self, switches: Switches) -> None:
        table = tables.load(switches.name)
        self._model = np.frombuffer(table.buffer, np.uint8)
        self.aliases = table.aliases
        # Only Python's str.lower(), hence only the original, knows the sigma at a word's end.
        self._final_sigma = switches.rules == "original" and switches.lower

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """Normalises texts.

        string [B] -> string [B].
        """
        return self._op().normalize(texts)

    def normalize_with_offsets(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.RaggedTensor]:
        """Normalises valid UTF-8 and tells where each byte came from.

        string [B] -> string [B]; int64 [B,(N+1)], each output byte's place in its text, in bytes.
        """
        return self._op().normalize_with_offsets(texts)

    def lower_final_sigma(self, texts: tf.Tensor) -> tf.Tensor:
        """Lower-cases the capital sigmas at words' ends, which need their context; comes before `normalize`.

        string [B] -> string [B], each valid text as long as it was.
        """
        if not self._final_sigma:
            return texts

        def lower() -> tf.Tensor:
            # The pattern would stop at a byte that is not UTF-8, though cleaning takes it out.
            valid = drop_invalid(texts)
            return tf.strings.regex_replace(valid, tables.final_sigma_pattern(), r"\1ς\2")  # ς is as long as Σ

        return tf.cond(tf.reduce_any(tf.strings.regex_full_match(texts, _ANY_SIGMA)), lower, lambda: texts)

    def _op(self) -> tf_text.FastBertNormalizer:
        return tf_text.FastBertNormalizer(model_buffer=tf.constant(self._model))


def drop_invalid(texts: tf.Tensor) -> tf.Tensor:
    """Texts without their bytes that are not UTF-8, like Python's `decode("utf-8", "ignore")`.

    string [B] -> string [B].
    """
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="ignore")
