"""How fast runs were: FLOP/s by records of the same backbone, device and precision."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.plan.plan import folder_name
from cl.results.store import find_records

COMPUTED = 0.5
"""Runs that computed a smaller share of their FLOPs, because features were in the cache, say little about speed."""


@dataclass(frozen=True)
class Speed:
    """FLOP/s of a whole run, learning and evaluations, and where it comes from."""

    flops: float
    runs: int
    source: str
    threads: int = 1
    """Threads of these runs, on a CPU."""

    def on_threads(self, threads: int) -> float:
        """FLOP/s with so many threads: fewer than the records had are slower in proportion, more are not faster."""
        return self.flops * min(1.0, threads / max(1, self.threads))


@dataclass(frozen=True)
class _Run:
    strategy: str
    flops: float
    threads: int
    folder: str


class Speeds:
    """The speeds in folders of results. Each backbone's records are read once, when first asked for."""

    def __init__(self, folders: Iterable[str | Path]) -> None:
        self._folders = [Path(folder) for folder in dict.fromkeys(map(str, folders)) if Path(folder).is_dir()]
        self._files: list[tuple[Path, Path]] | None = None
        self._runs: dict[tuple[str, str, str], list[_Run]] = {}

    def of(self, strategy: str, backbone: str, device: str, precision: str) -> Speed | None:
        """The median of the strategy's own runs, or else of all runs with the backbone; None if there are none."""
        key = (backbone, device, precision)
        if key not in self._runs:
            self._runs[key] = list(self._read(*key))
        runs = self._runs[key]
        chosen = [run for run in runs if run.strategy == strategy] or runs
        if not chosen:
            return None
        plural = "s" if len(chosen) > 1 else ""
        what = f"{len(chosen)} run{plural} of {strategy if chosen[0].strategy == strategy else 'other methods'}"
        folders = ", ".join(sorted({run.folder for run in chosen}))
        median = statistics.median(run.flops for run in chosen)
        return Speed(median, len(chosen), f"{what} in {folders}", max(run.threads for run in chosen))

    def _read(self, backbone: str, device: str, precision: str) -> Iterable[_Run]:
        if self._files is None:
            found = [(folder, path) for folder in self._folders for path in find_records([folder])]
            self._files = list({path.resolve(): (folder, path) for folder, path in found}.values())
        name = folder_name(backbone)
        for folder, path in self._files:
            if name not in path.parts:
                continue
            try:
                record = json.loads(path.read_bytes())
                run = _run(record, device, precision, str(folder))
            except (OSError, ValueError, KeyError, TypeError):  # a damaged record is the concern of `clbench table`
                continue
            if run is not None:
                yield run


def _run(record: Mapping[str, Any], device: str, precision: str, folder: str) -> _Run | None:
    """The speed of a run; None if it ran elsewhere, in another precision, or took its features from the cache."""
    measured, result = record["measurement"], record["result"]
    environment = measured["environment"]
    kind = "cpu" if environment["device"] == "cpu" else "cuda" if environment.get("cuda") else environment["device"]
    flops, seconds = measured["flops"], sum(event["seconds"] for event in measured["events"])
    if kind != device or result["precision"]["dtype"] != precision or not seconds:
        return None
    if not flops["executed"] or flops["executed"] < COMPUTED * flops["uncached"]:
        return None
    return _Run(result["strategy"]["name"], flops["executed"] / seconds, environment["threads"], folder)
