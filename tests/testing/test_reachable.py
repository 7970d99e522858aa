"""Differences of two states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cl.training import state


def test_state_differences_are_found() -> None:
    from cl.testing.reachable import differences

    one: Mapping[str, Any] = {"a": [torch.zeros(2), 1], "b": "x"}
    assert not list(differences(one, state.clone(dict(one))))
    two = {"a": [torch.tensor([0.0, 0.5]), 2], "c": "x"}
    assert list(differences(one, two)) == [
        "state.a[0] differs by up to 0.5", "state.a[1] is 1 in one and 2 in the other",
        "state.b is in one only", "state.c is in one only",
    ]  # fmt: skip
