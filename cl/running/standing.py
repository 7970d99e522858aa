"""How a run stands, as its folder tells without disturbing it: for the progress of a sweep from any machine."""

from __future__ import annotations

from dataclasses import dataclass

from cl.errors import ClbenchError
from cl.plan.plan import Plan
from cl.records.record import RECORD, load
from cl.running.folder import MARKS, in_use

STANDINGS = ("complete", "running", "stopped", "failed", "new")
"""Recorded; held by a process; begun and held by none; ended by an error; nothing there."""


@dataclass(frozen=True)
class Standing:
    """One of `STANDINGS`; `done` of `tasks` are learned, if anything is recorded; the error of a failed run.

    `seconds` is the time that a run has taken so far.
    """

    kind: str
    done: int = 0
    tasks: int = 0
    error: str = ""
    seconds: float = 0.0


def standing_of(plan: Plan) -> Standing:
    """How the run of a plan stands."""
    folder = plan.folder
    if not any((folder / mark).exists() for mark in MARKS):
        return Standing("running" if in_use(folder) else "new")
    try:
        record = load(folder / RECORD) if (folder / RECORD).is_file() else None
    except ClbenchError as error:
        return Standing("failed", error=str(error))
    if record is None:
        return Standing("running" if in_use(folder) else "stopped")
    rows = record["result"]["rows"]
    done = len({row["task"] for row in rows if row["task"] >= 0})
    about = (done, int(record["result"]["stream"]["n_tasks"]))
    seconds = float(record["measurement"]["seconds"].get("total") or 0.0)
    if record["status"] == "complete":
        return Standing("complete", *about, seconds=seconds)
    if in_use(folder):
        return Standing("running", *about, seconds=seconds)
    if record["status"] == "failed":
        return Standing("failed", *about, str(record.get("error") or ""), seconds)
    return Standing("stopped", *about, seconds=seconds)
