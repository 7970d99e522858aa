"""Observers: which object hears what."""

from __future__ import annotations

from typing import Any

from cl.progress import Observer, Observers


def test_an_observer_hears_the_events_that_it_has_methods_for() -> None:
    told: list[Any] = []

    class Some:
        def message(self, text: str) -> None:
            told.append(text)

    class Whole(Observer):
        def evaluated(self, record: Any) -> None:
            told.append(record)

    observers = Observers([Some(), Whole()])
    observers.message("hello")
    observers.phase("fit", 3)
    observers.evaluated({"status": "partial"})
    assert told == ["hello", {"status": "partial"}]
