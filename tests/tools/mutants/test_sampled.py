"""The sample is seeded, and each module has the tests that mirror it."""

from __future__ import annotations

import ast

import pytest

from tools.mutants.listed import ROOT
from tools.mutants.sampled import tests_of as files_of


def test_modules_have_the_tests_of_their_name_and_their_oracles() -> None:
    assert "tests/oracles/test_slca.py" in files_of(ROOT / "strategies" / "slca.py")
    assert files_of(ROOT / "cl" / "parts" / "losses.py")[0] == "tests/parts/test_losses.py"
    assert files_of(ROOT / "cl" / "bases" / "prompted.py")[0] == "tests/bases/test_prompted.py"


@pytest.mark.slow
def test_a_sample_repeats_and_its_mutants_are_other_programs() -> None:
    pytest.importorskip("cosmic_ray")
    from tools.mutants.sampled import sample

    drawn = sample(5, seed=3)
    assert drawn == sample(5, seed=3) != sample(5, seed=4)
    for mutant in drawn:
        assert not mutant.problem()
        assert ast.dump(ast.parse(mutant.old)) != ast.dump(ast.parse(mutant.new)), mutant.name
