"""The whole of pretraining in one call: a model from nothing or from weights, to a bundle that can be fine-tuned.

While it goes on, the run's folder holds `unfinished/` with the settings and the newest checkpoints.  The same call
again goes on from there; at the end the bundle takes its place.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras

from keras_bert_zoo.bundle import Bundle, load, write
from keras_bert_zoo.card import write_pretraining_card, write_steps_curve
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.data.pretraining.manifest import vocabulary_sha256
from keras_bert_zoo.encoder import build_encoder, with_layout
from keras_bert_zoo.errors import ConfigError, DataError, VocabularyError
from keras_bert_zoo.files import read_json
from keras_bert_zoo.heads.pretraining import Pretraining
from keras_bert_zoo.rematerialization import rematerialize
from keras_bert_zoo.stopping import told_to_stop
from keras_bert_zoo.text.tokenizer import Tokenizer
from keras_bert_zoo.training.layouts import laid_out
from keras_bert_zoo.training.pretrain import make_optimizer, phase_data, run_phases, steps_a_call
from keras_bert_zoo.training.progress import Display
from keras_bert_zoo.training.recipes import Recipe
from keras_bert_zoo.training.resume import be_deterministic
from keras_bert_zoo.training.shards import Shards, find_shards
from keras_bert_zoo.training.strategy import strategy
from keras_bert_zoo.training.workers import Workers, lost_workers, weights_digest
from keras_bert_zoo.training.workplace import FREE, check_free, finish, workplace

# Name -> (blocks, hidden size); heads of 64, an inner layer four times as wide.  Source: Turc et al. 2019, table 1.
SIZES = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}


@dataclasses.dataclass(frozen=True)
class PretrainingRun:
    """A finished run: its bundle, a table of figures over the steps, and the seconds it took, pauses left out.

    `damaged` is, for each phase by number, how many rows could be read of each damaged shard.
    """

    bundle: Bundle
    rows: list[dict[str, Any]]
    seconds: float
    damaged: dict[str, dict[str, int]]


def pretrain(
    model: str | Path | BertConfig | Bundle,
    recipe: Recipe | Mapping[str, Any] | str | Path,
    *,
    vocabulary: str | Path | Tokenizer | None = None,
    lower: bool | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    devices: str | Any = "default",
    share_by: str = "record",
    command: str | None = None,
    tensorboard: str | Path | None = None,
    verbose: int | str = "auto",
) -> PretrainingRun:
    """Learn from shards of pretraining records: hidden tokens, and whether one text follows another.

    `model` is a size of `SIZES`, a config or a `config.json`, to begin from nothing with a `vocabulary`: a vocab.txt or
    a folder with a tokenizer; or a bundle or what `load` takes, to go on with.  `lower` says whether the vocabulary's
    texts are lower-cased, where the data do not.  `recipe` may be the path of a JSON file.  With `out` the run can be
    killed at any moment: the same call goes on where the newest checkpoint stands, and ends with the same weights as if
    nothing had happened.  Ctrl-C and SIGTERM save a checkpoint first, then raise `stopping.Stopped`.
    `devices` is a strategy or the name of one, see `strategy`; in a cluster every process makes this call, the chief
    alone writes, and `share_by` says what each one reads: its rows of every batch ("record") or files of its own
    ("file").
    `verbose` is 0, 1 (a bar), 2 (lines) or "auto"; `tensorboard` a folder for event files.
    Raises: ConfigError where `out` holds something else and `overwrite` is false; DataError, VocabularyError,
    CheckpointError, ClusterError, and what `load` raises.
    """
    recipe = _recipe(recipe)
    folder = None if out is None else Path(out).expanduser()
    place = strategy(devices) if isinstance(devices, str) else devices
    workers = Workers(place)
    share = workers.share(share_by)
    workers.first(None if folder is None else lambda: check_free(folder, overwrite))
    found = {data: find_shards(data) for data in {phase.data for phase in recipe.phases}}  # a file is counted once
    phases = [found[phase.data] for phase in recipe.phases]
    held_out = find_shards(recipe.validation) if recipe.validation else None
    keras.utils.set_random_seed(recipe.seed)
    be_deterministic("off" if recipe.jit_compile else recipe.determinism)
    with lost_workers(workers), place.scope():
        bundle = _begin(model, recipe, vocabulary, lower, [*phases, *([held_out] if held_out else [])])
    data = [
        phase_data(recipe, bundle.tokenizer, bundle.config, shards, phase.batch_size, recipe.seed + number, share)
        for number, (shards, phase) in enumerate(zip(phases, recipe.phases, strict=True))
    ]
    validation = (
        phase_data(recipe, bundle.tokenizer, bundle.config, held_out, recipe.phases[0].batch_size, seed=0)
        if held_out
        else None
    )
    told = _settings(recipe, bundle, phases, held_out, model)
    if share.by_file:
        told["files shared by"] = share.workers
    if workers.count > 1:
        contents = {str(number): shards.sample() for number, shards in enumerate(phases)}
        common = {"settings": told, "data": contents, "weights": weights_digest(bundle.model), "sharing": share_by}
        workers.agree(common)
    with ExitStack() as stack:
        work = workers.first(lambda: stack.enter_context(workplace(folder, told, overwrite)))
        trained = laid_out(bundle.model, recipe.trained_layout)
        head = bundle.head
        with lost_workers(workers), place.scope():
            if recipe.pack_sequences > 1:
                trained = with_layout(trained, trained.get_layer("grid").layout, sequences=recipe.pack_sequences)
            if recipe.rematerialize:
                trained = rematerialize(trained)
            trained.compile(
                make_optimizer(recipe),
                head.loss(),  # type: ignore[union-attr]
                metrics=head.metrics(),  # type: ignore[union-attr]
                steps_per_execution=steps_a_call(recipe.log_every),
                jit_compile=recipe.jit_compile,
                gradient_accumulation=recipe.gradient_accumulation,
            )
            trained.optimizer.build(trained.trainable_variables)  # here, where all workers are
        display = Display(verbose if workers.is_chief else 0, tensorboard if workers.is_chief else None)
        say = "Stopping after a checkpoint. Once more to end at once." if folder else "Stopping after this step."
        try:
            with told_to_stop(say) as stopping:
                kept = run_phases(
                    trained, recipe, data, validation, folder=work, workers=workers, display=display, stopping=stopping
                )
        finally:
            display.end()
        run = PretrainingRun(bundle, kept["rows"], kept["seconds"], kept["damaged"])
        record = {"source": str(model) if isinstance(model, (str, Path)) else "a config", "command": command}
        if folder is not None:
            fill = functools.partial(_write_run, run, recipe, phases, record, folder.name)
        workers.first(None if folder is None else lambda: finish(folder, fill))
    return run


def _recipe(recipe: Recipe | Mapping[str, Any] | str | Path) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    return Recipe.from_dict(recipe) if isinstance(recipe, Mapping) else Recipe.from_file(recipe)


# ---- the model


def _begin(
    model: str | Path | BertConfig | Bundle,
    recipe: Recipe,
    vocabulary: str | Path | Tokenizer | None,
    lower: bool | None,
    all_shards: Sequence[Shards],
) -> Bundle:
    """Return the bundle that learns, with a head of pretraining.  Raises: ConfigError, VocabularyError, DataError."""
    length = max(shards.length for shards in all_shards)
    config = _config(model)
    if config is None:
        if vocabulary is not None:
            raise ConfigError("Weights bring their own vocabulary: leave it out, or begin from a size or a config.")
        bundle = model if isinstance(model, Bundle) else load(str(model), dtype=recipe.precision)
        tokenizer, positions = bundle.tokenizer, bundle.config.max_position_embeddings
        policy = bundle.encoder.get_layer("embeddings").dtype_policy.name
        if policy != recipe.precision:
            raise ConfigError(
                f"The bundle computes in {policy}, the recipe says {recipe.precision}: load it with"
                f" dtype={recipe.precision!r}."
            )
    else:
        tokenizer = _tokenizer(vocabulary, lower, all_shards)
        config = config if isinstance(config, BertConfig) else _sized(str(config), len(tokenizer.vocabulary))
        positions = config.max_position_embeddings
        if config.vocab_size < len(tokenizer.vocabulary):
            raise VocabularyError(
                f"The vocabulary has {len(tokenizer.vocabulary)} tokens, the config's vocab_size is"
                f" {config.vocab_size}. Make it as large, or larger."
            )
    for shards in all_shards:
        _check_fits(shards, tokenizer, positions)
    if config is not None:
        config = config.replace(pad_token_id=tokenizer.pad_id)
        bundle = Bundle(build_encoder(config, dtype=recipe.precision), tokenizer)
    head = Pretraining(
        mask_share=recipe.mask_share,
        max_predictions=recipe.max_predictions,
        whole_words=recipe.whole_words,
        new_pooler=not bundle.config.pooler,
    )
    return dataclasses.replace(bundle.attach(head), max_length=length)


def _config(model: str | Path | BertConfig | Bundle) -> BertConfig | str | None:
    """Return a config, the name of a size, or None for weights that are there already."""
    if isinstance(model, (BertConfig, Bundle)):
        return model if isinstance(model, BertConfig) else None
    if str(model) in SIZES:
        return str(model)
    path = Path(model).expanduser()
    if not path.is_file():
        return None
    values = read_json(path, ConfigError)
    named = "model_type" in values  # Hugging Face's files have it, Google's have not
    return BertConfig.from_huggingface(values, str(path)) if named else BertConfig.from_google(values, str(path))


def _sized(size: str, vocabulary: int) -> BertConfig:
    blocks, hidden = SIZES[size]
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=blocks,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
    )


def _tokenizer(vocabulary: str | Path | Tokenizer | None, lower: bool | None, shards: Sequence[Shards]) -> Tokenizer:
    if vocabulary is None:
        raise ConfigError("To begin from nothing takes a vocabulary: a vocab.txt, as kbz vocabulary writes it.")
    if isinstance(vocabulary, Tokenizer):
        return vocabulary
    if Path(vocabulary).expanduser().is_dir():
        return Tokenizer.from_folder(vocabulary)  # its own files tell the casing
    told = {each.manifest["do_lower_case"] for each in shards if "do_lower_case" in each.manifest}
    if len(told) > 1 or (lower is not None and told - {lower}):
        raise ConfigError("Some of the data are of lower-cased texts, others or the call say they are not.")
    if lower is None and not told:
        raise ConfigError(
            "Nothing says whether the data are of lower-cased texts. Pass lower=True for an uncased model, lower=False"
            " for a cased one (--uncased, --cased)."
        )
    return Tokenizer.from_file(vocabulary, lower=told.pop() if told else lower)


def _check_fits(shards: Shards, tokenizer: Tokenizer, positions: int) -> None:
    """Raises: DataError on rows that the model cannot take."""
    where = shards.files[0].path.parent
    if shards.length > positions:
        raise DataError(
            f"{where}: rows have {shards.length} tokens, the model has {positions} positions. Write shorter ones, or"
            " choose a model with more."
        )
    wanted, digest = shards.manifest.get("vocabulary_sha256"), vocabulary_sha256(tokenizer.vocabulary)
    if wanted is not None and wanted != digest:
        raise DataError(
            f"{where}: the data were written with another vocabulary than the model's: the digest of theirs is"
            f" {wanted[:12]}…, of the model's {digest[:12]}…."
        )


# ---- the folder


def _settings(
    recipe: Recipe, bundle: Bundle, phases: Sequence[Shards], held_out: Shards | None, model: Any
) -> dict[str, Any]:
    """Return all that an unfinished run must have in common with the call that goes on with it."""
    told = recipe.to_dict()
    for name in (*FREE, "validation"):
        del told[name]
    # Data may have moved: what they are counts, not where.
    told["phases"] = [{**phase, "data": shards.told()} for phase, shards in zip(told["phases"], phases, strict=True)]
    told["phases"] = dict(enumerate(told["phases"]))
    told["validation"] = held_out.told() if held_out else None
    told["model"] = str(model) if _config(model) is None and not isinstance(model, Bundle) else "new or in memory"
    told["config"] = bundle.config.to_dict()
    told["vocabulary"] = vocabulary_sha256(bundle.tokenizer.vocabulary)
    return json.loads(json.dumps(told))


def _write_run(
    run: PretrainingRun, recipe: Recipe, phases: Sequence[Shards], told: Mapping[str, Any], name: str, folder: Path
) -> None:
    record = {
        "settings": recipe.to_dict(),
        "instances": [shards.instances for shards in phases],
        "rows": run.rows,
        "seconds": run.seconds,
        "damaged": run.damaged,
        **told,
    }
    write(run.bundle, folder)
    (folder / "history.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_steps_curve(run.rows, folder / "training.png")
    write_pretraining_card(run.bundle, record, name, folder / "README.md")
