"""A model with all it needs to answer: encoder, tokenizer and head.  Loaded, saved, asked.

On disk a bundle is a Hugging Face BERT folder plus `zoo.json`, which holds what Hugging Face has no word for.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_bert_zoo import heads, weights
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.data.batching import table_columns
from keras_bert_zoo.data.columns import check_columns
from keras_bert_zoo.encoder import build_encoder, encoder_config
from keras_bert_zoo.errors import CheckpointError, ConfigError, VocabularyError
from keras_bert_zoo.files import new_folder
from keras_bert_zoo.text import settings
from keras_bert_zoo.text.tokenizer import Tokenizer
from keras_bert_zoo.training.answers import Answers
from keras_bert_zoo.training.evaluation import check_labelled, evaluate, scored_answers
from keras_bert_zoo.weights import sentence_transformers
from keras_bert_zoo.weights.formats import Opened, Parts, Weights, expressed_head
from keras_bert_zoo.weights.transfer import Audit, common_dtype, import_rows, warn_of_widened
from keras_bert_zoo.zoo import fetch, lowers

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.training.model import TaskModel

ZOO_FILE = "zoo.json"
DTYPES = ("float32", "bfloat16", "float16")  # that weights are written in


@dataclasses.dataclass(frozen=True)
class Bundle:
    """An encoder and its tokenizer; with a head, also the task model that shares the encoder's layers.

    `max_length` is the limit in tokens, special tokens included, that texts are cut to.
    """

    encoder: keras.Model
    tokenizer: Tokenizer
    head: Head | None = None
    model: TaskModel | None = None
    max_length: int = 512

    @property
    def config(self) -> BertConfig:
        """The encoder's config."""
        return encoder_config(self.encoder).replace(pad_token_id=self.tokenizer.pad_id)

    def attach(self, head: Head) -> Bundle:
        """Return a bundle with another head on the same encoder.

        Heads of pretraining keep what they have learnt: `MaskedLM` on a bundle with a `Pretraining` head, or on
        another `MaskedLM`, begins with the weights that are there.
        """
        model = head.attach(self.encoder)
        if head.lasting and self.head is not None and self.head.lasting and self.model is not None:
            learnt = {weight.path: weight for weight in self.model.weights if weight.path.startswith("head_")}
            for weight in model.weights:
                if weight.path in learnt:
                    weight.assign(learnt[weight.path].value)
        return dataclasses.replace(self, head=head, model=model)

    def predict(self, texts: Sequence[str], *, batch_size: int = 32, **more: Sequence[Any]) -> list[dict[str, Any]]:
        """Answer each text with the dict the served model gives: `predict(["a"])`, `predict(["a"], text_pair=["b"])`.

        Values are strings, numbers and lists.  Raises: ConfigError without a head; DataError on columns that the
        head does not read, that are no lists of strings, or that differ in length.
        """
        head, _ = self._task()
        columns = dict(zip(head.columns, [texts], strict=False), **more)
        check_columns(head, columns)
        return self._answers(columns, batch_size=batch_size)

    def evaluate(
        self, table: Table, *, batch_size: int = 32, predictions: str | Path | None = None
    ) -> dict[str, float]:
        """Return the head's figures on a labelled table.

        `predictions` is a new folder for the answers, as the files that the task's own scripts read.
        Raises: ConfigError without a head, or where the task has no such files; DataError on its rows.
        """
        head, model = self._task()
        if predictions is not None:
            check_labelled(table)
            told = self._scored_answers(table_columns(table, head), batch_size=batch_size)
            figures = head.score(table, told)
            head.write_answers(table, told, Path(predictions))
            return figures
        answers = self._scored_answers if head.scored_by == "answers" else None
        length = self.max_length
        return evaluate(model, head, self.tokenizer, table, batch_size=batch_size, length=length, answers=answers)

    def _task(self) -> tuple[Head, TaskModel]:
        if self.head is None or self.model is None:
            raise ConfigError("This bundle is an encoder without a head. Attach one: bundle.attach(kbz.heads.…).")
        return self.head, self.model

    @functools.cached_property
    def _answers(self) -> Answers:
        head, model = self._task()
        return Answers(model, head, self.tokenizer, self.max_length)

    @functools.cached_property
    def _scored_answers(self) -> Answers:
        head, model = self._task()
        if head.scored_signature == "serving_default":
            return self._answers
        return scored_answers(model, head, self.tokenizer, self.max_length)


