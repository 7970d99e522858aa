"""`--precision auto`: bf16 if the hardware computes it, else fp32. A run knows only the precision that results."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

AUTO = "auto"

CPUINFO = Path("/proc/cpuinfo")


def resolve_precision(precision: str, device: str) -> str:
    """The precision of a run on a device: "auto" becomes "bf16" or "fp32", others stay."""
    if precision != AUTO:
        return precision
    return "bf16" if _computes_bf16(device) else "fp32"


@cache
def _computes_bf16(device: str) -> bool:
    """Whether a device has instructions for products in bf16; False if this is not known."""
    if device != "cpu":
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda"):
            try:
                return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
            except (RuntimeError, AssertionError):  # no such card, as the run itself says
                return False
    return device == "cpu" and bool(_instructions() & {"avx512_bf16", "amx_bf16"})


def _instructions() -> set[str]:
    """The instruction sets of this processor, as Linux names them; empty on other systems and processors."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return set()
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())
