"""Check the layers of imports (`[tool.importlinter]` in pyproject.toml) on the package layout of the wheel.

In the repository strategies/ and streams/ are next to cl/; import-linter must see them inside cl/, as they are
imported. Late and type-only imports count.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Copy the sources into one tree and run import-linter there; returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        tree, only_python = Path(folder), shutil.ignore_patterns("*.npz", "*.safetensors", "__pycache__")
        for source, target in (("cl", "cl"), ("strategies", "cl/strategies"), ("streams", "cl/streams")):
            shutil.copytree(ROOT / source, tree / target, ignore=only_python)
        shutil.copy(ROOT / "pyproject.toml", tree)
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
        command += ["--no-cache", *sys.argv[1:]]
        environment = {**os.environ, "PYTHONPATH": folder}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
