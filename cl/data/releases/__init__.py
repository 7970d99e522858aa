"""Releases of datasets, one module each: the files that its authors published, and how to read them."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from cl.data.official.release import Release
from cl.errors import UsageError, did_you_mean


@cache
def names() -> tuple[str, ...]:
    """The names of all releases, sorted; imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def release(name: str) -> Release:
    """The release called `name`; raises `UsageError` with similar names if there is none."""
    if name not in names():
        raise UsageError(f"There is no dataset '{name}'.{did_you_mean(name, list(names()))}")
    found: Release = import_module(f"{__name__}.{name}").RELEASE
    return found
