"""Paths of the checkout, the cache, the results and the data."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path

from cl.errors import UsageError

_ROOT = Path(__file__).resolve().parent.parent
CHECKOUT: Path | None = _ROOT if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "strategies").is_dir() else None
"""The repository root when `cl` is imported from a source checkout, None once it is installed from a wheel."""

RESULTS, RESULTS_VARIABLE = "results", "CLBENCH_RESULTS"
"""Default folder of records, and the environment variable that changes it."""


def home() -> Path:
    """The cache: CLBENCH_HOME, else the user's cache folder (XDG_CACHE_HOME is respected). It need not exist yet."""
    from platformdirs import user_cache_dir

    chosen = os.environ.get("CLBENCH_HOME", "").strip()
    return _expanded("CLBENCH_HOME", chosen) if chosen else Path(user_cache_dir("clbench", appauthor=False))


def results() -> Path:
    """The results folder: CLBENCH_RESULTS, else ./results."""
    return _expanded(RESULTS_VARIABLE, os.environ.get(RESULTS_VARIABLE) or RESULTS)


def data_path() -> list[Path]:
    """The folders of CLBENCH_DATA_PATH, which are searched for data and weights before the cache."""
    entries = os.environ.get("CLBENCH_DATA_PATH", "").split(os.pathsep)
    return [_expanded("CLBENCH_DATA_PATH", entry) for entry in entries if entry.strip()]


def _expanded(variable: str, text: str) -> Path:
    """A path with ~ expanded; raises `UsageError`, which names the variable, if there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{variable} is {text}, and there is no such user; give the whole path.") from error


class _Scratch:
    """A temporary folder that is made when it is first needed."""

    def __init__(self, cache: bool) -> None:
        self.cache, self.stack = cache, ExitStack()

    @cached_property
    def folder(self) -> Path:
        return Path(self.stack.enter_context(tempfile.TemporaryDirectory()))


_scratch: ContextVar[_Scratch | None] = ContextVar("scratch", default=None)


@contextmanager
def look_only(*, cache: bool = False) -> Iterator[None]:
    """Inside, nothing is downloaded; new files of the cache are temporary, unless `cache` allows to write it."""
    scratch = _Scratch(cache)
    token = _scratch.set(scratch)
    try:
        with scratch.stack:
            yield
    finally:
        _scratch.reset(token)


def looking_only() -> bool:
    """Whether `look_only` is in effect: nothing is downloaded."""
    return _scratch.get() is not None


def writing_nothing() -> bool:
    """Whether `look_only` keeps the cache and the results as they are."""
    scratch = _scratch.get()
    return scratch is not None and not scratch.cache


def writable_cache() -> Path:
    """The folder for new files of the cache: `home()`, or a temporary one inside `look_only`."""
    scratch = _scratch.get()
    return home() if scratch is None or scratch.cache else scratch.folder
