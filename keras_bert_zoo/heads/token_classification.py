"""A tag for every word: names, parts of speech.  B texts, R windows of them, T tokens a window, W words, C tags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.encoder import encode, encoder_config
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.heads.head import Head, Packer, Where, check_labels, dense_logits
from keras_bert_zoo.training.metrics import LabelledAccuracy
from keras_bert_zoo.training.model import TaskModel
from keras_bert_zoo.training.tags import check_spans, entity_figures, predicted_tags, read_tags, tags_in

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.text.tokenizer import Tokenizer

WORDS = ("tokenizer", "whitespace")
IGNORED = -1  # the target of what is no word's first piece
_SPECIAL = 2  # [CLS] and [SEP]
_WHITESPACE = re.compile(r"[^ \t\n\r]+")  # a word between white space, as text/words.py finds them


class TokenClassification(Head):
    """Tags the words of a text and joins them to entities.

    `labels` are the tags; `scheme` says how they make entities, see `training/tags.py`.  A word is one of the
    tokenizer's (`words="tokenizer"`: punctuation and ideographs are words), or all between white space
    (`words="whitespace"`, for texts of words that are parted already); its tag is read at its first piece.  A text
    longer than the model is read in windows, each `stride` tokens after the one before, half a window unless given;
    a word is read in the window where it has most context.

    Served out: `entity` and `label` string [B,E], `start` and `end` int32 [B,E] in characters, `score` float32 [B,E],
    the mean of the words' probabilities; filled up with "", -1 and 0.  The export's signature `words` is
    `serving_default` with `words="whitespace"`; it is what an evaluation measures.
    Raises: ConfigError unless `labels` are different strings that suit the scheme, and on other arguments.
    """

    name: ClassVar[str] = "token_classification"
    architecture: ClassVar[str] = "BertForTokenClassification"
    monitor: ClassVar[str] = "f1"
    windowed: ClassVar[bool] = True
    scored_by: ClassVar[str] = "answers"
    scored_signature: ClassVar[str] = "words"

    def __init__(
        self,
        labels: Sequence[str],
        *,
        words: str = "tokenizer",
        scheme: str = "auto",
        stride: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        self.labels = check_labels("TokenClassification", labels, least=1)
        super().__init__(len(self.labels), dropout=dropout)
        if words not in WORDS:
            raise ConfigError(f"TokenClassification: words is {words!r}, it must be one of {', '.join(WORDS)}.")
        if stride is not None and stride < 1:
            raise ConfigError(f"TokenClassification: stride is {stride}, it must be at least 1 token.")
        self.words = words
        self.scheme = scheme
        self.stride = stride
        self.tags = read_tags(self.labels, scheme)

    def signatures(self) -> dict[str, Head]:
        """Return itself, and the head that takes all between white space for a word."""
        return {
            "serving_default": self,
            "words": TokenClassification(**{**self.get_config(), "words": "whitespace"}),
        }

    # ---- from texts to features

    def row_counts(self, lengths: Mapping[str, np.ndarray], length: int) -> np.ndarray:
        """Return how many windows each text has, int [N]."""
        from keras_bert_zoo.text.windows import window_counts

        return window_counts(lengths["text"], *self._room_and_stride(length)).numpy()

    def _room_and_stride(self, length: int) -> tuple[int, int]:
        room = length - _SPECIAL
        if room < 1:
            raise ConfigError(f"The length is {length}; [CLS], [SEP] and one piece take {_SPECIAL + 1}.")
        return room, min(self.stride or max(room // 2, 1), room)

    def pack(self, tokenizer: Tokenizer, length: int) -> Packer:
        """Return the function from texts to windows; see `Head.pack`.

        With targets, those of `targets`, it gives the tag of each word's first piece, int32 [R,T], and -1 elsewhere.
        Without, it also tells `decode` each word's text, characters and place among the logits.
        """
        import tensorflow as tf

        from keras_bert_zoo.text import words
        from keras_bert_zoo.text.normalizer import drop_invalid
        from keras_bert_zoo.text.packing import pack
        from keras_bert_zoo.text.windows import Windows, cut_windows, look_through

        room, stride = self._room_and_stride(length)
        special = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}
        begins = np.array([not token.startswith("##") for token in tokenizer.vocabulary])  # by id
        begins[tokenizer.unk_id] = True

        def features(
            columns: Mapping[str, Any], targets: Any = None, window: Any = None
        ) -> tuple[dict[str, tf.Tensor], Any]:
            texts = drop_invalid(tf.convert_to_tensor(columns["text"], tf.string))  # [B]
            ids, starts, ends = tokenizer.tokenize_with_offsets(texts)  # [B,(P)]
            lengths = tf.cast(ids.row_lengths(), tf.int32)  # [B]
            if window is None:
                windows = cut_windows(lengths, room, stride)
            else:
                left = lengths - window * stride
                windows = Windows(tf.range(tf.size(texts)), window * stride, tf.clip_by_value(left, 0, room))
            rows = pack([look_through(ids, windows)], **special, max_length=length)  # [R,T]
            if targets is not None:
                first = words.first_pieces(starts, targets["starts"], targets["ends"], targets["tags"])
                seen = look_through(first, windows).to_tensor(IGNORED)  # [R,T-2]
                return rows, tf.pad(seen, [[0, 0], [1, 1]], constant_values=IGNORED)
            found = words.characters(texts)
            is_first = words.word_begins(
                ids, starts, found, tf.constant(begins), at_spaces=self.words == "whitespace"
            )  # [P]
            place = tf.where(is_first)[:, 0]  # [W]
            last = tf.concat([place[1:], tf.size(is_first, tf.int64)[None]], axis=0)[: tf.size(place)] - 1
            cells = words.best_cells(windows, ids, tf.shape(rows["input_word_ids"])[1])  # [P]
            return {
                **rows,
                "owner": windows.owner,  # [R]
                "texts": texts,  # [B]
                "word_rows": tf.gather(words.piece_rows(ids), place),  # [W]
                "word_starts": tf.gather(starts.values, place),  # [W]
                "word_ends": tf.gather(ends.values, last),  # [W]
                "word_cells": tf.gather(cells, place),  # [W]
            }, None

        return features

    def widened(self, features: dict[str, Any], targets: Any, width: Any, pad_id: int) -> tuple[dict[str, Any], Any]:
        """Pad tags, int32 [R,T], as the rows are."""
        from keras_bert_zoo.text.packing import pad_axis

        features, targets = super().widened(features, targets, width, pad_id)
        return features, None if targets is None else pad_axis(targets, 1, width, IGNORED)

    def targets(self, labels: Sequence[Any], where: Where) -> dict[str, Any]:
        """Turn rows of (start, end, tag) into ragged int32 [N,(W)]: `starts`, `ends`, and the tags' numbers as `tags`.

        Raises: DataError on a tag that is not in the list, and on rows that hold anything else.
        """
        import tensorflow as tf

        rows = [self._numbered(cell, where(i)) for i, cell in enumerate(labels)]
        flat = np.array([word for row in rows for word in row], "int32").reshape(-1, 3)
        lengths = np.array([len(row) for row in rows], "int64")
        return {
            name: tf.RaggedTensor.from_row_lengths(flat[:, part], lengths)
            for part, name in enumerate(("starts", "ends", "tags"))
        }

    def _numbered(self, cell: Any, where: str) -> list[tuple[int, int, int]]:
        number = {label: i for i, label in enumerate(self.labels)}
        words = check_spans(cell, where)
        for place, (start, end, tag) in enumerate(words, start=1):
            if tag not in number:
                raise DataError(
                    f"{where}: word {place} (characters {start} to {end}) has the tag '{tag}', which is not among the"
                    f" head's labels ({', '.join(self.labels)})."
                )
        return [(start, end, number[tag]) for start, end, tag in words]

    @staticmethod
    def labels_in(values: Sequence[Any]) -> list[str]:
        """Return the tags of a table: "O" first, the others by type; each type gets every prefix that there is.

        Raises: DataError on rows that are no tagged words.
        """
        return tags_in(check_spans(cell, f"row {i}") for i, cell in enumerate(values, start=1))

    # ---- the model

    def attach(self, encoder: keras.Model) -> TaskModel:
        """Return a model from features to logits [R,T,C], sharing the encoder's layers; a pooler is not needed.

        Raises: ConfigError where the model is no encoder.
        """
        logits = dense_logits(encoder_config(encoder), self.outputs, self.dropout, encode(encoder))
        return TaskModel(encoder.input, logits, name=f"bert_{self.name}")

    def loss(self) -> keras.losses.Loss:
        """Return the mean cross entropy over words: targets int [R,T], of which -1 counts nothing, logits [R,T,C]."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the share of words with the right tag."""
        return [LabelledAccuracy()]

    # ---- from logits to answers

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [R,T,C] into entities; the answer is dense, as wide as the text with most of them."""
        import tensorflow as tf

        from keras_bert_zoo.text import words

        logits = tf.reshape(tf.cast(outputs, tf.float32), [-1, self.outputs])  # [R·T,C]
        probabilities = tf.nn.softmax(tf.gather(logits, features["word_cells"]))  # [W,C]
        tag = tf.argmax(probabilities, axis=-1, output_type=tf.int32)  # [W]
        rows = features["word_rows"]  # [W]
        types = sorted({tag.type for tag in self.tags})
        prefix = tf.gather(tf.constant([ord(tag.prefix) for tag in self.tags]), tag)  # [W]
        kind = tf.gather(tf.constant([types.index(tag.type) for tag in self.tags]), tag)  # [W]

        def before(values: tf.Tensor, none: int) -> tf.Tensor:
            shifted = tf.concat([tf.cast([none], values.dtype), values[:-1]], axis=0)
            return shifted

        def one_of(values: tf.Tensor, letters: str) -> tf.Tensor:
            return tf.reduce_any([values == ord(letter) for letter in letters], axis=0)

        inside = prefix != ord("O")
        other_text = rows != before(rows, -1)
        ended = tf.logical_or(other_text, one_of(before(prefix, ord("O")), "OES"))
        begun = tf.logical_or(one_of(prefix, "BS"), kind != before(kind, -1))
        first = tf.logical_and(inside, tf.logical_or(ended, begun))  # [W]

        place = tf.where(first)[:, 0]  # [E of all texts]
        count = tf.size(place)
        kept = tf.where(inside)[:, 0]
        entity = tf.gather(tf.cumsum(tf.cast(first, tf.int32)) - 1, kept)  # the entity of each word that has one
        score = tf.gather(tf.reduce_max(probabilities, axis=-1), kept)
        ones = tf.ones_like(score)
        sums = [tf.math.unsorted_segment_sum(values, entity, count) for values in (score, ones)]
        owner = tf.gather(rows, place)
        start = tf.gather(features["word_starts"], place)
        end = tf.math.unsorted_segment_max(tf.gather(features["word_ends"], kept), entity, count)
        found = words.characters(features["texts"])
        end = words.with_marks(found, owner, end)
        splits = tf.searchsorted(owner, tf.range(tf.size(features["texts"], tf.int64) + 1))  # [B+1]

        def dense(values: tf.Tensor, padding: Any) -> tf.Tensor:
            return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor(padding)  # [B,E]

        return {
            "entity": dense(words.cut(found, owner, start, end), ""),
            "label": dense(tf.gather(tf.constant(types), tf.gather(kind, place)), ""),
            "start": dense(start, -1),
            "end": dense(end, -1),
            "score": dense(sums[0] / tf.maximum(sums[1], 1.0), 0.0),
        }

    def score(self, table: Table, answers: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Return precision, recall and F1 of entities, F1 of each type, and the share of words tagged right.

        Raises: DataError on a tag that is not in the list, and where the table's words are not all between white space.
        """
        true, predicted = [], []
        for i, (text, cell, answer) in enumerate(zip(table.texts, table.labels or (), answers, strict=True)):
            words = check_spans(cell, table.place(i))
            if [(start, end) for start, end, _ in words] != [each.span() for each in _WHITESPACE.finditer(text)]:
                raise DataError(
                    f"{table.place(i)}: its words are not those between white space, which an evaluation reads. Part"
                    " words by one space: kbz.data.from_words does."
                )
            true.append([self.tags[number] for _, _, number in self._numbered(words, table.place(i))])
            entities = zip(answer["start"], answer["end"], answer["label"], strict=True)
            predicted.append(predicted_tags(words, entities))
        return entity_figures(true, predicted, sorted({tag.type for tag in self.tags if tag.prefix != "O"}))

    # ---- on disk

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        own = {"words": self.words, "scheme": self.scheme, "stride": self.stride}
        return {"labels": list(self.labels), **own, "dropout": self.dropout}
