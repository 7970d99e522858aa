"""BibTeX of strategies, built in or of a plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cl import registry
from cl.plan.references import FILE, bibtex, entries

ROOT = Path(__file__).resolve().parents[2]


def test_bibtex_is_keyed_by_strategies() -> None:
    found = entries(ROOT / "strategies" / FILE)
    assert set(found) <= set(registry.strategies) and "slca" in found
    for name, entry in found.items():
        assert bibtex(name) == entry and entry.count("{") == entry.count("}")
        assert re.search(r"^\s*year\s*= \{\d{4}\}", entry, re.MULTILINE)
    assert bibtex("joint") == ""


def test_a_plugin_brings_its_own_bibtex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "method_of_a_plugin.py").write_text("class Method: pass\n")
    (tmp_path / FILE).write_text("@misc{other, title={No}}\n@article{mine,\n title = {A {B}},\n}\n% the end }\n")
    monkeypatch.setattr(registry.strategies, "source", lambda name: tmp_path / "method_of_a_plugin.py")
    assert bibtex("mine") == "@article{mine,\n title = {A {B}},\n}"
    assert bibtex("absent") == ""
