"""The listed mutants: the replacement of one text in one file, and the tests that must fail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cl.tables import read_record

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent


@dataclass(frozen=True)
class Mutant:
    """`old` occurs exactly once in `file` and becomes `new`; at least one of the tests in `tests` must fail then."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self, root: Path = ROOT) -> str:
        """Why the mutant cannot be applied; empty if it can."""
        path = root / self.file
        if not path.is_file():
            return f"there is no {self.file}"
        if missing := [test for test in self.tests if not (root / test.partition("::")[0]).is_file()]:
            return f"there is no {missing[0]}"
        found = path.read_text(encoding="utf-8").count(self.old)
        return "" if found == 1 else f"{self.file} contains the text {found} times instead of once"

    def apply(self, root: Path) -> None:
        """Change the file in a copy of the repository."""
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class _File:
    mutant: tuple[Mutant, ...] = ()


def listed() -> list[Mutant]:
    """All listed mutants, in the order of the files."""
    return [mutant for file in sorted(FOLDER.glob("*.toml")) for mutant in read_record(file, _File).mutant]
