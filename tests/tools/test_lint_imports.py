"""The floors of imports on the page about the design are those that import-linter checks."""

from __future__ import annotations

import re
from pathlib import Path

from cl.files import toml_load

ROOT = Path(__file__).resolve().parents[2]


def test_the_floors_of_the_page_are_those_that_are_checked() -> None:
    contracts = toml_load(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    checked = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- floors: [^>]*-->\n(.*?)<!-- end of floors -->", page, re.DOTALL)
    assert shown and shown[1].split("\n") == ["", *(f"    {floor}" for floor in checked), "", ""]


def test_every_module_of_cl_has_a_floor() -> None:
    contracts = toml_load(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    floors = next(contract for contract in contracts if contract["id"] == "floors")
    assert floors["exhaustive"], "import-linter itself refuses a module without a floor"
    named = {name.strip() for floor in floors["layers"] for name in floor.split("|")}
    forbidden = next(contract for contract in contracts if contract["id"] == "plugins")
    assert {f"cl.{name}" for name in named - {"strategies", "streams"}} == set(forbidden["source_modules"])
