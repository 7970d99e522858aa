"""SIGTERM and Ctrl-C at any moment of the command line: the documented exit code, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.cli import signals

_SCRIPT = """
import atexit, os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes of a shell ignore it
number, moment = getattr(signal, sys.argv[1]), sys.argv[2]


def send():
    sys.meta_path.remove(finder)
    os.kill(os.getpid(), number)


class Finder:
    def find_spec(self, name, path, target=None):
        if name == moment:
            send()


class Lost:
    def __del__(self):
        send()


finder = Finder()
sys.meta_path.insert(0, finder)
if moment == "exit":
    atexit.register(send)
if moment == "destructor":
    import cl.cli.app

    cl.cli.app._call = lambda _: Lost() and __import__("time").sleep(60)
from cl.cli import main

main(sys.argv[3:])
"""


def ends(number: str, moment: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process that sends itself a signal when a module is imported, or at another moment."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cl.__file__).parent.parent)}
    command = [sys.executable, "-c", _SCRIPT, number, moment, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.mark.parametrize("moment", ["cl.cli.app", "click", "cl.registry", "cl.cli.commands.list", "exit", "destructor"])
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_signals_end_the_command_with_their_code(number: str, code: int, moment: str) -> None:
    done = ends(number, moment, "list", "strategies")
    by_signal = -getattr(signal, number)  # a shell shows this as the same code
    assert done.returncode in (code, by_signal), done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr and "Error" not in done.stderr


def test_a_stopped_import_is_no_error_of_its_own() -> None:
    script = """
import os, signal, sys
import cl.cli.app as app

def stopped(_):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise SystemError("initialization of _C raised unreported exception")

class Group:
    def main(self, **more):
        stopped(None)

app.cli = Group()
from cl.cli import main
main([])
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(cl.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (143, "Interrupted; the same command continues.\n")


def test_a_stop_inside_code_of_an_extension_keeps_the_exit_code(tmp_path: Path) -> None:
    script = """
import ctypes
import cl.cli.app as app

def stopped(_):
    ctypes.pythonapi.PyRun_SimpleString(b"import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    return 0

app._call = stopped
from cl.cli import main
main([])
"""
    (tmp_path / "stopped.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(cl.__file__).parent.parent)}
    command = [sys.executable, "-m", "stopped"]  # as a script it would not matter
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 143


def test_handlers_are_restored_after_the_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals.forget()
    with pytest.raises(KeyboardInterrupt), signals.handled():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signals.terminated() and signals.exit_code() == 143
    signals.forget()
    assert not signals.terminated() and signals.exit_code() == 130
