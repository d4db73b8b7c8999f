"""What is measured on: processor, cores, memory, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

_TELLING = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "sve")


def machine() -> dict[str, Any]:
    """Return what a reader must know of this machine to place its figures."""
    told = _cpuinfo()
    flags = set(told.get("flags", told.get("Features", "")).split())
    return {
        "processor": told.get("model name", platform.machine()),
        "instructions": [name for name in _TELLING if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


class Watch:
    """Watches, from its making on, how much of the processor was taken by others than this process and its children."""

    def __init__(self) -> None:
        self._begin, self._load = _busy(), os.getloadavg()[0]

    def look(self) -> dict[str, float]:
        """Return the share of all processor time others took, and the load before the run.

        Children count once they have ended.
        """
        busy, own, whole = (now - then for now, then in zip(_busy(), self._begin, strict=True))
        return {"others": round(max(busy - own, 0) / max(whole, 1), 3), "load_before": round(self._load, 2)}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution."""
    return {name: version(name) for name in sorted(set(packages))}


def _cpuinfo() -> dict[str, str]:
    """Return the first processor's fields."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _busy() -> tuple[float, float, float]:
    """Return, in ticks since the start of the machine: busy (stolen ones too), this process's own, and all."""
    # user nice system idle iowait irq softirq steal: man 5 proc_stat
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return sum(ticks) - ticks[3] - ticks[4], own * os.sysconf("SC_CLK_TCK"), sum(ticks)
