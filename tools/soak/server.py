"""Runs commands: in a child forked from this process, which has imported everything, or as a real process.

The server computes nothing itself, so a child starts with a fresh interpreter state except for the imports. A child is
struck by a signal at its N-th Python call, at its N-th change of the file system, or after a time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.soak.outcome import Ended

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds after which a command counts as hanging."""

_CHANGES = ("replace", "rename", "fsync", "unlink", "remove", "mkdir", "rmdir", "chmod", "utime", "open")


@dataclass(frozen=True)
class Strike:
    """A signal at a moment: `at` counts Python calls (`call`), changes of the file system (`change`) or seconds.

    `torn`: a file that is being synchronised is cut to half its length before the signal, as if the kill came earlier.
    """

    moment: str
    at: float
    number: int = signal.SIGKILL
    torn: bool = False

    def __str__(self) -> str:
        where = f"{self.at:.2f} s" if self.moment == "time" else f"{self.moment} {self.at:.0f}"
        return f"{signal.Signals(self.number).name} at {where}{' (torn)' if self.torn else ''}"


def preload() -> None:
    """Import every module of the package, and the libraries that they import late."""
    import torch

    torch.set_num_threads(1)
    for top, prefix in (("cl", "cl"), ("strategies", "cl.strategies"), ("streams", "cl.streams")):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT / top).with_suffix("").parts
            if parts[-1] != "__main__":
                with contextlib.suppress(ImportError):  # an optional library such as tensorboard
                    importlib.import_module(".".join([prefix, *(part for part in parts if part != "__init__")]))
    for library in ("jsonschema", "pandas", "scipy.stats", "sklearn.datasets", "timm", "torchvision"):
        importlib.import_module(library)


def environment(home: Path) -> dict[str, str]:
    """The environment of every command: offline, one thread, no setting of the user, a cache of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CLBENCH_")}
    return kept | {
        "CLBENCH_HOME": str(home),
        "CLBENCH_OFFLINE": "1",
        "COLUMNS": "200",
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def clbench(arguments: Sequence[str]) -> Callable[[], int]:
    """The command line as a function for a child."""

    def command() -> int:
        from cl.cli import signals
        from cl.cli.app import call

        signals.handle()

        try:
            return call(arguments)
        except KeyboardInterrupt:
            return signals.exit_code()

    return command


def forked(
    function: Callable[[], int], folder: Path, strike: Strike | None = None, *, count: bool = False,
    patience: float = PATIENCE,
) -> Ended:  # fmt: skip
    """Run a function in a forked child in `folder` (its cache is `folder/home`); `count` counts the moments passed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as note:
        sys.stdout.flush()
        sys.stderr.flush()
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(function, folder, strike, count, (out.fileno(), err.fileno(), note.fileno()))
        timed = strike if strike is not None and strike.moment == "time" else None
        code, struck = _wait(child, start, patience, timed)
        seconds = time.monotonic() - start
        texts = []
        for stream in (out, err, note):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    notes = [json.loads(line) for line in texts[2].splitlines()]
    ticks = next((line for line in notes if isinstance(line, dict)), None)
    return Ended(code, texts[0], texts[1], struck or "struck" in notes, seconds, ticks)


def together(functions: Sequence[Callable[[], int]], folder: Path, patience: float = PATIENCE) -> list[Ended]:
    """Run functions at the same time, each in a forked child in the same folder."""
    start = time.monotonic()
    with contextlib.ExitStack() as files:
        children = []
        for function in functions:
            out, err, note = (files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            sys.stdout.flush()
            sys.stderr.flush()
            child = os.fork()
            if child == 0:
                _child(function, folder, None, False, (out.fileno(), err.fileno(), note.fileno()))
            children.append((child, out, err))
        ended = []
        for child, out, err in children:
            code, _ = _wait(child, start, patience, None)
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
            ended.append(Ended(code, texts[0], texts[1], seconds=time.monotonic() - start))
        return ended


def _wait(child: int, start: float, patience: float, strike: Strike | None) -> tuple[int | None, bool]:
    """Wait for a child, strike it at its time, and kill it when it hangs; its exit code, and whether it was struck."""
    struck = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), struck
        elapsed = time.monotonic() - start
        if strike is not None and not struck and elapsed >= strike.at:
            struck = True
            os.kill(child, strike.number)
        if elapsed > patience:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None, struck
        time.sleep(0.003)


def _child(
    function: Callable[[], int], folder: Path, strike: Strike | None, count: bool, files: tuple[int, int, int]
) -> None:
    """Become the command; never returns."""
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment(folder / "home"))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        # Whoever forks us may have put others in place. The command line replaces what UTF-8 cannot encode, too.
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
        clock = Clock(strike, files[2])
        with clock.running(calls=count or (strike is not None and strike.moment == "call")):
            code = function()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what follows is ours, not the command's
        if count:
            os.write(files[2], json.dumps(clock.ticks).encode() + b"\n")
    except BaseException:  # as the interpreter would show it
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


class Clock:
    """Counts moments in a child, and strikes the child at one of them."""

    def __init__(self, strike: Strike | None, note: int) -> None:
        self.strike, self.note = strike, note
        self.ticks = {"call": 0, "change": 0}

    def tick(self, moment: str, descriptor: int | None = None) -> None:
        self.ticks[moment] += 1
        strike = self.strike
        if strike is None or strike.moment != moment or self.ticks[moment] != int(strike.at):
            return
        self.strike = None
        sys.setprofile(None)
        os.write(self.note, b'"struck"\n')
        if strike.torn and descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.truncate(f"/proc/self/fd/{descriptor}", os.fstat(descriptor).st_size // 2)
        os.kill(os.getpid(), strike.number)

    @contextlib.contextmanager
    def running(self, *, calls: bool) -> Iterator[None]:
        """Count while the command runs: changes by the functions of `os`, calls by the profiler's hook."""
        before = {name: getattr(os, name) for name in _CHANGES}
        module: Any = os  # assigning to functions of a module is no type error through Any
        for name, function in before.items():
            setattr(module, name, self._counted(name, function))
        if calls:
            sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)
            for name, function in before.items():
                setattr(module, name, function)

    def _called(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            self.tick("call")

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.tick("change", arguments[0] if name == "fsync" else None)
            result = function(*arguments, **named)
            self.tick("change")
            return result

        return counted


def real(arguments: Sequence[str], folder: Path, strike: Strike | None = None, patience: float = PATIENCE) -> Ended:
    """Run the command line as a process of its own, struck at a time."""
    command = [sys.executable, "-m", "cl.cli", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment(folder / "home"), stdout=out, stderr=err)
        code, struck = _wait(process.pid, start, patience, strike)
        process.returncode = code if code is not None else -signal.SIGKILL
        seconds = time.monotonic() - start
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return Ended(code, texts[0], texts[1], struck, seconds)
