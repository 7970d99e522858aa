"""The script that checks the layers of imports, on a small repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

pytest.importorskip("importlinter")

TOOLS = Path(__file__).resolve().parents[2] / "tools"
FILES = {
    "cl/__init__.py": "",
    "strategies/__init__.py": "",
    "strategies/mine.py": "from cl import parts\n",
    "streams/__init__.py": "",
    "pyproject.toml": """
        [tool.importlinter]
        root_package = "cl"

        [[tool.importlinter.contracts]]
        name = "layers"
        type = "layers"
        layers = ["strategies", "parts"]
        containers = ["cl"]
    """,
}


@pytest.mark.parametrize(("imported", "code"), [("", 0), ("def late():\n    from cl.strategies import mine\n", 1)])
def test_an_import_from_a_higher_layer_is_an_error(imported: str, code: int, tmp_path: Path) -> None:
    """strategies/ is next to cl/ in the repository and inside it for import-linter; late imports count."""
    for name, text in {**FILES, "cl/parts.py": imported}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    (tmp_path / "tools").mkdir()
    for script in TOOLS.glob("*.py"):
        shutil.copy(script, tmp_path / "tools")
    command = [sys.executable, "tools/lint_imports.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("cl.parts is not allowed to import cl.strategies" in done.stdout) == bool(code)
