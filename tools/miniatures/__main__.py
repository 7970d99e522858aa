"""The command: writes miniatures of the datasets named, or of all."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.miniatures.write import names, write


def main(arguments: list[str]) -> int:
    """Write miniatures into the first argument; returns the exit code."""
    if not arguments:
        sys.stderr.write("usage: python -m tools.miniatures FOLDER [NAME ...]\n")
        return 2
    folder, *chosen = arguments
    if unknown := [name for name in chosen if name not in names()]:
        sys.stderr.write(f"There is no miniature of {unknown[0]}; there are {', '.join(names())}.\n")
        return 2
    for name in chosen or names():
        pen = write(name, Path(folder))
        sys.stdout.write(f"{name}: {len(pen.truth)} pictures\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
