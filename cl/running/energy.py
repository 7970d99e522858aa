"""Energy that a run's processors and its GPU used while it ran, from their own counters; never estimated.

Processors: the package counters of Linux's power capping (RAPL, `/sys/class/powercap/intel-rapl:N/energy_uj`), which
only root may read on many systems. GPU: NVML's counter, through `pynvml` (package `nvidia-ml-py`) if it is installed.
Both count everything on the device, other processes too. What cannot be read is None, and stays so for the whole run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")

PERIOD = 30.0
"""Seconds between readings of a counter that starts again from 0, as those of processors do within minutes to hours."""

Energy = dict[str, float | None]
"""Joules by kind: processor, accelerator."""

KINDS = ("processor", "accelerator")


class Meter:
    """Adds up what the counters say since it was made; readings may come from several threads."""

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        self._lock, self._done = threading.Lock(), threading.Event()
        self._packages = _packages(powercap)
        self._gpu = _gpu(device)
        self._last = {name: read() for name, (read, _) in self._packages.items()}
        self._gpu_last = self._gpu() if self._gpu is not None else None
        self._joules: Energy = {
            "processor": 0.0 if self._packages and None not in self._last.values() else None,
            "accelerator": None if self._gpu_last is None else 0.0,
        }
        if self._joules["processor"] is not None:
            threading.Thread(target=self._follow, name="clbench-energy", daemon=True).start()

    def take(self) -> Energy:
        """Joules since the last call, or since the start."""
        with self._lock:
            self._read()
            taken = dict(self._joules)
            self._joules = {kind: None if value is None else 0.0 for kind, value in taken.items()}
        return taken

    def stop(self) -> None:
        """End the thread that reads."""
        self._done.set()

    def _follow(self) -> None:
        while not self._done.wait(PERIOD):
            with self._lock:
                self._read()

    def _read(self) -> None:
        for name, (read, size) in self._packages.items():
            now, before = read(), self._last[name]
            self._last[name] = now
            self._add("processor", None if now is None or before is None else (now - before) % size)
        if self._gpu is not None:
            reading, earlier = self._gpu(), self._gpu_last
            self._gpu_last = reading
            self._add("accelerator", None if reading is None or earlier is None else reading - earlier)

    def _add(self, kind: str, joules: float | None) -> None:
        known = self._joules[kind]
        self._joules[kind] = None if known is None or joules is None else known + joules


def added(before: Energy | None, more: Energy) -> Energy:
    """The sum of two measurements; None, which is nothing measured yet, counts as 0, a kind that is None stays so."""
    if before is None:
        return dict(more)
    sums: Energy = {}
    for kind in KINDS:
        first, second = before.get(kind), more.get(kind)
        sums[kind] = None if first is None or second is None else first + second
    return sums


_Read = Callable[[], float | None]


def _packages(powercap: Path) -> dict[str, tuple[_Read, float]]:
    """By name, how to read the joules of a package, and the joules at which its counter starts again."""
    found: dict[str, tuple[_Read, float]] = {}
    for folder in sorted(powercap.glob("intel-rapl:*")):  # AMD's have this name too; parts have a second colon
        size = _joules(folder / "max_energy_range_uj")
        if folder.name.count(":") == 1 and size and _joules(folder / "energy_uj") is not None:
            found[folder.name] = (partial(_joules, folder / "energy_uj"), size)
    return found


def _joules(file: Path) -> float | None:
    try:
        return int(file.read_text()) / 1e6
    except (OSError, ValueError):  # not there, or not ours to read: reported as not measured
        return None


def _gpu(device: torch.device) -> _Read | None:
    """How to read the joules of a GPU; None if there is none, or no way to read it."""
    if device.type != "cuda":
        return None
    try:
        import pynvml
    except ImportError:
        return None
    # by its UUID, because NVML numbers devices without CUDA_VISIBLE_DEVICES; torch 2.4 does not know it
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    if uuid is None:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # an older GPU, or one whose driver does not tell: reported as not measured
        return None

    def read() -> float | None:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except pynvml.NVMLError:
            return None

    return read
