"""benchmarks/gpu without a GPU: its refusal, its rehearsal, its rows and its pack."""

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

import numpy as np
import pytest
import torch

from cl.cli.commands.run import command, planned
from cl.data import catalog
from cl.data.store import Dataset, ImageStore
from cl.plan.run_options import declared
from cl.streams.cifar import SplitCIFAR100

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


def test_every_row_is_a_run_of_its_own(gpu: ModuleType, tmp_path: Path) -> None:
    folders = []
    for row in gpu.commands(bench(gpu, tmp_path)):
        name, *arguments = row.split()
        given = command.make_context(name, arguments).params
        known = (*declared(), "assignments", "config")
        (plan,) = planned(**{key: value for key, value in given.items() if key in known}).plans
        assert plan.backbone.endswith("deit_tiny_patch16_224_in1k_fp16.safetensors") and plan.precision == "bf16"
        assert plan.stream_options.train_per_class == 100 and plan.device == "cuda"
        folders.append(plan.folder)
    assert len(set(folders)) == len(folders) == 3 * len(gpu.ROWS) - 2


def test_no_row_is_tried_without_its_data(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CLBENCH_DATA_PATH", raising=False)
    monkeypatch.setattr(gpu, "child", lambda *_: pytest.fail("nothing can be run"))
    gpu.rows(bench(gpu, tmp_path))
    assert "lacks images or weights; make it with: python -m benchmarks.gpu --pack FOLDER." in capsys.readouterr().out


def test_rows_end_with_the_time_and_are_noted_as_they_end(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("cifar100-150.npz", gpu.WEIGHTS):
        (tmp_path / "data" / name).touch()
    one = bench(gpu, tmp_path)
    codes = [0, 4, None]

    def child(of: Any, command: str, seconds: float) -> int | None:
        assert 20 < seconds <= 100 and command.endswith(f"--results {tmp_path / 'rows'} -q")
        code = codes.pop(0)
        if not codes:
            of.end = time.monotonic()
        return code

    monkeypatch.setattr(gpu, "child", child)
    gpu.rows(one)
    with (tmp_path / "out" / "gpu-none-rows.csv").open(encoding="utf-8") as file:
        noted = list(csv.DictReader(file))
    assert [row["outcome"] for row in noted] == ["complete", "failed with code 4", "stopped: the time was over"]
    assert "simplecil" in noted[0]["command"] and {row["card"] for row in noted} == {"none"}


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


def test_the_pack_holds_the_first_images_of_each_class(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import pack

    drawn, names = np.random.default_rng(0), catalog.declaration("cifar100").class_names
    images = [drawn.integers(0, 256, (500, 8, 8, 3), np.uint8) for _ in range(2)]
    stores = [ImageStore.from_arrays(pixels, np.arange(500) % 100) for pixels in images]
    dataset = Dataset(
        name="cifar100", train=stores[0], test=stores[1], class_names=names, origin="", licence="", citation=""
    )
    monkeypatch.setattr(catalog, "load", lambda name: dataset)
    monkeypatch.setattr(pack, "PER_CLASS", {"train": 4, "test": 2})
    (tmp_path / pack.WEIGHTS).write_bytes(b"weights")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    assert gpu.main(["--pack", str(tmp_path / "pack")]) == 0
    assert (tmp_path / "pack" / pack.WEIGHTS).read_bytes() == b"weights"

    monkeypatch.setattr(SplitCIFAR100, "read", SplitCIFAR100.read)  # restores it
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    pack.use_if_there()
    whole = SplitCIFAR100.read
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "pack"))
    pack.use_if_there()
    assert SplitCIFAR100.read is not whole, "only where the pack is"
    packed = SplitCIFAR100().read(None, "", None)
    assert packed.name == "cifar100-150" and packed.class_names == names and not packed.verified
    for store, found, count in ((stores[0], packed.train, 4), (stores[1], packed.test, 2)):
        chosen = np.concatenate([np.flatnonzero(store.labels == label)[:count] for label in range(100)])
        assert np.array_equal(found.pixels, store.pixels[chosen])
        assert np.array_equal(found.labels, store.labels[chosen])


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
    assert [row["outcome"] for row in tables["gpu-rehearsal-rows.csv"]] == ["complete", "complete"]
    assert len(list((tmp_path / "rows").rglob("record.json"))) == 2
