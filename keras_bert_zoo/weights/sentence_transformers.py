"""Folders of sentence-transformers: `modules.json` beside, or around, a Hugging Face BERT folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PurePosixPath
from typing import Any

from keras_bert_zoo.errors import ConfigError

MODULES, LIMITS, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
# Their flags of old -> the mode that newer versions write as "pooling_mode"; None: a mode there is no pooling for.
# Source: sentence-transformers 6.2, sentence_transformer/modules/pooling.py
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_KNOWN = ("mean", "cls", "max")


@dataclasses.dataclass(frozen=True)
class Modules:
    """What the modules of a folder say: where the transformer is, its limit in tokens, and how vectors are made.

    `max_length` is None where only the tokenizer's own files tell it.
    """

    transformer: Path
    max_length: int | None
    pooling: str
    normalize: bool


def transformer_folder(folder: Path) -> Path:
    """Return the folder of config, vocabulary and weights: where `modules.json` says, else the folder itself.

    Raises: ConfigError where `modules.json` cannot be read or does not start with a transformer.
    """
    return _inside(folder, _modules(folder)[0]) if (folder / MODULES).exists() else folder


def read_modules(folder: Path, hidden_size: int) -> Modules | None:
    """Return what the modules say, None in a folder without `modules.json`.

    Raises: ConfigError on modules other than Transformer, Pooling and Normalize, in this order, on several poolings or
    one that is not known, and on settings that would change the text.
    """
    if not (folder / MODULES).exists():
        return None
    modules = _modules(folder)
    kinds = [_kind(module) for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ConfigError(
            f"{folder / MODULES}: its modules are {', '.join(kinds)}; want Transformer, Pooling and perhaps"
            " Normalize. To read the encoder alone, pass encoder_only=True."
        )
    transformer = _inside(folder, modules[0])
    limits = _json(transformer / LIMITS) if (transformer / LIMITS).exists() else {}
    config = _json(transformer / "tokenizer_config.json") if (transformer / "tokenizer_config.json").exists() else {}
    if limits.get("do_lower_case") and not config.get("do_lower_case"):
        raise ConfigError(
            f"{transformer / LIMITS}: do_lower_case is true, but the tokenizer keeps capitals. Say so in"
            " tokenizer_config.json alone, which this tokenizer follows."
        )
    _refuse_prompt(folder)
    limit = limits.get("max_seq_length")
    if limit is not None and not (isinstance(limit, int) and limit > 0):
        raise ConfigError(f"{transformer / LIMITS}: max_seq_length is {limit!r}, want a whole number above 0.")
    pooling = _pooling(_inside(folder, modules[1]) / "config.json", hidden_size)
    return Modules(transformer, limit, pooling, normalize="Normalize" in kinds)


def module_files(*, pooling: str, normalize: bool, hidden_size: int, max_length: int) -> dict[str, Any]:
    """Return the JSON files, by path, that tell every version of sentence-transformers how vectors are made."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")][: 3 if normalize else 2]
    return {
        MODULES: [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
        LIMITS: {"max_seq_length": max_length, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": hidden_size,
            **{flag: mode == pooling for flag, mode in _FLAGS.items()},
            "include_prompt": True,
        },
    }


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / MODULES
    modules = _json(path)
    if not isinstance(modules, list) or not modules or not all(_is_module(module) for module in modules):
        raise ConfigError(f"{path}: want a list of modules with `path` and `type`, the transformer first.")
    modules.sort(key=lambda module: module.get("idx", 0))
    if _kind(modules[0]) != "Transformer":
        raise ConfigError(f"{path}: the first module is {modules[0]['type']}, want a Transformer.")
    return modules


def _is_module(module: Any) -> bool:
    return isinstance(module, dict) and all(isinstance(module.get(key), str) for key in ("path", "type"))


def _kind(module: dict[str, Any]) -> str:
    package, _, name = module["type"].rpartition(".")
    return name if package.split(".")[0] == "sentence_transformers" else module["type"]


def _inside(folder: Path, module: dict[str, Any]) -> Path:
    path = PurePosixPath(module["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"{folder / MODULES}: the path {module['path']!r} leads out of the folder.")
    return folder / path


def _pooling(path: Path, hidden_size: int) -> str:
    config = _json(path)
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: want a JSON object.")
    modes = config.get("pooling_mode", [mode for flag, mode in _FLAGS.items() if config.get(flag)] or "mean")
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in _KNOWN:
        raise ConfigError(f"{path}: the pooling is {modes}, want one of {', '.join(_KNOWN)}.")
    size = config.get("embedding_dimension", config.get("word_embedding_dimension", hidden_size))
    if size != hidden_size:
        raise ConfigError(f"{path}: vectors have {size} elements, but the encoder's have {hidden_size}.")
    return str(modes[0])


def _refuse_prompt(folder: Path) -> None:
    path = folder / PROMPTS
    config = _json(path) if path.exists() else {}
    name = config.get("default_prompt_name")
    if name is not None and (config.get("prompts") or {}).get(name):
        raise ConfigError(f"{path}: every text gets the prompt '{name}' put before it, which is not supported.")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise ConfigError(f"{path}: broken JSON ({error}).") from None
