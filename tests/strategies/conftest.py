"""Fixtures of the tests of several strategies."""

from __future__ import annotations

from typing import Any

import pytest

from cl.strategy import Strategy
from cl.training import state


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every fit: its phase, its arguments, and the state before and after."""
    found: list[dict[str, Any]] = []
    fit = Strategy.fit

    def watched(self: Any, phase: str, data: Any, loss: Any, params: Any, **arguments: Any) -> Any:
        params = list(params)
        before = state.clone(self.get_state())
        result = fit(self, phase, data, loss, params, **arguments)
        after = state.clone(self.get_state())
        found.append({"phase": phase, "data": data, "params": params, "before": before, "after": after, **arguments})
        return result

    monkeypatch.setattr(Strategy, "fit", watched)
    return found
