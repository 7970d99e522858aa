"""Print constraints for pip: the oldest releases that clbench declares to work with, for a test on them.

pip install packaging && python tools/oldest.py > oldest.txt && pip install -e ".[test]" -c oldest.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


def oldest(dependencies: list[str]) -> list[str]:
    """One constraint per dependency, NAME==VERSION with the marker it has; a dependency without `>=` is an error."""
    lines = []
    for text in dependencies:
        needed = Requirement(text)
        lowest = [each.version for each in needed.specifier if each.operator == ">="]
        if len(lowest) != 1:
            raise SystemExit(f"{text} in pyproject.toml does not say its oldest release; write NAME>=VERSION.")
        lines.append(f"{needed.name}=={lowest[0]}" + (f"; {needed.marker}" if needed.marker else ""))
    return lines


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    print("\n".join(oldest([*project["dependencies"], *extras["parquet"]])))  # newer pyarrow needs a newer NumPy
