"""The import layers shown in docs/design.md are the layers that import-linter checks."""

from __future__ import annotations

import re
from pathlib import Path

from cl.tables import read_toml

ROOT = Path(__file__).resolve().parents[2]


def test_design_page_shows_the_checked_layers() -> None:
    contracts = read_toml(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    checked = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- layers: [^>]*-->\n(.*?)<!-- end of layers -->", page, re.DOTALL)
    assert shown and shown[1].split("\n") == ["", *(f"    {layer}" for layer in checked), "", ""]


def test_every_module_of_cl_has_a_layer() -> None:
    contracts = read_toml(ROOT / "pyproject.toml")["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["id"] == "layers")
    assert layers["exhaustive"], "import-linter itself refuses a module without a layer"
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    forbidden = next(contract for contract in contracts if contract["id"] == "plugins")
    assert {f"cl.{name}" for name in named - {"strategies", "streams"}} == set(forbidden["source_modules"])
