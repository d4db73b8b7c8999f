"""From what people type to an entry of the table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.presets import PRESETS


def key(text: str) -> str:
    """Return the form in which names are compared: capitals, "_", "-" and spaces make no difference."""
    return re.sub(r"[\s_-]+", "-", text.strip().lower())


def find(text: str) -> Preset | None:
    """Return the preset of that name or alias, None where there is none.

    Raises: DownloadError, naming them, where several go by that alias.
    """
    if text in PRESETS:
        return PRESETS[text]
    named = [preset for preset in PRESETS.values() if key(preset.name) == key(text)]
    found = named or [preset for preset in PRESETS.values() if key(text) in map(key, preset.aliases)]
    if len(found) > 1:
        meant = ", ".join(preset.name for preset in found)
        raise DownloadError(f"'{text}' may mean {meant}. Name one of them (kbz presets list says what they are).")
    return found[0] if found else None


def matching(pattern: str) -> list[Preset]:
    """Return the presets one of whose names holds `pattern`, or fits it where it has a `*`."""
    wanted = ".*".join(re.escape(part) for part in key(pattern).split("*"))
    fits = re.compile(wanted).fullmatch if "*" in pattern else re.compile(wanted).search
    return [preset for preset in PRESETS.values() if any(fits(key(name)) for name in (preset.name, *preset.aliases))]


def close(text: str, more: Iterable[str] = ()) -> str:
    """Return up to three names that are much like a mistyped one, separated by commas; `more` are names besides."""
    names = {key(name): preset.name for preset in PRESETS.values() for name in (preset.name, *preset.aliases)}
    names |= {key(name): name for name in more}
    text = key(text)
    begun = [name for name in names if name.startswith(f"{text}-")]
    near = difflib.get_close_matches(text, names, n=9, cutoff=0.8)
    held = [name for name in names if name in text or (len(text) > 2 and text in name)]
    near = [*begun, *near, *held, *difflib.get_close_matches(text, names, n=9, cutoff=0.6)]
    return ", ".join(list(dict.fromkeys(names[name] for name in near))[:3])
