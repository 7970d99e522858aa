"""Runs tests in a copy of the repository that holds one mutant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutants.listed import ROOT

COPIED = ("cl", "strategies", "streams", "tests", "docs", "results", "tools", "pyproject.toml", "README.md")
TIMEOUT = 300.0
"""Seconds; a mutant that hangs is caught."""

FAILED, INTERRUPTED = 1, 2
"""Exit codes of pytest; a test file that cannot be imported interrupts it."""


@dataclass(frozen=True)
class Outcome:
    """What the tests said: `caught` if one of them failed, `broken` if they could not be run."""

    caught: bool
    broken: str = ""
    last_line: str = ""

    @property
    def passed(self) -> bool:
        """Whether the tests ran and none failed."""
        return not self.caught and not self.broken


def copy_of_repository(folder: Path) -> Path:
    """A copy in which files can be changed; large folders of records are linked."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if name == "results":
            target.symlink_to(source, target_is_directory=True)
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


def run_tests(folder: Path, tests: Sequence[str]) -> Outcome:
    """Run tests of the copy until one fails."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(caught=True, broken="timed out", last_line="timed out")
    last = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()[-1]
    if done.returncode not in (0, FAILED):
        return Outcome(caught=done.returncode == INTERRUPTED, broken=last, last_line=last)
    return Outcome(caught=done.returncode == FAILED, last_line=last)
