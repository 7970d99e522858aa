"""Images that had arrived at each evaluation, from a record."""

from __future__ import annotations

from typing import Any

from cl.records.arrivals import arrived

ROWS = [
    {"event": 2, "split": "test", "task": 1},
    {"event": 4, "split": "test", "task": 2},
    {"event": 4, "split": "val", "task": 2},
]
EVENTS: list[dict[str, Any]] = [
    {"event": 0, "what": "train 0", "images": 10},
    {"event": 1, "what": "train 1", "images": 7},
    {"event": 2, "what": "evaluate test"},
    {"event": 3, "what": "train 2", "images": 10},
    {"event": 4, "what": "evaluate test"},
]


def record(setting: str, events: list[dict[str, Any]] = EVENTS) -> dict[str, Any]:
    return {"result": {"stream": {"setting": setting}, "rows": ROWS}, "measurement": {"events": events}}


def test_images_of_online_and_blurry_streams_are_summed_up() -> None:
    assert arrived(record("online class-incremental")) == arrived(record("blurry class-incremental")) == [17, 27]
    assert arrived(record("class-incremental")) is None, "a step is a task there"


def test_without_the_images_or_the_events_nothing_is_guessed() -> None:
    older = [{key: value for key, value in event.items() if key != "images"} for event in EVENTS]
    assert arrived(record("online class-incremental", older)) is None
    assert arrived(record("online class-incremental", EVENTS[:4])) is None
