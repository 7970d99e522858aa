"""The weight of a checkout: committed runs are small, their predictions compressed and those of their record."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from cl.records.predictions import predictions_sha256, read_predictions
from cl.records.record import load

ROOT = Path(__file__).parents[2]
SPEED = ROOT / "results" / "reference" / "speed"
"""Measurements of `benchmarks/`, not runs."""

TABLES = [path for path in sorted((ROOT / "results" / "reference").iterdir()) if path.is_dir() and path != SPEED]
TABLES += [ROOT / "results" / "earlier", ROOT / "benchmarks" / "other-kernels"]

LIMIT = 150_000
"""Bytes of a committed run, all files of its folder together."""

HEAVY = {
    "architectures": 7,
    "claims": 3,
    "deit-tiny-112": 6,
    "earlier": 20,
    "efficientnet-lite0-112": 2,
    "exemplars-2000": 16,
    "few-shot": 6,
    "few-shot-clip": 1,
    "kvb": 12,
    "nevis-large": 2,
    "nevis-real": 6,
    "omniglot": 10,
    "one-pass": 6,
    "rank-study": 18,
    "resnet32-scratch": 2,
    "split-cifar100": 8,
    "split-cifar100-small": 155,
    "told-sparse": 2,
    "told-tag": 10,
    "wsn": 1,
    "zero-shot-head": 4,
}
"""Runs over the limit by table: older than the limit, or rows of claims, whose differences are paired over images."""


def runs(table: Path) -> list[Path]:
    """The folders of a table's runs."""
    return [record.parent for record in sorted(table.rglob("record.json"))]


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.name)
def test_committed_runs_are_light(table: Path) -> None:
    sizes = {run: sum(file.stat().st_size for file in run.iterdir()) for run in runs(table)}
    heavy = sorted(((size, str(run.relative_to(table))) for run, size in sizes.items() if size > LIMIT), reverse=True)
    fix = "A new run over 150 kB: evaluate fewer images (--set stream.test_per_class=20) or leave out predictions.npz"
    assert len(heavy) <= HEAVY.get(table.name, 0), f"{fix}: {heavy}"


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.name)
def test_committed_predictions_are_compressed_and_match_their_record(table: Path) -> None:
    kinds: Counter[int] = Counter()
    for run in runs(table):
        file = run / "predictions.npz"
        if not file.exists():
            continue
        with zipfile.ZipFile(file) as archive:
            kinds.update(entry.compress_type for entry in archive.infolist())
        recorded = load(run / "record.json", trust_hash=True)["result"]["predictions_sha256"]
        assert predictions_sha256(read_predictions(file)) == recorded, run
    assert set(kinds) == {zipfile.ZIP_DEFLATED}
