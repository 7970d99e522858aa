"""The sources as a wheel has them: strategies/ and streams/ inside `cl`, where they are imported from."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

INSIDE = ("strategies", "streams")
"""Folders of the repository that become packages of `cl`."""


@contextmanager
def built_tree(*others: str) -> Iterator[Path]:
    """A temporary folder with `cl` as built, the folders `others` and pyproject.toml; only Python files are copied.

    Modification times are kept, so a cache of an earlier copy stays valid.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        for source in ("cl", *others):
            shutil.copytree(ROOT / source, tree / source, ignore=_not_python)
        for source in INSIDE:
            shutil.copytree(ROOT / source, tree / "cl" / source, ignore=_not_python)
        shutil.copy(ROOT / "pyproject.toml", tree)
        yield tree


def _not_python(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".py") and not (Path(folder) / name).is_dir()]
