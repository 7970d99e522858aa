"""Check the layers of imports (`[tool.importlinter]` in pyproject.toml) on the package layout of the wheel.

import-linter must see strategies/ and streams/ inside `cl`, as they are imported. Late and type-only imports count.
"""

from __future__ import annotations

import os
import subprocess
import sys

from built_tree import built_tree  # type: ignore[import-not-found]  # found beside a script only


def main() -> int:
    """Run import-linter over one copy of the sources; returns its exit code."""
    with built_tree() as tree:
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
        command += ["--no-cache", *sys.argv[1:]]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
