"""The bytes that a method kept after every task, from a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = ("samples", "statistics", "parameters")


def stored_by_task(record: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """Bytes by kind at the last evaluation after each task, by task; empty for records before schema 1.3."""
    tasks = {row["event"]: row["task"] for row in record["result"]["rows"]}
    found: dict[int, dict[str, float]] = {}
    for event in record["measurement"]["events"]:
        task = tasks.get(event.get("event"))
        if task is not None and task >= 0 and "stored" in event:
            found[task] = {kind: event["stored"][kind] or 0 for kind in KINDS}
    return found


def growth(record: Mapping[str, Any]) -> float | None:
    """The bytes kept after the last task as a multiple of those after the first; None if they are not known or 0."""
    totals = [sum(kept.values()) for _, kept in sorted(stored_by_task(record).items())]
    return totals[-1] / totals[0] if len(totals) > 1 and totals[0] else None
