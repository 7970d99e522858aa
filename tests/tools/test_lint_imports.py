"""The floors of imports on the page about the design are those that import-linter checks."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from cl.files import toml_load
from tools import lint_imports

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


CONTRACT = """
    [tool.importlinter]
    root_package = "cl"

    [[tool.importlinter.contracts]]
    id = "floors"
    name = "Floors of imports"
    type = "layers"
    layers = ["strategies", "parts"]
    containers = ["cl"]
"""


@pytest.mark.parametrize(("imported", "code"), [("", 0), ("from cl.strategies import mine", 1)])
def test_an_import_that_goes_up_is_an_error(
    imported: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """strategies/ is next to cl/ in the repository and inside it where import-linter looks."""
    files = {"cl/__init__.py": "", "cl/parts.py": imported, "strategies/__init__.py": "", "streams/__init__.py": ""}
    files |= {"strategies/mine.py": "from cl import parts", "pyproject.toml": dedent(CONTRACT)}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(lint_imports, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["lint_imports.py"])
    assert lint_imports.main() == code
    said = capfd.readouterr().out
    assert ("cl.parts is not allowed to import cl.strategies" in said) == bool(code), said
