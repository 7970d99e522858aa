"""The overview of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.help.figures import only

Make = Callable[..., dict[str, Any]]


def test_stream_overview_says_what_is_learned_and_tested_when(make_record: Make) -> None:
    groups = only([make_record()], "stream").data["groups"]
    assert [group["learned"] for group in groups] == [1, 2, 3]
    assert [group["tested"] for group in groups] == [[True] * 3, [False, True, True], [False, False, True]]