def load(
    source: str | Path,
    *,
    head: Head | None = None,
    encoder_only: bool = False,
    unused: Sequence[str] = (),
    missing: Sequence[str] = (),
    dtype: str | None = None,
    format: str | None = None,
    lower: bool | None = None,
) -> Bundle:
    """Load a preset, a local folder of any format in `kbz.weights.FORMATS`, or `hf://org/name`.

    `format` is the folder's, told by its files unless given; `lower` says whether the tokenizer lower-cases, where
    neither the folder nor the preset tells.  Every tensor must fit; exceptions are named by the caller as patterns:
    `unused` of the file's names, `missing` of ours.  `head` is the head to read where the folder's files name another:
    Google's weights are called BertForMaskedLM but hold both heads of pretraining.  `encoder_only` leaves the head out.
    `dtype` is a Keras dtype or policy for the layers, "auto" for the dtype of the file's tensors.  Unless it is given
    half precision is widened to the global policy's float32, with a warning.
    Raises: DownloadError, ConfigError, VocabularyError, CheckpointError.
    """
    options: dict[str, Any] = {"head": head, "encoder_only": encoder_only, "unused": unused, "missing": missing}
    bundle, _, audit = read(source, dtype=dtype, format=format, lower=lower, **options)
    if dtype is None:
        warn_of_widened(audit)
    return bundle


def read(
    source: str | Path,
    *,
    head: Head | None = None,
    encoder_only: bool = False,
    unused: Sequence[str] = (),
    missing: Sequence[str] = (),
    dtype: str | None = None,
    format: str | None = None,
    lower: bool | None = None,
) -> tuple[Bundle, Opened, Audit]:
    """Load a bundle, see `load`, and return also what it was read from and what became of every tensor."""
    root = fetch(str(source))
    lower = lowers(source) if lower is None else lower
    folder = sentence_transformers.transformer_folder(root)
    opened = weights.named(format or weights.find(folder)).open_folder(folder)
    config, most = opened.config, opened.config.max_position_embeddings
    ours = _read_zoo_file(root)
    modules = None if encoder_only else sentence_transformers.read_modules(root, config.hidden_size)
    tokenizer = _tokenizer(folder, opened, ours, lower, most)
    if tokenizer.vocab_size > config.vocab_size:
        name = opened.vocabulary.name if opened.vocabulary else "vocab.txt"
        raise VocabularyError(
            f"{folder}: {name} has {tokenizer.vocab_size} lines, but the weights know {config.vocab_size} tokens"
            f" (vocab_size in {Path(opened.where).name}). The two files do not belong together."
        )
    if dtype == "auto":
        stored = {opened.reader.dtype(name) for name in opened.reader.names()}
        dtype = common_dtype(name for name in stored if "float" in name)
    encoder = build_encoder(config, dtype=dtype)
    head = None if encoder_only else head or _head(opened, ours, modules)
    model = head.attach(encoder) if head else None
    rows = [*opened.rows, *map(opened.spelt, head.rows(opened.format) if head else [])]
    audit = import_rows(Weights(encoder, model), opened.reader, rows, unused=unused, missing=missing)
    limit = ours.get("max_length", most)
    if modules and "max_length" not in ours:
        limit = modules.max_length or tokenizer.settings.max_length
    return Bundle(encoder, tokenizer, head, model, min(limit, most)), opened, audit


def save(
    bundle: Bundle,
    folder: str | Path,
    *,
    overwrite: bool = False,
    format: str = "huggingface",
    allow: Sequence[str] = (),
    dtype: str | None = None,
    max_shard_size: int | str | None = None,
) -> Path:
    """Write a bundle as a folder that `load` and `transformers` read; it appears whole or not at all.

    `format` and `allow` see `write`.  `dtype` is one of `DTYPES` for the tensors, what the model stores unless given;
    `max_shard_size`, such as "5GB", parts the weights into several files, as `transformers` does.
    Raises: ConfigError where the folder is there already and `overwrite` is false, or see `write`; CheckpointError
    where it cannot be written.
    """
    with whole_folder(folder, overwrite=overwrite) as partial:
        write(bundle, partial, format=format, allow=allow, dtype=dtype, max_shard_size=max_shard_size)
    return Path(folder)


