"""`import cl`: cheap, and its names are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.registry import own_version

pytestmark = pytest.mark.usefixtures("isolated")


def test_importing_cl_imports_nothing_heavy() -> None:
    code = "import sys, cl; cl.option; cl.__version__; assert 'torch' not in sys.modules; assert 'run' in dir(cl)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(cl.__file__).parent.parent)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        cl.nothing  # noqa: B018


def test_a_checkout_knows_its_own_version() -> None:
    assert cl.__version__ == own_version()
    assert cl.CHECKOUT is None or (cl.CHECKOUT / "pyproject.toml").is_file()
