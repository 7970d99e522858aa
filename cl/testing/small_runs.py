"""A small run of a shipped method on the embedded digits: what metrics and loggers are checked with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cl import registry
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.protocol import ANYTIME, BLURRY, DOMAIN, FEW_SHOT, LONG_TAILED, ONLINE
from cl.running.execution import execute
from cl.running.result import RunResult

_OF_SETTING: Mapping[str, Mapping[str, Any]] = {
    "": {},
    ANYTIME: {"setting": (ONLINE,)},
    ONLINE: {"setting": (ONLINE,)},
    BLURRY: {"setting": ("i-blurry",)},
    LONG_TAILED: {"setting": (LONG_TAILED,)},
    FEW_SHOT: {"few_shot": True},
    DOMAIN: {"stream": "rotated-digits"},
}
"""Arguments of a run in each setting that the embedded digits have."""


def has(setting: str) -> bool:
    """Whether there is a small run in a setting."""
    return setting in _OF_SETTING


@contextmanager
def small_run(setting: str = "", *, strategy: str = "simplecil", loggers: tuple[str, ...] = ()) -> Iterator[RunResult]:
    """A complete run in a folder that exists within the `with` block: three tasks, 12 training images per class.

    It evaluates all groups after each task and before the first, and stores scores.
    """
    arguments = {"stream": "split-digits", **_OF_SETTING[setting]}
    stream = str(arguments.pop("stream"))
    options: dict[str, Any] = {"backbone.image_size": 32}
    options |= {} if setting else {"stream.evaluate_on": "all"}
    options |= {"stream.evaluate_every": 300} if setting in (ANYTIME, ONLINE) else {}
    options |= {"stream.tasks": 3} if setting in ("", LONG_TAILED) else {}
    options |= {"epochs": 1} if strategy == "linear-probe" else {}
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(
            strategy, stream, "test_vit@random", options=options, limit=None if setting else 12, seed=7,
            device="cpu", precision="fp32", results=folder, save_scores=True, loggers=loggers or "none", **arguments,
        )  # fmt: skip
        yield execute(plan)


@contextmanager
def registered(names: registry.Registry[Any], given: str | type) -> Iterator[str]:
    """A registered name for a plugin that is given by its name or as a class; raises `UsageError` for neither."""
    if isinstance(given, str):
        names.entry(given)
        yield given
        return
    if not isinstance(given, type):
        raise UsageError(f"Give the name of a {names.kind} or a class, not {given!r}.")
    name = given.__name__.lstrip("_").lower()
    names.register(name, given)
    try:
        yield name
    finally:
        names.unregister(name)
