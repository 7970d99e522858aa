"""Runs that continue the learner of another run: which file, and which options stay those of the parent."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cl.errors import UsageError
from cl.options import Value, jsonable
from cl.plan.config_file import CONFIG, Parent
from cl.plan.run_options import RunOptions, declared, flag

LEARNER = "learner.safetensors"
"""Name of the file of a run's learner in its folder."""

MAY_CHANGE = (
    *("stream", "device", "results", "checkpoint_every", "save_learner", "save_every_task", "save_scores", "loggers"),
    *("limit", "max_tasks", "skip_damaged"),
)
"""The options of a run that need not be those of the parent. The options of the stream go with the stream."""

_OF_STREAM = ("limit", "max_tasks", "few_shot", "skip_damaged", "setting")
"""Options of a run that are about its stream."""

_OF_IMAGES = ("limit", "skip_damaged")
"""Those that say which images are read: they stay, too, where the rest of a stream is learned."""

_ALWAYS = ", ".join(flag(name) for name in MAY_CHANGE if name not in ("stream", *_OF_IMAGES))
_OF_NEW_TASKS = f"the options of the stream, {' and '.join(map(flag, _OF_IMAGES))}"


def learner_after(tasks: int) -> str:
    """The name of the file of the learner after so many tasks."""
    return f"learner-after-{tasks}.safetensors"


def resume_command(folder: Path) -> str:
    """The command that completes a run and keeps its learner, also if the run was begun without --save-learner."""
    return f"clbench resume {shlex.quote(str(folder))} --save-learner"


def parent_of(folder: Path, at: int | None, *, rest: bool) -> Parent:
    """The learner of a run after `at` tasks (None: all that it learned), as the parent of another run.

    Raises `UsageError` if the folder holds no such learner; it names those that there are.
    """
    from cl.records.record import RECORD, load

    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} holds no run to go on from; give the folder of one, as `clbench run` prints it.")
    if not (folder / RECORD).is_file():
        raise UsageError(f"{folder} has learned nothing yet; finish it with `clbench resume` and go on then.")
    record = load(folder / RECORD, trust_hash=True)
    result = record["result"]
    done = [row["task"] for row in result["rows"] if row["task"] is not None]
    kept = {int(found[1]): path.name for path in folder.iterdir() if (found := _AFTER.fullmatch(path.name))}
    if record["status"] == "complete" and done and (folder / LEARNER).is_file():
        kept[max(done) + 1] = LEARNER
    tasks = max(kept, default=0) if at is None else at
    if tasks not in kept:
        fix = "run it again with --existing always and --save-learner, or --save-every-task to go on from any task"
        finish = f"finish it with `{resume_command(folder)}` and go on then"
        if record["status"] != "complete" and not kept:
            again = "; only --existing always with --save-every-task keeps that of an earlier task" if at else ""
            raise UsageError(f"{folder} is not complete; {finish}{again}.")
        if record["status"] != "complete" and tasks > max(done, default=-1) + 1:
            fix = finish
        if not kept:
            raise UsageError(f"{folder} keeps no learner to go on from; {fix}.")
        there = ", ".join(map(str, sorted(kept)))
        raise UsageError(f"{folder} keeps no learner after task {tasks}, only after {there}; choose one, or {fix}.")
    return Parent(
        folder=str(folder.resolve()), tasks=tasks, kept=kept[tasks], result_sha256=record["result_sha256"], rest=rest,
        limited=bool(result["limited"]) and not rest,
    )  # fmt: skip


_AFTER = re.compile(r"learner-after-([1-9][0-9]{0,8})\.safetensors")


def run_of(table: Mapping[str, Any], given: Mapping[str, Any], parent: Parent) -> dict[str, Any]:
    """The [run] table of a run that continues one with `table`; `given` are its own options, None if not given.

    Raises `UsageError` for an option that must stay.
    """
    known = declared()
    may = [key for key in MAY_CHANGE if not (parent.rest and key in _OF_IMAGES)]
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"There is no option '{key}' of a run; options of a method go into `options`.")
        if value is None or key in may:
            continue
        separate = key == "seed" and any(name.endswith("_seed") for name in table)
        if separate or jsonable(value) != table.get(key, jsonable(known[key].default)):
            raise _stays(f"{flag(key)} {value}", table.get(key, known[key].default), parent)
    keep = {key: value for key, value in table.items() if key not in (*MAY_CHANGE, *_OF_STREAM)}
    if parent.rest:
        keep |= {key: table[key] for key in ("stream", "limit") if key in table}
    return {**keep, **{key: value for key, value in given.items() if value is not None and key in may}}


def check_options(parents: Mapping[str, Value], own: Mapping[str, Value], parent: Parent) -> None:
    """Raise `UsageError` if an option of the method or the backbone is not that of the parent."""
    for key in _of_learner({**parents, **own}):
        before, now = (jsonable(each[key].value) if key in each else None for each in (parents, own))
        if before != now:
            raise _stays(f"{key}={now}", before, parent)
    if parent.rest:
        for key, each in own.items():
            if key not in parents or jsonable(parents[key].value) != jsonable(each.value):
                before = jsonable(parents[key].value) if key in parents else None
                raise _stays(f"{key}={jsonable(each.value)}", before, parent)


def check_run(run: RunOptions) -> None:
    """Raise `UsageError` for options of a run that a continued run cannot have."""
    for name in ("probe", "sealed", "stop_below"):
        if getattr(run, name):
            raise UsageError(
                f"{flag(name)} is about a run from its first task on; leave it out where a run continues "
                "another, or choose a parent without it."
            )


def _stays(given: str, before: Any, parent: Parent) -> UsageError:
    new = f"where --stream names new tasks also {_OF_NEW_TASKS}" if parent.rest else f"--stream, {_OF_NEW_TASKS}"
    return UsageError(
        f"{given} differs from the run that is continued ({parent.folder}: {before}); leave it out. What may change: "
        f"{_ALWAYS}; {new}."
    )


def _of_learner(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if not key.startswith("stream.")]
