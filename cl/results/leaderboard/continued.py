"""Runs that continue the learner of another run, in words: their steps and costs begin with the new tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cl.errors import counted

EARLIER = "earlier steps and costs are not counted"
"""What the numbers of such a run are about."""


def continued(result: Mapping[str, Any]) -> str:
    """`continued after 3 tasks`, as boards and figures call it; "" for a run from its first task on."""
    known = result.get("continues")
    return f"continued after {counted(known['tasks'], 'task')}" if known else ""


def continues(results: Iterable[Mapping[str, Any]]) -> str:
    """`continues 0123abcd after 3 tasks`, with the start of the hash of the result of each run that is continued, so
    that it can be found among records (`result_sha256`); "" for runs from their first task on."""
    known = [result["continues"] for result in results if result.get("continues")]
    hashes = ", ".join(sorted({each["result_sha256"][:8] for each in known}))
    after = " and ".join(counted(tasks, "task") for tasks in sorted({each["tasks"] for each in known}))
    return f"continues {hashes} after {after}" if known else ""
