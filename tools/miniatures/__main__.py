"""The command: writes miniatures of the datasets named, or of all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.miniatures.write import names, write


def main(arguments: Sequence[str]) -> int:
    """Write miniatures into a folder; returns the exit code, and prints one line for each.

    Raises `SystemExit`: 2 for a wrong argument, before anything is written, and 0 after --help.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.miniatures", description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", metavar="FOLDER", help="where to write; each dataset gets a folder of its name")
    parser.add_argument("names", metavar="NAME", nargs="*", help="datasets; without any, all of them are written")
    options = parser.parse_args(arguments)
    if options.folder.startswith("-"):  # after "--" anything passes
        parser.error(f"{options.folder} looks like an option; for a folder of this name write ./{options.folder}.")
    if unknown := [name for name in options.names if name not in names()]:
        parser.error(f"There is no miniature of {unknown[0]}; there are {', '.join(names())}.")
    for name in options.names or names():
        pen = write(name, Path(options.folder))
        sys.stdout.write(f"{name}: {len(pen.truth)} pictures\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
