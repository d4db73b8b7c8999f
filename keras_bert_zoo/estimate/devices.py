"""The accelerators a run can be estimated for.  Pure data, each number from the maker's page named beside it.

Prices are what one accelerator cost by the hour, on demand, at the cloud named, in US dollars; they differ several
times between sellers and change: give `--price`.  A peak is that of dense matrix products, without sparsity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_TERA, _GIGA, GIB = 1e12, 1e9, 2**30
UTILIZATION = 0.35  # of the peak; NVIDIA's BERT-large on TensorFlow 2 reaches 0.29 to 0.38 on A100, see docs/scaling.md


@dataclass(frozen=True)
class Device:
    """One accelerator.  `peak` is operations a second by what matrices are multiplied in."""

    name: str
    peak: Mapping[str, float]
    memory: float  # bytes
    bandwidth: float  # of the memory, bytes a second
    link: float  # bytes a second one sends to its neighbours while it receives as many
    node: int = 1  # how many are joined by `link`
    network: float = 0.0  # bytes a second for each, between nodes
    price: float | None = None  # US dollars an hour
    utilization: Mapping[str, float] = field(default_factory=dict)  # where it differs from UTILIZATION


def _tpu(name: str, peak: float, memory: int, bandwidth: float, link: float, pod: int, price: float) -> Device:
    # cloud.google.com/tpu/docs/bfloat16: float32 matrices are multiplied in bfloat16 unless told otherwise
    return Device(
        name,
        {"bfloat16": peak * _TERA, "float32": peak * _TERA},
        memory * GIB,
        bandwidth * _GIGA,
        link * _GIGA,
        pod,
        6.25 * _GIGA,  # cloud.google.com/tpu/docs/v5p: 50 Gbit/s a chip to the data centre, taken for all
        price,
    )


_DEVICES = (
    # NVIDIA V100 SXM2 32GB data sheet; NVLink 300 GB/s both ways; DGX-1: 8 GPUs, 4 x 100 Gbit/s; price: AWS
    # p3.16xlarge.  It has no bfloat16.  In float32 NVIDIA's BERT-large reaches 0.77 of its peak.
    Device(
        "v100",
        {"float32": 15.7 * _TERA, "float16": 125 * _TERA},
        32 * GIB,
        900 * _GIGA,
        150 * _GIGA,
        8,
        6.25 * _GIGA,
        3.06,
        {"float32": 0.75},
    ),
    # NVIDIA A100 SXM4 data sheet; TensorFlow multiplies float32 in TF32 there; NVLink 600 GB/s both ways;
    # DGX A100: 8 GPUs, 8 x 200 Gbit/s; prices: AWS p4d.24xlarge and p4de.24xlarge.
    Device(
        "a100-40gb",
        {"float32": 156 * _TERA, "bfloat16": 312 * _TERA, "float16": 312 * _TERA},
        40 * GIB,
        1555 * _GIGA,
        300 * _GIGA,
        8,
        25 * _GIGA,
        4.10,
    ),
    Device(
        "a100-80gb",
        {"float32": 156 * _TERA, "bfloat16": 312 * _TERA, "float16": 312 * _TERA},
        80 * GIB,
        2039 * _GIGA,
        300 * _GIGA,
        8,
        25 * _GIGA,
        5.12,
    ),
    # NVIDIA H100 and H200 SXM data sheets, halved where they tell the figure with sparsity; NVLink 900 GB/s both ways;
    # DGX H100: 8 GPUs, 8 x 400 Gbit/s; prices: the middle of what large clouds asked in 2026.
    Device(
        "h100",
        {"float32": 494.7 * _TERA, "bfloat16": 989.4 * _TERA, "float16": 989.4 * _TERA},
        80 * GIB,
        3350 * _GIGA,
        450 * _GIGA,
        8,
        50 * _GIGA,
        4.25,
    ),
    Device(
        "h200",
        {"float32": 494.7 * _TERA, "bfloat16": 989.4 * _TERA, "float16": 989.4 * _TERA},
        141 * GIB,
        4800 * _GIGA,
        450 * _GIGA,
        8,
        50 * _GIGA,
        5.75,
    ),
    # cloud.google.com/tpu/docs/v3, v4, v5e, v5p; the link is the pod's all-reduce bandwidth a chip, or half of what
    # they tell for both ways; prices by the chip: cloud.google.com/tpu/pricing.
    _tpu("tpu-v3", 123, 32, 900, 332, 1024, 2.00),
    _tpu("tpu-v4", 275, 32, 1200, 268, 4096, 3.22),
    _tpu("tpu-v5e", 197, 16, 819, 200, 256, 1.20),
    _tpu("tpu-v5p", 459, 95, 2765, 600, 8960, 4.20),
    # The machine of docs/scaling.md: 2 cores, 24 GB.  Its time follows the measured law, not a share of this peak.
    Device("cpu", {"float32": 470 * _GIGA}, 23 * GIB, 40 * _GIGA, 1.25 * _GIGA),
)

DEVICES: dict[str, Device] = {device.name: device for device in _DEVICES}
