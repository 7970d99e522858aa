"""The entry point: light to import, and it exits with the code of the command."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import cl.cli


def test_importing_the_entry_point_imports_no_command_line() -> None:
    code = "import sys, cl.cli; print({'click', 'cl.cli.app', 'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["nope"], 2)])
def test_the_exit_code_is_that_of_the_command(arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    try:
        with pytest.raises(SystemExit) as ended:
            cl.cli.main(arguments)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code == code


def test_there_are_no_other_names() -> None:
    assert callable(cl.cli.call)
    with pytest.raises(AttributeError, match="has no attribute 'cal'"):
        _ = cl.cli.cal