@contextmanager
def whole_folder(folder: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Hand out a folder to fill, see `files.new_folder`.  Raises: CheckpointError where it cannot be written."""
    try:
        with new_folder(folder, overwrite=overwrite) as partial:
            yield partial
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written: {error}. Nothing is left of it: make room, or choose another folder."
        ) from error


def write(
    bundle: Bundle,
    folder: Path,
    *,
    format: str = "huggingface",
    allow: Sequence[str] = (),
    dtype: str | None = None,
    max_shard_size: int | str | None = None,
) -> Audit:
    """Write a bundle's files into an empty folder, in a format of `weights.TARGETS`, and `zoo.json` beside them.

    `allow` names fields of the config that may change where the format has no word for them.
    Raises: ConfigError naming such a field; CheckpointError where a weight has no place in the format.
    """
    writer, config, head = weights.named(format), bundle.config, bundle.head
    if dtype not in (None, *DTYPES):
        raise ConfigError(f"dtype is {dtype!r}, weights are written as one of {', '.join(DTYPES)}.")
    if max_shard_size is not None and not getattr(writer, "SHARDS", False):
        raise ConfigError(f"The format '{format}' has one file of weights: leave out max_shard_size.")
    ours: dict[str, Any] = {"format": 1, "max_length": bundle.max_length}
    changes: tuple[str, ...] = ()
    if head is not None:
        known = getattr(writer, "TRANSFORM", {})
        changed, changes = expressed_head(head, config, known, format=format, allow=allow)
        head = heads.make(head.name, {**head.get_config(), **changed}) if changed else head
        ours["head"] = {"name": head.name, "config": head.get_config()}
    parts = Parts(
        config, bundle.encoder, bundle.tokenizer, head, bundle.model, bundle.max_length, dtype, max_shard_size
    )
    audit = writer.write_folder(parts, folder, allow=allow)
    audit = dataclasses.replace(audit, config_changes=(*audit.config_changes, *changes))
    if not (folder / settings.FILE).exists():  # the format has no words for these
        ours["tokenizer"] = dataclasses.asdict(bundle.tokenizer.settings)
    (folder / ZOO_FILE).write_text(json.dumps(ours, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return audit


def _read_zoo_file(folder: Path) -> dict[str, Any]:
    path = folder / ZOO_FILE
    if not path.exists():
        return {}
    try:
        ours = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: broken JSON ({error}). Write the folder again with kbz.save.") from None
    if not isinstance(ours, dict) or ours.get("format") != 1:
        raise ConfigError(f"{path}: its format is not 1, the only one this version reads. Update keras-bert-zoo.")
    return ours


def _tokenizer(folder: Path, opened: Opened, ours: Mapping[str, Any], lower: bool | None, most: int) -> Tokenizer:
    switches = {**opened.switches, **ours.get("tokenizer", {}), **({} if lower is None else {"lower": lower})}
    if opened.vocabulary is None:
        there = "lower" not in switches or (folder / settings.FILE).exists()
        told = settings.read_settings(folder).get("max_length", most) if there else most
        return Tokenizer.from_folder(folder, max_length=min(told, most), **switches)
    if "lower" not in switches:
        raise VocabularyError(
            f"{folder}: nothing says whether its tokens are of lower-cased text. Pass lower=True for an uncased model,"
            " lower=False for a cased one (--uncased, --cased)."
        )
    return Tokenizer.from_file(opened.vocabulary, **{"max_length": most, **switches})


def _head(opened: Opened, ours: Mapping[str, Any], modules: sentence_transformers.Modules | None) -> Any:
    if "head" in ours:
        return heads.make(ours["head"]["name"], ours["head"]["config"])
    if modules is not None:
        return heads.make("sentence_embedding", {"pooling": modules.pooling, "normalize": modules.normalize})
    if opened.format == "huggingface":
        return heads.from_huggingface(opened.values, opened.where)
    if opened.head and opened.head[0] not in heads.HEADS:
        raise ConfigError(
            f"{opened.where}: the task {opened.head[0]} beside it has no head here. To read the encoder alone, pass"
            " encoder_only=True."
        )
    return heads.make(*opened.head) if opened.head else None
