"""A workshop with small runs; every command is a child that is forked from the process of the tests."""

from __future__ import annotations

import pytest

from tools.soak.scenarios import SCENARIOS, Workshop
from tools.soak.server import preload


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop whose states are made once."""
    preload()
    return Workshop(tmp_path_factory.mktemp("soak"), SCENARIOS["toml"])
