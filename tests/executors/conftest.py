"""Every test has its own results, cache and environment, and never the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import cl
from tests.help.grids import ODD


@pytest.fixture(autouse=True)
def _isolated(isolated: None) -> None:
    pass


@pytest.fixture
def odd(plugin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The strategy `ODD`, which other processes find in the returned folder; the working folder is empty."""
    root = plugin("odd", {"odd_m": ODD}, {"clbench.strategies": {"odd": "odd_m:Odd"}})
    monkeypatch.setattr(cl.registry, "strategies", cl.registry.Registry("clbench.strategies", "strategy"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return root
