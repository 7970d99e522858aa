"""stdout and stderr that are closed or full: one sentence, exit code 1, no traceback and no noise at exit."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.cli import streams

FULL = "Error: cannot write to stdout: No space left on device.\n"
CLOSED = "Error: stdout is closed, so results cannot be printed; redirect it to a file or to /dev/null.\n"

linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


def shell(arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(cl.__file__).parent.parent), **variables}
    script = f'"{sys.executable}" -c "from cl.cli import main; main()" {arguments}'
    return subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, errors="surrogateescape", env=environment, check=False,
        timeout=120,
    )  # fmt: skip


@linux
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("list streams > /dev/full", 1, FULL),
        ("--help > /dev/full", 1, FULL),
        ("metrics --json > /dev/full", 1, FULL),
        ("list streams >&-", 1, CLOSED),
        ("list streams >&- 2>&-", 1, ""),
        ("list streams > /dev/full 2> /dev/full", 1, ""),
        ("nope 2> /dev/full", 2, ""),
        ("info nope 2>&-", 2, ""),
        ("list streams > /dev/null 2>&-", 0, ""),
        ("list streams > /dev/null 2> /dev/full", 0, ""),
    ],
)
def test_closed_and_full_streams(arguments: str, code: int, says: str) -> None:
    done = shell(arguments)
    assert (done.returncode, done.stderr) == (code, says)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_the_encoding_does_not_have_are_printed(encoding: str) -> None:
    done = shell("leaderboard $(printf 'no\\377such\\303\\251')", PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    name = r"no\\udcffsuch" if encoding == "utf-8" else "no[?]such"  # click has its own stream instead of ASCII
    assert re.match(f"Error: There are no results at {name}.*; check the path", done.stderr)


def test_errors_of_files_are_not_taken_for_those_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (OSError(errno.ENOSPC, "full", "file"), OSError(errno.ENOENT, "missing"), OSError("text")):
        assert not streams.stdout_failed(error)
    assert capsys.readouterr().err == ""
