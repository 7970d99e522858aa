"""The environment of a run: versions, hardware and numerics, for its record."""

from __future__ import annotations

import functools
import os
import platform
from importlib import metadata
from typing import Any

import torch

PACKAGES = ("clbench", "torch", "torchvision", "timm", "avalanche-lib", "numpy", "safetensors")


@functools.lru_cache
def environment(device: torch.device) -> dict[str, Any]:
    """Python, package versions, operating system, processor, threads and accelerator."""
    return {
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:  # not Linux
        return platform.processor()
