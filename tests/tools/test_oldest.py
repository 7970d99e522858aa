"""The constraints of the oldest releases."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cl.tables import read_toml
from tools.oldest import ROOT, oldest


def test_every_dependency_is_constrained_to_its_oldest_release() -> None:
    assert oldest(["a>=1.2,<3", "b_c>=0.4; python_version < '3.11'"]) == [
        "a==1.2",
        'b_c==0.4; python_version < "3.11"',
    ]
    with pytest.raises(SystemExit, match=r"a<2 in pyproject\.toml .* its oldest release; write NAME>=VERSION"):
        oldest(["a<2"])


def test_the_script_prints_those_of_the_project() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "oldest.py"], capture_output=True, text=True, check=True)
    names = [line.partition("==")[0] for line in done.stdout.splitlines()]
    needed = read_toml(ROOT / "pyproject.toml")["project"]["dependencies"]
    assert names == [*(text.partition(">=")[0] for text in needed), "pyarrow"] and "torch" in names
