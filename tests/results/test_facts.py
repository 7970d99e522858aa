"""Years and domains of tasks, from the record or from the stream that is registered under its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl.results.facts import MULTI, SINGLE, Task, group_name, tasks_of
from cl.results.store import load_results
from tests.help.figures import REFERENCE
from tests.help.transfer import learner


def test_the_record_says_what_its_tasks_are() -> None:
    found = tasks_of(learner("independent", (90, 70, 50), (1.0, 1.0, 1.0), several=(1,)))
    assert found == {
        0: Task(0, "task 0", 1998, "ocr", SINGLE),
        1: Task(1, "task 1", 1999, "face", MULTI),
        2: Task(2, "task 2", 2005, "ocr", SINGLE),
    }
    assert [task.decade for task in found.values()] == ["1990s", "1990s", "2000s"]


def test_a_task_with_a_number_for_a_name_counts_from_1() -> None:
    assert group_name({"name": "task3", "task": 3}) == group_name({"name": "task 3", "task": 3}) == "task 4"
    assert group_name({"name": "task 3", "task": 0}) == "task 3", "a name of its own"
    assert group_name({"name": "voc", "task": 3, "measure": "mAP"}) == "voc (mAP)"


def test_an_older_record_takes_them_from_the_registered_stream(cache: Path) -> None:
    groups = [{"name": name, "classes": [i], "task": i} for i, name in enumerate(("mnist", "rsscn7", "rsscn7-2"))]
    changes: dict[str, Any] = {"result__stream__name": "nevis-real", "result__stream__groups": groups}
    old = learner("independent", (90, 70, 50), (1.0, 1.0, 1.0), facts=None, **changes)
    found = [(task.year, task.domain) for task in tasks_of(old).values()]
    assert found == [(1998, "ocr"), *[(2015, "satellite")] * 2], "the second task of a dataset is of that dataset"
    unknown = learner("independent", (90, 70, 50), (1.0, 1.0, 1.0), facts=None)
    assert {(t.year, t.domain, t.decade) for t in tasks_of(unknown).values()} == {(None, "", "")}


def test_every_task_of_the_committed_runs_is_known(cache: Path) -> None:
    records = load_results(REFERENCE / "nevis-real").records
    found = tasks_of(records[0])
    assert len(found) == 29 and all(task.year and task.domain for task in found.values())
    years = [task.year or 0 for task in found.values()]
    assert years == sorted(years)
