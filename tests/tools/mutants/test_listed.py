"""The list of mutants stays applicable, and every method of the issue list has some."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants.listed import Mutant, listed

MUTANTS = listed()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_every_mutant_changes_one_place_of_its_file(mutant: Mutant) -> None:
    assert not mutant.problem()
    assert mutant.old != mutant.new


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_mutant_that_cannot_be_applied_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n")
    (tmp_path / "test_a.py").touch()
    mutant = Mutant("m", "a.py", "x = 1", "x = 2", ("test_a.py",))
    assert "2 times instead of once" in mutant.problem(tmp_path)
    assert "no b.py" in Mutant("m", "b.py", "x", "y", ()).problem(tmp_path)
    assert "no test_b.py" in Mutant("m", "a.py", "x", "y", ("test_b.py::test_x",)).problem(tmp_path)
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n")
    assert not mutant.problem(tmp_path)
    mutant.apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = 2\ny = 1\n"
