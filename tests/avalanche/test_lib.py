"""The import of avalanche-lib: its remarks stay off the output, and its absence is one sentence."""

from __future__ import annotations

import runpy
import sys
import warnings
from pathlib import Path

import avalanche
import pytest

from cl.avalanche import lib
from cl.errors import ClbenchError


def test_avalanche_prints_to_stderr_and_its_warnings_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    inside = str(Path(avalanche.__file__).parent / "training" / "any.py")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with lib.quiet():
            print("progress")
            warnings.resetwarnings()  # avalanche-lib does so
            warnings.simplefilter("always")
            warnings.warn_explicit("theirs", UserWarning, inside, 1)
            warnings.warn_explicit("ours", UserWarning, __file__, 1)
    assert [str(each.message) for each in shown] == ["ours"]
    assert capsys.readouterr() == ("", "progress\n")


def test_output_and_warnings_are_restored_after_an_error() -> None:
    show, out = warnings.showwarning, sys.stdout
    with pytest.raises(ZeroDivisionError), lib.quiet():
        raise ZeroDivisionError
    assert warnings.showwarning is show and sys.stdout is out


def test_a_missing_avalanche_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "avalanche", None)
    for name in [name for name in sys.modules if name.startswith("avalanche.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ClbenchError, match=r"avalanche-lib cannot be imported .*pip install 'avalanche-lib>=0.6'"):
        runpy.run_path(lib.__file__)
