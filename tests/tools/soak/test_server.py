"""Children and processes: what they print, how they end, and when they are struck."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tools.soak.server import Strike, environment, forked, real


def work() -> int:
    """Five changes of the file system and some calls."""
    for number in range(5):
        os.mkdir(str(number))
    return 0


def test_a_child_returns_its_code_and_output(tmp_path: Path) -> None:
    def speak() -> int:
        print(os.environ["CLBENCH_HOME"])
        print("Error: It failed.", file=sys.stderr)
        return 3

    done = forked(speak, tmp_path)
    assert (done.code, done.out, done.err) == (3, f"{tmp_path / 'home'}\n", "Error: It failed.\n")
    assert not done.struck


def test_a_child_is_struck_at_a_change(tmp_path: Path) -> None:
    counted = forked(work, tmp_path, count=True)
    assert counted.ticks is not None and counted.ticks["change"] == 10  # before and after each of the five
    for number in range(5):
        (tmp_path / str(number)).rmdir()
    done = forked(work, tmp_path, Strike("change", 6))
    assert (done.code, done.struck) == (-signal.SIGKILL, True)
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]  # the sixth moment is after the third


def test_a_child_is_struck_at_a_call(tmp_path: Path) -> None:
    def calls() -> int:
        for number in range(1000):
            Path(str(number)).suffix  # noqa: B018
        return 0

    done = forked(calls, tmp_path, Strike("call", 50, signal.SIGTERM))
    assert (done.code, done.struck) == (-signal.SIGTERM, True)


def test_a_strike_that_comes_too_late_is_none(tmp_path: Path) -> None:
    done = forked(work, tmp_path, Strike("change", 11))
    assert (done.code, done.struck) == (0, False)


def test_a_torn_file_is_cut_before_the_kill(tmp_path: Path) -> None:
    def write() -> int:
        with open("file", "wb") as stream:
            stream.write(b"x" * 100)
            stream.flush()
            os.fsync(stream.fileno())
        return 0

    done = forked(write, tmp_path, Strike("change", 1, torn=True))
    assert done.code == -signal.SIGKILL
    assert (tmp_path / "file").stat().st_size == 50


def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    def hang() -> int:
        time.sleep(60)
        return 0

    assert forked(hang, tmp_path, patience=0.1).code is None


def test_an_error_of_the_function_is_a_traceback(tmp_path: Path) -> None:
    def fail() -> int:
        raise ValueError("no")

    done = forked(fail, tmp_path)
    assert done.code == 70 and "ValueError: no" in done.err


def test_a_process_runs_the_command_line(tmp_path: Path) -> None:
    done = real(["--version"], tmp_path)
    assert done.code == 0 and done.out.startswith("clbench ")


def test_commands_do_not_see_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_SET", "lr=1")
    found = environment(Path("home"))
    assert "CLBENCH_SET" not in found
    assert (found["CLBENCH_HOME"], found["CLBENCH_OFFLINE"]) == ("home", "1")


def test_a_strike_says_when() -> None:
    assert str(Strike("change", 7, signal.SIGKILL, torn=True)) == "SIGKILL at change 7 (torn)"
    assert str(Strike("time", 0.5, signal.SIGINT)) == "SIGINT at 0.50 s"
