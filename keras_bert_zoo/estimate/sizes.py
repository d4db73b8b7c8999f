"""The sizes of published BERTs, so that a run can be estimated with nothing downloaded.  Pure data."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError


def _uncased(layers: int, hidden: int, heads: int | None = None) -> BertConfig:
    return BertConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads or hidden // 64,  # google-research/bert README: "smaller models", heads of 64
        intermediate_size=4 * hidden,
    )


# name -> config.  Vocabulary: the 30,522 pieces of the English uncased models.
SIZES: dict[str, BertConfig] = {
    # Turc et al. 2019, Well-Read Students Learn Better, table 1
    "bert-tiny": _uncased(2, 128),
    "bert-mini": _uncased(4, 256),
    "bert-small": _uncased(4, 512),
    "bert-medium": _uncased(8, 512),
    # Devlin et al. 2019, section 3
    "bert-base": _uncased(12, 768),
    "bert-large": _uncased(24, 1024),
    # the presets of `kbz presets list`, as their config.json says
    "minilm_l6_h384_uncased": _uncased(6, 384, heads=12),
}


def find_config(source: str) -> BertConfig:
    """Return the config of a name in `SIZES`, of a folder with a Hugging Face `config.json`, or of such a file.

    Raises: ConfigError where it is none of these, or the file cannot be read or makes no BERT.
    """
    if source in SIZES:
        return SIZES[source]
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / "config.json"
        if not path.is_file():
            raise ConfigError(f"{path} does not exist. Name a folder that holds a config.json.")
    if not path.is_file():
        close = difflib.get_close_matches(source, SIZES, n=1, cutoff=0.4)
        raise ConfigError(
            f"'{source}' is not known here.{f' Did you mean {close[0]}?' if close else ''} Sizes: {', '.join(SIZES)}. "
            "A folder with a config.json, or that file, works too."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}. Give a model's config.json.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a JSON {type(values).__name__}, not an object. Give a model's config.json.")
    return BertConfig.from_huggingface(values, str(path))
