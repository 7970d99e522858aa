"""The notebook in docs/notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.help.notebooks import execute

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "from-nothing-to-a-figure.ipynb"


def test_the_committed_notebook_is_small_and_executed_and_contains_no_local_path() -> None:
    nbformat = pytest.importorskip("nbformat")
    assert NOTEBOOK.stat().st_size < 400_000
    cells = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) == 2
    for cell in cells:
        assert not cell.metadata
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr"
            text = (output.get("text") or "") + "".join(output.get("data", {}).get(f"text/{k}", "") for k in FORMS)
            assert not re.search(r"(?<![\w.<])/\w+/\w|[A-Z]:\\", text), text


FORMS = ("plain", "html")


@pytest.mark.slow
def test_the_notebook_runs_in_an_empty_folder(tmp_path: Path) -> None:
    book = execute(NOTEBOOK, tmp_path)
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not [output for output in outputs if output.get("name") == "stderr"]
