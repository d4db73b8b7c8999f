"""Folders of a Hugging Face hub, through huggingface_hub and in its own cache."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo.cache import Meter, Progress

SCHEME = "hf://"

# What a BERT folder can hold for us; pickled weights, of which most repositories keep a copy, stay where they are.
_FILES = [
    "config.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "zoo.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "0_Transformer/*.json",
    "0_Transformer/vocab.txt",
]


@dataclass(frozen=True)
class HubFolder:
    """A repository of the hub.  `revision` is a branch, a tag or a commit."""

    repository: str
    revision: str = "main"

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.repository}" + (f"@{self.revision}" if self.revision != "main" else "")


def fetch_hub(name: str, progress: Progress | None = None, meter: Meter | None = None) -> Path:
    """Return the local snapshot of `hf://organisation/name` or `hf://organisation/name@revision`.

    Which hub, which token and which cache are huggingface_hub's settings (HF_ENDPOINT, HF_TOKEN, HF_HOME).

    Raises: `DownloadError` when it cannot be fetched, or holds no config.json or no safetensors file.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError  # HTTPError: of the HTTP library it was built on
    from huggingface_hub.utils import tqdm

    class Silent(tqdm):  # libraries do not print; `progress` and `meter` are how a caller hears of this
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})
            # Of the two bars of bytes, what came over the wire and what is on the disk, the second counts.
            self.told = meter if options.get("unit") == "B" and options.get("desc") != "Downloading bytes" else None
            self.done = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            if self.told:
                self.told(self.done, int(self.total) if self.total else None)

    repository, _, revision = name.removeprefix(SCHEME).partition("@")
    if progress:
        progress(f"fetching {name}")
    try:
        folder = Path(
            snapshot_download(repository, revision=revision or None, allow_patterns=_FILES, tqdm_class=Silent)
        )
    except (HTTPError, HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DownloadError(f"{name} could not be fetched from the hub ({type(error).__name__}: {reason}).") from error
    if not any((folder / inside / "config.json").is_file() for inside in ("", "0_Transformer")):
        raise DownloadError(f"{name} has no config.json, so it is not a Hugging Face model folder.")
    if not any(folder.rglob("*.safetensors")):
        raise DownloadError(
            f"{name} has no *.safetensors file; pickled weights are not read, ask for a revision with one."
        )
    return folder


def files_of(folder: Path) -> dict[str, Path]:
    """Return those files of a snapshot that `fetch_hub` asks for; other programs may have fetched more."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if any(fnmatchcase(name, pattern) for pattern in _FILES)}
