"""Progress of long data operations: a callback gets every step; a bar needs a terminal."""

from __future__ import annotations

import pytest

from cl.data.progress import Bar


def test_a_callback_gets_the_units_done_so_far() -> None:
    told: list[tuple[str, int, int]] = []
    with Bar("archive", 10, lambda *step: told.append(step), done=2) as bar:
        bar.add(3)
        bar.add(5)
    assert told == [("archive", 5, 10), ("archive", 10, 10)]


def test_nothing_is_printed_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("archive", 0, None, unit="B") as bar:
        bar.add(7)
    assert capsys.readouterr() == ("", "")
