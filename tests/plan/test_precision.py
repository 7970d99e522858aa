"""`--precision auto` becomes the precision of the hardware before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cl.plan import precision
from cl.plan.config_file import read_config
from cl.plan.plan import load_plan, make_plan
from cl.plan.precision import resolve_precision


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    precision._computes_bf16.cache_clear()
    yield
    precision._computes_bf16.cache_clear()


def processor(folder: Path, monkeypatch: pytest.MonkeyPatch, flags: str, machine: str = "x86_64") -> None:
    """Let this processor have some instructions."""
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: a processor\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(precision, "CPUINFO", path)
    monkeypatch.setattr(precision.platform, "machine", lambda: machine)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx2 avx512f", "fp32"),
        ("avx512f avx512_bf16", "bf16"),
        ("amx_bf16 amx_tile", "bf16"),
        ("my_amx_bf16x", "fp32"),
    ],
)
def test_a_processor_with_bf16_instructions_gets_bf16(
    flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(tmp_path, monkeypatch, flags)
    assert resolve_precision("auto", "cpu") == expected
    assert [resolve_precision(given, "cpu") for given in ("fp32", "bf16", "tf32")] == ["fp32", "bf16", "tf32"]


def test_other_processors_and_systems_get_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(tmp_path, monkeypatch, "avx512_bf16", machine="riscv64")
    assert resolve_precision("auto", "cpu") == "fp32"
    processor(tmp_path, monkeypatch, "avx512_bf16")
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "nothing")
    precision._computes_bf16.cache_clear()
    assert resolve_precision("auto", "cpu") == "fp32"
    assert resolve_precision("auto", "mps") == "fp32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_card_gets_bf16_from_its_eighth_generation_on(
    capability: tuple[int, int], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(tmp_path, monkeypatch, "avx512_bf16" if expected == "fp32" else "avx2")  # the processor does not matter
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", "auto") == resolve_precision("auto", "cuda:1") == expected


def test_without_a_card_the_processor_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(tmp_path, monkeypatch, "avx512_bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_precision("auto", "auto") == "bf16"
    assert resolve_precision("auto", "cuda") == "fp32"  # the run itself says that the device is not available


@pytest.mark.usefixtures("methods")
def test_folder_hash_and_config_hold_the_resolved_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(tmp_path, monkeypatch, "avx512_bf16")
    plan = make_plan("method", "split-digits", precision="auto", device="cpu")
    assert plan == make_plan("method", "split-digits", precision="bf16", device="cpu")
    assert plan.folder == make_plan("method", "split-digits", precision="bf16", device="cpu").folder
    (tmp_path / "config.toml").write_text(plan.to_toml(run_id="x", command=["clbench", "run", "--precision", "auto"]))
    assert read_config(tmp_path / "config.toml")[0]["precision"] == "bf16"
    processor(tmp_path, monkeypatch, "avx2")  # continued on another machine
    precision._computes_bf16.cache_clear()
    assert load_plan(tmp_path).precision == "bf16"
    assert make_plan("method", "split-digits", precision="auto", device="cpu").precision == "fp32"
    file = tmp_path / "c.toml"
    file.write_text('[run]\nprecision = "auto"\ndevice = "cpu"\n')
    assert make_plan("method", "split-digits", config_file=file).precision == "fp32"
    monkeypatch.setenv("CLBENCH_PRECISION", "auto")
    assert make_plan("method", "split-digits", device="cpu").precision == "fp32"
