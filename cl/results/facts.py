"""What reports say of the tasks of a run: year, domain, and whether images have several classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cl import registry
from cl.family import argument_of, family_of
from cl.records.record import Record

SINGLE, MULTI = "single", "multi"
"""`Task.labels`: one class per image, measured by accuracy; or several, measured by mean average precision."""


@dataclass(frozen=True)
class Task:
    """A task of a stream: its place, the name of its group, year and domain of its dataset if known, its labels."""

    number: int
    name: str
    year: int | None = None
    domain: str = ""
    labels: str = SINGLE

    @property
    def decade(self) -> str:
        """Such as "1990s"; empty if the year is not known."""
        return "" if self.year is None else f"{self.year // 10 * 10}s"


def tasks_of(record: Record) -> dict[int, Task]:
    """The tasks of a run by number, those without a group of their own left out.

    Year and domain stand in the record; for a record that is older than they are, they are those of the registered
    stream of its name. Raises as `cl.family.Family.declaration` if that stream cannot be read.
    """
    stream = record["result"]["stream"]
    groups = stream["groups"]
    told = record["measurement"].get("groups")
    known: Mapping[str, Mapping[str, Any]] = {} if told is not None else _declared(str(stream["name"]))
    one_to_one = len(groups) == stream["n_tasks"]
    found: dict[int, Task] = {}
    for place, group in enumerate(groups):
        number = place if group.get("task") is None and one_to_one else group.get("task")
        if number is None or number in found:
            continue
        name = str(group["name"])
        about = known.get(name, known.get(name.rpartition("-")[0], {})) if told is None else told[place]
        labels = MULTI if group.get("measure") == "mAP" else SINGLE
        found[number] = Task(number, name, about.get("year"), about.get("domain", ""), labels)
    return found


def group_name(group: Mapping[str, Any]) -> str:
    """The name of a group of test images, with its measure if that is not accuracy.

    A task that is named by its number alone counts from 1, as the steps of the matrix do.
    """
    name, task = str(group["name"]), group.get("task")
    if task is not None and re.fullmatch(r"task ?\d+", name) and int(name.removeprefix("task")) == task:
        name = f"task {task + 1}"
    return f"{name} ({group['measure']})" if "measure" in group else name


@cache
def _declared(stream: str) -> dict[str, dict[str, Any]]:
    """Year and domain of each dataset of a registered stream, by name; empty for other streams."""
    declared = family_of(stream).declaration(argument_of(stream)) if stream in registry.streams else None
    if declared is None:
        return {}
    return {entry.name: {"year": entry.year, "domain": entry.domain} for entry in declared.datasets}
