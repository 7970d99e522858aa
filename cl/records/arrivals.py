"""How many training images had arrived at each evaluation of a run, from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cl.protocol import ANYTIME, belongs
from cl.records.matrix import main_split, rows_of


def arrived(record: Mapping[str, Any]) -> list[int] | None:
    """Training images before each row of the accuracy matrix of an online or blurry run.

    None for other runs, whose steps are tasks, and for records before schema 1.9, which do not hold the images.
    """
    result = record["result"]
    if not belongs(ANYTIME, result["stream"]["setting"]):
        return None
    events, total, before = {}, 0, True
    for event in record["measurement"]["events"]:
        before = before and ("images" in event or not event["what"].startswith("train"))
        total += event.get("images", 0)
        events[event["event"]] = total
    rows = [result["rows"][row]["event"] for row in rows_of(result, main_split(result))]
    return [events[row] for row in rows] if before and all(row in events for row in rows) else None
