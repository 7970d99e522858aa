"""stdout and stderr that are closed or full, and names that their encoding does not have."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

import click

_FAILED = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def prepare() -> bool:
    """Make stdout and stderr usable; False, with one sentence on stderr, if stdout is closed."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stays open until the process ends
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        say("Error: stdout is closed, so results cannot be printed; redirect it to a file or to /dev/null.")
        return False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold bytes that no encoding has
            stream.reconfigure(errors="backslashreplace")
    return True


def say(text: str) -> None:
    """Print a line on stderr; if stderr is full or gone, there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, err=True)


def finish() -> int:
    """Flush stdout and stderr; 1, with one sentence on stderr, if stdout cannot be written."""
    code = 0
    try:
        sys.stdout.flush()
    except OSError as error:
        code = int(stdout_failed(error))
    try:
        sys.stderr.flush()
    except OSError:
        _to_null(sys.stderr)
    return code


def stdout_failed(error: OSError) -> bool:
    """Whether an error is of writing to stdout; one sentence on stderr says so, but not if a pipe's reader has left.

    Errors of files have a name, and what we write to files ourselves fails with `StorageError`.
    """
    if error.filename is not None or error.errno not in _FAILED:
        return False
    _to_null(sys.stdout)
    if error.errno != errno.EPIPE:
        say(f"Error: cannot write to stdout: {error.strerror}.")
    return True


def _to_null(stream: object) -> None:
    """Send the rest of a stream to nowhere, so that Python does not fail to flush it at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
        stream.flush()  # type: ignore[attr-defined]
