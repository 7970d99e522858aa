"""SimpleCIL against the prototypes and scores of LAMDA-PILOT @2647455, models/simplecil.py."""

from __future__ import annotations

import pytest

from cl.strategies.simplecil import SimpleCIL
from tests.help.oracles import Oracle, names, replay


@pytest.mark.parametrize("name", names("simplecil"))
def test_prototypes_and_scores(name: str) -> None:
    oracle = Oracle(name)
    learner = replay(SimpleCIL, oracle, {})
    oracle.compare("forward", learner.prototypes, oracle.tensor("prototypes"))
    oracle.compare("forward", learner.predict_images(oracle.tensor("test_pixels")), oracle.tensor("scores"))
