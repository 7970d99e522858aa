"""Every test has its own results, cache and environment, and never the network."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _isolated(isolated: None) -> None:
    pass
