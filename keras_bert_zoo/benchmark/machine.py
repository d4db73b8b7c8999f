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
        "load": os.getloadavg()[0],
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution."""
    return {name: version(name) for name in sorted(set(packages))}


def _cpuinfo() -> dict[str, str]:
    """Return the first processor's fields."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
