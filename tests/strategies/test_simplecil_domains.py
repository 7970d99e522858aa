"""SimpleCIL on domains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.strategies.simplecil import SimpleCIL
from tests.conftest import make
from tests.help.digit_parts import LOW, SAME, digits


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def test_means_over_domains_are_means_over_all_images(learn: Any) -> None:
    one, two = make(SimpleCIL), make(SimpleCIL)
    learn(one, digits("domain-incremental", LOW, SAME), 2)
    learn(two, digits("domain-incremental", LOW), 1)
    assert one.prototypes.shape == two.prototypes.shape
    assert np.allclose(one.prototypes, two.prototypes, atol=1e-6), "the same images twice have the same means"
