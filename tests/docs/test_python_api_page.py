"""The page "Python API": its snippets run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cl

PYTHON_API = Path(__file__).resolve().parents[2] / "docs" / "python-api.md"


def test_the_snippets_of_the_python_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_RESULTS")
    blocks = re.findall(r"^```python\n(.*?)^```", PYTHON_API.read_text(encoding="utf-8"), re.S | re.M)
    names: dict[str, Any] = {}
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"{PYTHON_API.name}, block {number}", "exec"), names)
    finally:
        cl.registry.strategies.unregister("ridge")
        cl.registry.metrics.unregister("worst")
    shown = capsys.readouterr()
    assert len(blocks) == 8 and "Did you mean simplecil" in shown.out and "complete already" in shown.err
    assert len(names["names"]) == 4 and len(cl.load_results()) == 2
