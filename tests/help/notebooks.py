"""Notebooks that are executed in a fresh kernel."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest


def execute(cells: list[str] | Path, folder: Path) -> Any:
    """Run code cells, or a notebook, in a fresh kernel that works in `folder`; any error in a cell fails the test."""
    nbformat, client = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    if isinstance(cells, Path):
        book = nbformat.read(cells, 4)
    else:
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(dedent(cell)) for cell in cells])
    work = folder / "work"
    work.mkdir()
    client.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(work)}}).execute()
    return book
