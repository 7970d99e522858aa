"""benchmarks/gpu without a GPU: its refusal, its rehearsal and its rows."""

from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from cl.plan.sweeps import Axes, plans_of, read_sweep

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gpu() -> ModuleType:
    return importlib.import_module("benchmarks.gpu.__main__")


def bench(gpu: ModuleType, folder: Path, **changes: Any) -> Any:
    usual: dict[str, Any] = {
        "device": torch.device("cpu"), "card": "none", "rehearse": False, "out": folder / "out",
        "results": folder / "rows", "data": folder / "data", "began": time.monotonic(), "end": time.monotonic() + 100,
    }  # fmt: skip
    return gpu.Bench(**{**usual, **changes})


def test_without_a_gpu_it_says_so_and_measures_nothing(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said == "No CUDA GPU is present, so nothing is measured; --rehearse goes through every part on the CPU.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("grid", "seeds"), [("b2-224.toml", 3), ("b2-224-all.toml", 1)])
def test_the_sweeps_are_runs_of_b2_224(gpu: ModuleType, grid: str, seeds: int, tmp_path: Path) -> None:
    assert grid in gpu.GRIDS
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / gpu.WEIGHTS).touch()
    sweep = read_sweep(ROOT / "benchmarks" / "gpu" / grid)
    plans = plans_of(sweep, Axes(run={"results": str(tmp_path)})).plans
    assert {plan.strategy for plan in plans} >= {"slca", "mos", "norga", "l2p", "ranpac", "aper", "finetune", "kvb"}
    assert [plan.seeds["order"] for plan in plans[:12]] == [1993] * 12, "each method once before any has a second order"
    assert len({plan.folder for plan in plans}) == len(plans) == (11 * seeds + 1)
    for plan in plans:
        assert plan.backbone.endswith(gpu.WEIGHTS) and plan.precision == "bf16"
        assert plan.stream_options.train_per_class == (100 if seeds == 3 else None)


def test_no_row_is_tried_without_its_data(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CLBENCH_DATA_PATH", raising=False)
    monkeypatch.setattr(gpu, "child", lambda *_: pytest.fail("nothing can be run"))
    gpu.rows(bench(gpu, tmp_path))
    assert f"lack the images of CIFAR-100 or {gpu.WEIGHTS}." in capsys.readouterr().out


def test_rows_end_with_the_time_and_are_noted_as_they_end(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("cifar100_train.npz", gpu.WEIGHTS):
        (tmp_path / "data" / name).touch()
    monkeypatch.setattr(gpu, "GRIDS", ("a.toml", "b.toml", "c.toml", "d.toml"))
    one = bench(gpu, tmp_path, jobs=3)
    codes = [0, 4, None]

    def child(of: Any, command: str, seconds: float) -> int | None:
        assert 20 < seconds <= 100 and command.endswith(f"--results {tmp_path / 'rows'} --progress plain")
        code = codes.pop(0)
        if not codes:
            of.end = time.monotonic()
        return code

    monkeypatch.setattr(gpu, "child", child)
    gpu.rows(one)
    with (tmp_path / "out" / "gpu-none-rows.csv").open(encoding="utf-8") as file:
        noted = list(csv.DictReader(file))
    assert [row["outcome"] for row in noted] == ["complete", "failed with code 4", "stopped: the time was over"]
    assert noted[0]["command"].endswith("a.toml --device cuda --jobs 3") and {row["card"] for row in noted} == {"none"}


def test_a_check_that_fails_or_breaks_is_noted(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import checks

    def breaks(bench: Any) -> float:
        raise RuntimeError("no kernel\nat all")

    tried = {"near": (0.1, lambda bench: 0.05), "far": (0.1, lambda bench: 0.2), "broken": (0.0, breaks)}
    monkeypatch.setattr(checks, "CHECKS", tried)
    assert checks.checks(bench(gpu, tmp_path)) is False
    with (tmp_path / "out" / "gpu-none-checks.csv").open(encoding="utf-8") as file:
        noted = list(csv.DictReader(file))
    assert [(row["check"], row["passed"]) for row in noted] == [("near", "True"), ("far", "False"), ("broken", "False")]
    assert noted[2]["problem"] == "RuntimeError: no kernel"


@pytest.mark.slow
def test_the_rehearsal_goes_through_every_part(tmp_path: Path) -> None:
    places = ["--out", str(tmp_path / "out"), "--results", str(tmp_path / "rows")]
    program = [sys.executable, "-m", "benchmarks.gpu", "--rehearse", *places]
    done = subprocess.run(
        program,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tables = {}
    for path in (tmp_path / "out").iterdir():
        with path.open(encoding="utf-8") as file:
            tables[path.name] = list(csv.DictReader(file))
    assert set(tables) == {"gpu-rehearsal-checks.csv", "gpu-rehearsal.csv", "gpu-rehearsal-rows.csv"}
    assert [row["passed"] for row in tables["gpu-rehearsal-checks.csv"]] == ["True"] * 6
    assert {(row["compiled"], row["training"]) for row in tables["gpu-rehearsal.csv"]} == {
        (compiled, training) for compiled in ("True", "False") for training in ("True", "False")
    }
    assert [row["outcome"] for row in tables["gpu-rehearsal-rows.csv"]] == ["complete"]
    assert len(list((tmp_path / "rows").rglob("record.json"))) == 2
