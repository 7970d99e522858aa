"""Finds miniatures by name and writes them."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from tools.miniatures import datasets
from tools.miniatures.pen import Pen


def names() -> tuple[str, ...]:
    """The datasets that have a miniature, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(datasets.__path__)))


def write(name: str, folder: Path) -> Pen:
    """Write the files of a dataset into FOLDER/NAME, as its authors publish them; returns what the pictures are."""
    pen = Pen()
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    import_module(f"{datasets.__name__}.{name}").write(target, pen)
    return pen
