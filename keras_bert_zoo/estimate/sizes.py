"""The sizes of published BERTs, so that a run can be estimated with nothing downloaded.  Pure data."""

from __future__ import annotations

import json
from pathlib import Path

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.zoo import names


def _uncased(layers: int, hidden: int) -> BertConfig:
    return BertConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=hidden // 64,  # google-research/bert README: "smaller models", heads of 64
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
}


def find_config(source: str) -> BertConfig:
    """Return the config of a name in `SIZES`, of a preset, of a folder with a Hugging Face `config.json`, or of such a
    file.

    Raises: ConfigError where it is none of these, or the file cannot be read or makes no BERT; DownloadError where
    several presets go by that name.
    """
    if source in SIZES:
        return SIZES[source]
    if (preset := names.find(source)) is not None:
        return preset.config
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / "config.json"
        if not path.is_file():
            raise ConfigError(f"{path} does not exist. Name a folder that holds a config.json.")
    if not path.is_file():
        close = names.close(source, SIZES)
        raise ConfigError(
            f"'{source}' is not known here.{f' Did you mean {close}?' if close else ''} Sizes: {', '.join(SIZES)}. "
            "A preset (kbz presets list), a folder with a config.json, or that file, works too."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}. Give a model's config.json.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a JSON {type(values).__name__}, not an object. Give a model's config.json.")
    return BertConfig.from_huggingface(values, str(path))
