"""Lists and tables that differ from the published ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cl.data.official.files import Files
from cl.errors import DataError


@contextmanager
def as_published(files: Files, what: str) -> Iterator[None]:
    """Turn an error that a cut or foreign list causes while it is parsed into a `DataError` that names it."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{what} of {files.where} is cut off or differs from the published one ({error!r}); get it again."
        ) from error
