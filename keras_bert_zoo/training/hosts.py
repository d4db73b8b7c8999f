"""Slurm's short ways to write lists: "n[9-11],login" for hosts, "4(x2),1" for tasks a host."""

from __future__ import annotations

import re

from keras_bert_zoo.errors import ConfigError

_PART = re.compile(r"((?:[^,\[\]]|\[[^\[\]]*\])+)(?:,|$)")  # up to a comma outside brackets
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")
_MOST = 65536  # hosts: a typing error must not fill the memory


def expand_hosts(text: str) -> list[str]:
    """Return the hosts of a list such as "n[009-011,3]-ib,login", in its order, leading zeros kept.

    Raises: ConfigError where it is none.
    """
    hosts: list[str] = []
    place = 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None:
            raise _no_list("SLURM_STEP_NODELIST", text)
        hosts += _expanded(part[1], text)
        place = part.end()
    if not hosts or text.endswith(","):
        raise _no_list("SLURM_STEP_NODELIST", text)
    return hosts


def expand_tasks(text: str) -> list[int]:
    """Return how many tasks each host has, of a list such as "4(x2),1".  Raises: ConfigError where it is none."""
    counts: list[int] = []
    for part in text.split(","):
        found = _TASKS.fullmatch(part)
        if found is None or int(found[2] or 1) > _MOST:
            raise _no_list("SLURM_STEP_TASKS_PER_NODE", text)
        counts += [int(found[1])] * int(found[2] or 1)
    return counts


def _expanded(part: str, text: str) -> list[str]:
    """Return the hosts of one part; of several brackets the last one counts fastest."""
    names = [""]
    for literal, bracket in re.findall(r"([^\[\]]+)|\[([^\[\]]*)\]", part):
        if literal:
            names = [name + literal for name in names]
            continue
        numbers: list[str] = []
        for each in bracket.split(","):
            found = _RANGE.fullmatch(each)
            if found is None or int(found[2] or found[1]) < int(found[1]):
                raise _no_list("SLURM_STEP_NODELIST", text)
            if int(found[2] or found[1]) - int(found[1]) >= _MOST:
                raise _no_list("SLURM_STEP_NODELIST", text)
            numbers += [str(n).zfill(len(found[1])) for n in range(int(found[1]), int(found[2] or found[1]) + 1)]
        if len(names) * len(numbers) > _MOST:
            raise _no_list("SLURM_STEP_NODELIST", text)
        names = [name + number for name in names for number in numbers]
    return names


def _no_list(name: str, text: str) -> ConfigError:
    example = "n[1-3],login" if name.endswith("NODELIST") else "4(x2),1"
    return ConfigError(f"Slurm: {name} is {text!r:.80}, it must be a list such as {example}.")
