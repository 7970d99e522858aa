"""The rules by which the FLOPs of a record were counted; only equal rules are comparable."""

from __future__ import annotations

import re
from typing import Any

COUNTED_BY = "clbench-1"
"""Name of the counting rules of `cl.training.cost`; every change of its numbers gets a new name."""

_PYTORCH_CPU = "PyTorch before 2.15, which leaves out fused attention of CPUs"
_PYTORCH = "PyTorch, by the attention kernel of its version and device"


def counted_by(record: dict[str, Any]) -> str:
    """The counting rules of a record, equal for comparable FLOPs: `COUNTED_BY`, or a description for older records.

    Records without the name used PyTorch's own counter. From 2.15 on that counter knows the attention kernel of CPUs
    and agrees with `COUNTED_BY` unless the kernel is differentiated, which `fit` never does and Avalanche's loop may
    do; on accelerators it counts the backward pass of flash attention as five products instead of four.
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
