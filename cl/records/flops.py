"""How the FLOPs of a record were counted, and so which of them may be compared."""

from __future__ import annotations

import re
from typing import Any

COUNTED_BY = "clbench-1"
"""What `cl.training.cost` counts by: another name for every change of its numbers."""

_PYTORCH_CPU = "PyTorch before 2.15, which leaves out fused attention of CPUs"
_PYTORCH = "PyTorch, by the attention kernel of its version and device"


def counted_by(record: dict[str, Any]) -> str:
    """Equal for records whose FLOPs may be compared: `COUNTED_BY`, or in words what counted those of an older clbench.

    Before records said so PyTorch's own counter was used. From 2.15 on it knows the kernel of CPUs and agrees with
    `COUNTED_BY` wherever that kernel is not differentiated, as `fit` never does and Avalanche's loop may; on
    accelerators it counts the backward of flash attention by five products instead of four.
    """
    measurement = record["measurement"]
    if "flops_counted_by" in measurement:
        return str(measurement["flops_counted_by"])
    environment = measurement["environment"]
    packages = environment.get("packages")
    version = re.match(r"(\d+)\.(\d+)", str(packages.get("torch"))) if isinstance(packages, dict) else None
    if environment.get("device") != "cpu" or version is None:
        return _PYTORCH
    if (int(version[1]), int(version[2])) < (2, 15):
        return _PYTORCH_CPU
    return _PYTORCH if record["result"]["strategy"]["name"].startswith("avalanche/") else COUNTED_BY
