"""`tools/typecheck.py` sees the types of `cl.strategies`, which in the repository exist only at run time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pytest

import cl

if TYPE_CHECKING:
    from cl.strategies.norga import NoRGa
    from cl.streams.digits import SplitDigits

pytestmark = [
    pytest.mark.skipif(cl.CHECKOUT is None, reason="needs the repository"),
    pytest.mark.skipif(
        not (Path(matplotlib.__file__).parent / "py.typed").is_file(), reason="matplotlib has no types before 3.8"
    ),
]

SOURCES = {
    "pyproject.toml": "[tool.mypy]\nfiles = ['cl', 'tests']\nexplicit_package_bases = true\n",
    "cl/__init__.py": "",
    "cl/strategy.py": "class Strategy:\n    def learn(self, task: int) -> None: ...\n",
    "strategies/base.py": "from cl.strategy import Strategy\n\n\nclass Base(Strategy): ...\n",
    "strategies/mine.py": "from cl.strategies.base import Base\n\n\nclass Mine(Base):\n    learn = 3\n",
    "streams/mine.py": "import cl.strategies.mine\n",
    "tests/test_mine.py": "from cl.strategies.mine import Mine\n\nMine().forget()\n",
    "docs/index.md": "",
}


def typed_calls(method: NoRGa, family: SplitDigits) -> None:
    """Never called: mypy reports an ignored error that is none, as these would be if the classes were `Any`."""
    method.predict("no images")  # type: ignore[arg-type]
    family.build(family.Options(), order_seed="no number", data_seed=1)  # type: ignore[arg-type]


def test_errors_in_subclasses_are_reported_under_the_names_of_the_repository(tmp_path: Path) -> None:
    assert cl.CHECKOUT is not None
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tools").mkdir()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    for name in ("built_tree.py", "typecheck.py"):
        shutil.copy(cl.CHECKOUT / "tools" / name, tmp_path / "tools")
    done = subprocess.run([sys.executable, "tools/typecheck.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert (
        'strategies/mine.py:5: error: Incompatible types in assignment (expression has type "int", base class'
        in done.stdout
    )
    assert 'tests/test_mine.py:3: error: "Mine" has no attribute "forget"' in done.stdout
    assert "cl/strategies/" not in done.stdout and "Found 2 errors" in done.stdout
