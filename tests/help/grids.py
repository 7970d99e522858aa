"""Grids for the tests of executors: a strategy whose second task waits, fails or kills its process, and an observer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, TypeVar

from cl.executors import Outcome
from cl.executors.local import LocalExecutor
from cl.plan.plan import Plan, make_plan
from cl.progress.base import Observer
from cl.records.record import load

T = TypeVar("T")

ODD = '''
import os, signal, sys, time
from dataclasses import dataclass
from pathlib import Path
import cl
from cl.strategies.simplecil import SimpleCIL

class Odd(SimpleCIL):
    """Notes what it learns in the working folder, and does something else in its second task."""

    @dataclass(frozen=True)
    class Options(SimpleCIL.Options):
        how: str = cl.option("fine", "what", choices=("fine", "fail", "kill", "wait"))

    def learn(self, view):
        seed = self.trainer.seeds.data
        with open("learned", "a") as notes:
            notes.write(f"{seed}/{view.task} ")
        if view.task == 1 and self.options.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if view.task == 1 and self.options.how == "fail":
            raise ZeroDivisionError("oh")
        if view.task == 1 and self.options.how == "wait" and not Path("go").exists():
            Path(f"waits-{seed}-{os.getpid()}-{node()}").touch()
            for _ in range(1200):
                if not Path("go").exists():
                    time.sleep(0.1)
        super().learn(view)

def node():
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray is not None and ray.is_initialized() else "here"
'''


class Waiting(NamedTuple):
    """A run that waits for the file "go"."""

    seed: int
    process: int
    node: str


def waiting() -> list[Waiting]:
    """The runs that have waited so far in the working folder."""
    names = [path.name.split("-") for path in Path().glob("waits-*")]
    return [Waiting(int(seed), int(process), node) for _, seed, process, node in names]


def until(found: Callable[[], T], seconds: float = 120) -> T:
    """What `found` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.05)
    return value


def odd_plans(seeds: Iterable[int], how: str = "fine") -> list[Plan]:
    """Runs of `ODD` on two tasks of two images per class with a tiny network."""
    options = {"stream.tasks": 2, "how": how}
    return [make_plan("odd", "split-digits", "test_vit@random", seed=seed, limit=2, options=options) for seed in seeds]


class Heard:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        self.lines: list[str] = []
        self.ended: list[Outcome] = []

    def started(self, plan: Plan, index: int, total: int) -> None:
        self.begun.append((plan.strategy, index, total))

    def progress(self, plan: Plan) -> AbstractContextManager[Observer]:
        return Observer()

    def line(self, plan: Plan, text: str) -> None:
        self.lines.append(f"{plan.seed}: {text}")

    def finished(self, outcome: Outcome) -> None:
        self.ended.append(outcome)


def equal_local(outcomes: Sequence[Outcome], tmp_path: Path) -> None:
    """Assert that the local executor computes the same results, and that the records are where they belong."""
    plans = [dataclasses.replace(each.plan, results=tmp_path / "local") for each in outcomes]
    for one, other in zip(outcomes, LocalExecutor(threads=1).execute(plans, Heard()), strict=True):
        assert one.result is not None and other.result is not None, (one, other)
        assert one.result.record["result_sha256"] == other.result.record["result_sha256"]
        assert one.result.folder == one.plan.folder and load(one.plan.folder / "record.json") == one.result.record
