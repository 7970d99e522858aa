"""One execution of the program: its time, its tables, and runs of clbench in processes of their own."""

from __future__ import annotations

import csv
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

DIE = "CLBENCH_BENCHMARK_DIES_AT"
"""Environment variable: the step of a fit, counted over the process, at which a child kills itself."""

SHARES = {"speed": 0.6}
"""Share of the time after which a part ends; rows take the rest."""


@dataclass
class Bench:
    """One execution of this program."""

    device: Any
    card: str
    rehearse: bool
    out: Path
    results: Path
    data: Path
    end: float
    began: float
    jobs: int = 1

    def left(self, part: str = "") -> float:
        """Seconds left for a part, or for everything."""
        return self.began + SHARES.get(part, 1.0) * (self.end - self.began) - time.monotonic()

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write a table of this card; called after each row, so that a program that is stopped keeps its rows."""
        path = self.out / f"gpu-{self.card}{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def child(bench: Bench, arguments: str, seconds: float, dies: int | None = None) -> int | None:
    """Run clbench in a process of its own; its exit code, or None if the time was over."""
    paths = [str(bench.data), *filter(None, [os.environ.get("CLBENCH_DATA_PATH")])]
    more = {"CLBENCH_DATA_PATH": os.pathsep.join(paths), "CLBENCH_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    more |= {DIE: str(dies)} if dies is not None else {}
    command = [sys.executable, "-m", "benchmarks.gpu", "clbench", *shlex.split(arguments)]
    quiet = None if "--progress" in arguments else subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, **more}, stdout=quiet, cwd=ROOT)
    try:
        return process.wait(max(seconds, 0.1))
    except subprocess.TimeoutExpired:
        process.terminate()  # its runs keep their checkpoints
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return None
