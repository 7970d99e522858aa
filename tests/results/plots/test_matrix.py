"""Heat maps of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.help.figures import only

Make = Callable[..., dict[str, Any]]


def test_matrix_keeps_what_was_not_measured_apart_from_zero(make_record: Make) -> None:
    data = only([make_record([[90, None, None], [80, 0, None], [60, 75, 50]])], "matrix").data
    assert data["accuracy"] == [[90, None, None], [80, 0, None], [60, 75, 50]]
