"""The command that repeats a run, as words of a shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cl.options import DEFAULT, jsonable
from cl.plan.config_file import Parent
from cl.plan.plan import Plan
from cl.plan.run_options import RunOptions, declared, flag

_NAMED = ("strategy", "stream", "backbone", "preset", "seed", "order_seed", "init_seed", "data_seed", "results")
_LEFT_OUT = ("few_shot", "skip_damaged", "setting")  # a plan has them as options of its stream
_IMPLIED = ("preset ", "strategy ", "--limit", "--sealed")
"""Origins of values that the strategy, its preset or another option of the command brings along."""


def command_of(plan: Plan, threads: int | None = None) -> list[str]:
    """`clbench run ...` for a plan: what differs from the defaults and the preset, whoever set it.

    `threads`: the CPU threads that the run was given, which may change roundings.
    """
    if plan.parent is not None:
        return [*_continued(plan, plan.parent), *(["--threads", str(threads)] if threads is not None else [])]
    words = ["clbench", "run", "-s", plan.strategy, "--stream", plan.stream]
    if plan.backbone != RunOptions.backbone:
        words += ["--backbone", plan.backbone]
    if plan.preset is not None:
        words += ["--preset", plan.preset]
    for key, each in plan.values.items():
        if each.origin != DEFAULT and not each.origin.startswith(_IMPLIED):
            words += ["--set", f"{key}={_text(jsonable(each.value))}"]
    words += _run_options(plan)
    words += ["--threads", str(threads)] if threads is not None else []
    words += _seeds(plan.seeds)
    if plan.results != RunOptions.results:
        words += ["--results", str(plan.results)]
    return words


def _continued(plan: Plan, parent: Parent) -> list[str]:
    """The command of a plan that continues a run, from which it has all options but those of new tasks."""
    words = ["clbench", "run", "--from", parent.folder, "--at", str(parent.tasks)]
    if not parent.rest:
        words += ["--stream", plan.stream]
        for key, each in plan.values.items():
            if key.startswith("stream.") and each.origin != DEFAULT and not each.origin.startswith(_IMPLIED):
                words += ["--set", f"{key}={_text(jsonable(each.value))}"]
    kept = {name: getattr(plan, name) for name in ("device", "limit", "max_tasks", "checkpoint_every")}
    words += [
        word
        for name, value in kept.items()
        if value != declared()[name].default and not (parent.rest and name == "limit")
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    words += [
        f"--{name.replace('_', '-')}"
        for name in ("save_learner", "save_every_task", "save_scores")
        if getattr(plan, name)
    ]
    return words + (["--results", str(plan.results)] if plan.results != RunOptions.results else [])


def _run_options(plan: Plan) -> list[str]:
    words: list[str] = []
    for key, info in declared().items():
        value = getattr(plan, key)
        if key in (*_NAMED, *_LEFT_OUT) or value == info.default:
            continue
        if info.annotation is bool:
            words.append(flag(key))
        else:
            words += [flag(key), ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return words


def _seeds(seeds: Mapping[str, int]) -> Sequence[str]:
    if len(set(seeds.values())) == 1:
        return ["--seed", str(seeds["order"])]
    return [word for name, seed in seeds.items() for word in (f"--{name}-seed", str(seed))]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
