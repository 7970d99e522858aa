"""How fast runs were, by their records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cl.results.speeds import Speed, Speeds
from tests.help.small_runs import run

pytestmark = pytest.mark.usefixtures("isolated")

BACKBONE = "test_vit@random"


def record(folder: Path, done: Path, name: str, flops: float, **change: Any) -> None:
    """A copy of a record with other FLOPs, which took 2 seconds."""
    found = json.loads((done / "record.json").read_text())
    found["result"]["strategy"]["name"] = name
    found["measurement"]["flops"] = {"executed": flops, "uncached": change.get("uncached", flops)}
    found["measurement"]["events"] = [{"seconds": 0.5}, {"seconds": 1.5}]
    found["measurement"]["environment"]["threads"] = change.get("threads", 1)
    target = folder / "stream" / name / BACKBONE / f"{flops:g}"
    target.mkdir(parents=True)
    (target / "record.json").write_text(json.dumps(found))


def test_the_speed_is_the_median_of_like_runs(tmp_path: Path) -> None:
    done = run()
    precision = done.record["result"]["precision"]["dtype"]
    folder = tmp_path / "speeds"
    for flops in (2.0, 4.0, 12.0):
        record(folder, done.folder, "slca", flops, threads=4)
    record(folder, done.folder, "ewc", 100.0)
    record(folder, done.folder, "memoised", 1.0, uncached=1000.0)
    record(folder, done.folder, "nothing", 0.0)
    (folder / "stream" / BACKBONE).mkdir()
    (folder / "stream" / BACKBONE / "record.json").write_text("{damaged")
    speeds = Speeds([folder, folder, tmp_path / "nothing"])
    assert speeds.of("slca", BACKBONE, "cpu", precision) == Speed(2.0, 3, f"3 runs of slca in {folder}", 4)
    assert speeds.of("ewc", BACKBONE, "cpu", precision) == Speed(50.0, 1, f"1 run of ewc in {folder}")
    other = speeds.of("memoised", BACKBONE, "cpu", precision)
    assert other is not None and other.flops == 4.0 and other.source.startswith("4 runs of other methods")
    assert speeds.of("slca", BACKBONE, "cuda", precision) is None
    assert speeds.of("slca", BACKBONE, "cpu", "tf32") is None
    assert speeds.of("slca", "other", "cpu", precision) is None
    shutil.rmtree(folder)


def test_fewer_threads_are_slower_and_more_are_not_faster() -> None:
    assert Speed(8.0, 1, "", threads=4).on_threads(1) == 2 and Speed(8.0, 1, "", threads=4).on_threads(9) == 8
