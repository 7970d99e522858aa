"""A strategy and a logger are registered for these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cl import registry
from tests.help.loggers import Dropping, Recorder


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    registry.strategies.register("dropping", Dropping)
    registry.loggers.register("recorder", Recorder)
    yield
    registry.strategies.unregister("dropping")
    registry.loggers.unregister("recorder")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("CLBENCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "results"))
    yield
    registry.loggers.unregister("broken")
