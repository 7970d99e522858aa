"""Observers: which object hears what."""

from __future__ import annotations

from typing import Any

from cl.progress import Observer, Observers


def test_every_observer_is_told_and_an_object_with_some_methods_what_it_understands() -> None:
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
