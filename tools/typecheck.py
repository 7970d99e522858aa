"""Run mypy (`[tool.mypy]` in pyproject.toml) over the package as a wheel has it, and over all other folders of code.

In the repository `cl.strategies` and `cl.streams` exist only at run time, so mypy would take every class from them for
`Any`. Arguments are passed on to mypy; its messages name the files of the repository. Nothing is checked where a
dependency is so old that it has no types.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution

from built_tree import INSIDE, ROOT, built_tree  # type: ignore[import-not-found]  # found beside a script only


def main() -> int:
    """Check one copy of the sources; returns mypy's exit code."""
    plots = distribution("matplotlib")
    if not plots.locate_file("matplotlib/py.typed").is_file():  # type: ignore[attr-defined]  # it is a path
        print(f"Types are not checked: matplotlib {plots.version} has none; 3.8 and newer have.")
        return 0
    with built_tree("benchmarks", "docs", "tests", "tools") as tree:
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), *sys.argv[1:]]
        done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, text=True, check=False)
    print(re.sub(rf"^cl/(?=({'|'.join(INSIDE)})/)", "", done.stdout, flags=re.MULTILINE), end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
