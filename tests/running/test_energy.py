"""Energy from the counters of devices: added up over restarts of a counter, and None where nothing can be read."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cl.running import energy as module
from cl.running.energy import Meter, added

CPU = torch.device("cpu")


def package(powercap: Path, joules: float, name: str = "intel-rapl:0", size: float = 1000) -> None:
    folder = powercap / name
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (folder / "max_energy_range_uj").write_text(f"{int(size * 1e6)}\n")


def test_packages_are_added_and_counters_that_start_again_are_followed(tmp_path: Path) -> None:
    package(tmp_path, 900)
    package(tmp_path, 5, "intel-rapl:1")
    package(tmp_path, 100, "intel-rapl:0:0")  # a part of the first: counted there
    meter = Meter(CPU, tmp_path)
    package(tmp_path, 950)
    package(tmp_path, 7, "intel-rapl:1")
    assert meter.take() == {"processor": pytest.approx(52), "accelerator": None}
    package(tmp_path, 20)  # past 1000
    assert meter.take() == {"processor": pytest.approx(70), "accelerator": None}
    assert meter.take() == {"processor": pytest.approx(0), "accelerator": None}
    meter.stop()


def test_a_thread_reads_a_counter_between_two_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.01)
    package(tmp_path, 900)
    meter = Meter(CPU, tmp_path)
    for joules in (400, 900, 400):  # two and a half turns, which two readings alone would not tell
        package(tmp_path, joules)
        limit = time.monotonic() + 30
        while meter._last["intel-rapl:0"] != joules and time.monotonic() < limit:
            time.sleep(0.005)
    assert meter.take()["processor"] == pytest.approx(1500)
    meter.stop()


def test_what_cannot_be_read_is_not_measured_for_the_whole_run(tmp_path: Path) -> None:
    assert Meter(CPU, tmp_path / "absent").take() == {"processor": None, "accelerator": None}
    package(tmp_path, 5)
    meter = Meter(CPU, tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert meter.take()["processor"] is None
    package(tmp_path, 6)
    assert meter.take()["processor"] is None
    meter.stop()


def test_measurements_of_several_processes_are_added_and_none_stays() -> None:
    first: module.Energy = {"processor": 5.0, "accelerator": None}
    assert added(None, first) == first
    assert added(first, {"processor": 2.0, "accelerator": 3.0}) == {"processor": 7.0, "accelerator": None}
    assert added({"processor": None, "accelerator": None}, first) == {"processor": None, "accelerator": None}


class _Nvml:
    class NVMLError(Exception):
        pass

    millijoules: float | None = 2000.0

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        assert uuid == "GPU-12-34"
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> float:
        if self.millijoules is None:
            raise self.NVMLError
        return self.millijoules


def test_a_gpu_is_read_through_nvml_by_its_uuid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml: Any = _Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    meter = Meter(torch.device("cuda"), tmp_path)
    nvml.millijoules = 5500.0
    assert meter.take() == {"processor": None, "accelerator": pytest.approx(3.5)}
    nvml.millijoules = None
    assert meter.take()["accelerator"] is None
    assert Meter(torch.device("cuda"), tmp_path).take()["accelerator"] is None  # the driver does not tell
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace())
    assert Meter(torch.device("cuda"), tmp_path).take()["accelerator"] is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Meter(torch.device("cuda"), tmp_path).take()["accelerator"] is None
