"""SIGTERM, which batch systems send before they kill, and Ctrl-C.

Both raise `KeyboardInterrupt`, so that a run keeps its checkpoint and no temporary file is left; only the exit code
differs: 143 after SIGTERM, 130 after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_RETRY = 0.05
"""Seconds until a signal is sent again whose exception was lost."""

_terminated = False


def terminated() -> bool:
    """Whether SIGTERM has arrived since `forget`."""
    return _terminated


def forget() -> None:
    """Forget an earlier SIGTERM, before a command of the same process."""
    global _terminated
    _terminated = False


def exit_code() -> int:
    """The exit code of what a signal has stopped."""
    from cl.errors import INTERRUPTED, TERMINATED

    return TERMINATED if _terminated else INTERRUPTED


def _interrupt(*_: object) -> None:
    global _terminated
    _terminated = True
    raise KeyboardInterrupt


def handle() -> None:
    """Handle SIGTERM from now on, for the process of the command line."""
    if threading.current_thread() is threading.main_thread():
        forget()
        signal.signal(signal.SIGTERM, _interrupt)
        sys.unraisablehook = _unraisable


def leave() -> None:
    """Let signals end the process at once, because it exits now and a handler would print a traceback."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if sys.implementation.name == "cpython":
            # A KeyboardInterrupt in code that an extension ran, as imports of torch do, stays noted as unhandled, and
            # `python -m` then ends itself by SIGINT whatever the exit code. The next such code resets the note.
            ctypes.pythonapi.PyRun_SimpleString(b"")


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle SIGTERM inside a `with` block; does nothing in other threads, which may not handle signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _unraisable(lost: Any) -> None:
    """Send a signal again whose exception was raised where Python ignores exceptions, such as in a destructor."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if _terminated else signal.SIGINT
        threading.Timer(_RETRY, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(lost)
