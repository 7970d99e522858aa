"""The environment of a run: versions, hardware and numerics, for its record and for `clbench env`."""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = ("clbench", "torch", "torchvision", "timm", "avalanche-lib", "numpy", "safetensors")

_DEVELOPERS = re.compile(r"extra == .(dev|docs|mutants|release|test)\b")  # extras that no run imports anything from


@functools.lru_cache
def environment(device: torch.device) -> dict[str, Any]:
    """Python, package versions, operating system, processor with the instructions that PyTorch uses, accelerator."""
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "matmul_precision": torch.get_float32_matmul_precision(),
    }


def versions() -> dict[str, str]:
    """Versions of clbench, its dependencies and its extras for users; what is not installed is left out."""
    required = (metadata.requires("clbench") or []) if _version("clbench") else []
    used = sorted(re.split("[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required if not _DEVELOPERS.search(line))
    return {name: version for name in dict.fromkeys([*PACKAGES, *used]) if (version := _version(name))}


def devices() -> dict[str, Any]:
    """The devices that torch can use; {"error": ...} if torch is missing or broken."""
    try:
        import torch

        return {
            "threads": torch.get_num_threads(),
            "cuda": [_gpu(torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count())],
            "cuda_version": torch.version.cuda,
            "mps": torch.backends.mps.is_available(),
        }
    except Exception as error:  # a broken installation may raise anything; the rest of the report is still useful
        return {"error": f"{type(error).__name__}: {error}"}


def _gpu(properties: Any) -> dict[str, Any]:
    return {
        "name": properties.name,
        "memory": properties.total_memory,
        "capability": f"{properties.major}.{properties.minor}",
    }


def summary() -> dict[str, str | int | None]:
    """Python, operating system and processor; needs no torch."""
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
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
