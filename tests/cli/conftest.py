"""Every test has its own results, cache and environment, and never the network."""

from __future__ import annotations

import pytest

from tests.help.three_digits import example  # noqa: F401
from tests.help.tiny_dataset import tiny  # noqa: F401


@pytest.fixture(autouse=True)
def _isolated(isolated: None) -> None:
    pass
