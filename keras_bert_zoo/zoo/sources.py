"""From a name to a local folder: presets, folders and hubs."""

from __future__ import annotations

import os
from pathlib import Path

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import entries, hub, names
from keras_bert_zoo.zoo.cache import Meter, Progress
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import PICKLED, PRESETS


def presets() -> dict[str, Preset]:
    """Return all presets by name."""
    return dict(PRESETS)


def find(name: str | os.PathLike[str]) -> Preset | None:
    """Return the preset that `fetch` takes for a name, None where it takes a folder or asks a hub.

    A preset's own name wins over a folder of that name in the current folder (write `./name` for the folder); an
    alias does not.

    Raises: DownloadError where several presets go by that alias.
    """
    text = os.fspath(name)
    if text in PRESETS:
        return PRESETS[text]
    if text.startswith(hub.SCHEME) or os.path.exists(os.path.expanduser(text)):
        return None
    return names.find(text)


def lowers(name: str | os.PathLike[str]) -> bool | None:
    """Say whether a preset's texts are lower-cased, None where the name is no preset's.  Raises: see `find`."""
    preset = find(name)
    return None if preset is None else preset.lower


def fetch(
    name: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    meter: Meter | None = None,
    accept_changed: bool = False,
) -> Path:
    """Return a ready local folder for a preset, a local folder or `hf://organisation/name[@revision]`.

    `find` says what is a preset's name.  `progress` is called with one short sentence at every slow step, `meter` with
    the bytes of a download that came and those of the whole, or None where that is not known.  `accept_changed`
    fetches a preset anew and takes what its source has now for right.

    Raises: `DownloadError` when the name is none of these, or its files cannot be fetched, checked and unpacked;
    `ConfigError` when a preset's config cannot be read.
    """
    text = os.fspath(name)
    preset = find(text)
    if preset is not None:
        return entries.fetch_preset(preset, progress, meter, accept_changed=accept_changed)
    if accept_changed:
        raise DownloadError(f"'{text}' is no preset: only presets have checksums that can change.")
    if text.startswith(hub.SCHEME):
        return hub.fetch_hub(text, progress, meter)
    place = os.path.expanduser(text)  # unlike Path's methods, os.path's say no to what can be no file's name
    if os.path.isdir(place):
        return Path(place)
    if os.path.exists(place):
        raise DownloadError(f"{text} is a file; name the folder that holds config.json and the weights.")
    raise DownloadError(_unknown(text))


def _unknown(text: str) -> str:
    repositories = {names.key(name): repository for name, repository in PICKLED.items()}
    repositories |= {names.key(repository): repository for repository in PICKLED.values()}
    if repository := repositories.get(names.key(text)):
        return (
            f"'{text}' is no preset: when the list was made, {repository} was published as pickles alone, and reading"
            f" those runs code. If it has safetensors by now, {hub.SCHEME}{repository} loads it; else convert it with"
            " transformers (save_pretrained) where you trust it, and name that folder."
        )
    close = names.close(text)
    return (
        f"'{text}' is not known here.{f' Did you mean {close}?' if close else ''} kbz presets list shows all"
        f" {len(PRESETS)} presets. A local folder or {hub.SCHEME}organisation/name[@revision] works too."
    )
