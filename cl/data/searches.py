"""Searches for data that a run recorded, repeated: by names of files, and for datasets in official files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cl.data.official.release import find
from cl.data.releases import release
from cl.data.sources import found_again


def repeated(search: Mapping[str, Any]) -> list[str]:
    """The paths that a search of `cl.data.reads` finds now; raises `DataError` or `UsageError` as the search itself."""
    if "release" not in search:
        return found_again(search)
    copy = find(release(search["release"]))
    return [] if copy is None else [str(path.absolute()) for path in copy.paths]
