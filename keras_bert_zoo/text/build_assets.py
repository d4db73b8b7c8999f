"""Rebuilds the shipped normaliser tables: `python -m keras_bert_zoo.text.build_assets [FOLDER]`.

Needs Python 3.11, whose Unicode version is the one the original rules are pinned to, and the `tokenizers` library,
which is asked for Hugging Face's rules.  Users never run this.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.text import double_array, rules, tables


def build(switches: rules.Switches) -> tables.Table:
    """Builds one table from its rule.

    Raises VocabularyError where this Python's Unicode tables are not the pinned ones.
    """
    if switches.rules == "original" and unicodedata.unidata_version != rules.UNICODE_VERSION:
        raise VocabularyError(
            f"this Python has Unicode {unicodedata.unidata_version}, the original rules are pinned to "
            f"{rules.UNICODE_VERSION}: build the tables with Python 3.11"
        )
    table, aliases = rules.build_table(rules.rule_for(switches), op_splits=switches.split_cjk)
    return tables.Table(double_array.build_buffer(table, lower=switches.lower), aliases)


def main(arguments: Sequence[str]) -> None:
    """Writes every table into a folder, by default the package's own."""
    folder = Path(arguments[0]) if arguments else tables.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for switches in rules.ALL_SWITCHES:
        packed = tables.pack(build(switches))
        (folder / f"{switches.name}.bin").write_bytes(packed)
        print(f"{switches.name}: {len(packed):,} bytes")
    (folder / tables.FINAL_SIGMA).write_text(rules.final_sigma_pattern(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
