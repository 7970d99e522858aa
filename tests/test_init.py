"""`import cl`: cheap, and its names are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.registry import own_version


def test_importing_cl_imports_nothing_heavy() -> None:
    code = "import sys, cl; cl.option; cl.__version__; assert 'torch' not in sys.modules; assert 'run' in dir(cl)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(cl.__file__).parent.parent)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        cl.nothing  # noqa: B018


def test_a_checkout_knows_its_own_version() -> None:
    assert cl.__version__ == own_version()
    assert cl.CHECKOUT is None or (cl.CHECKOUT / "pyproject.toml").is_file()


def test_every_public_name_is_imported_from_where_it_is_defined() -> None:
    assert set(cl._HOMES) <= set(cl.__all__) <= set(dir(cl))
    for name in cl.__all__:
        assert getattr(cl, name) is not None
    assert {cl.run.__module__, cl.option.__module__} == {"cl.api", "cl.options"}
