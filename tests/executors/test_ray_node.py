"""What a node executes, without a cluster: what the board holds, and which files of a run are sent."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cl.executors import ray_node
from cl.executors.base import Outcome
from cl.executors.local import LocalExecutor
from cl.executors.ray_node import KEPT_LINES, Answer, Board, Task, files_of, keep_files, work
from cl.plan.plan import Plan, make_plan
from cl.running.result import RunResult


def test_a_board_holds_the_last_lines_until_they_are_taken() -> None:
    board = Board()
    assert [board.begin(3), board.begin(4), board.begin(3)] == [1, 1, 2], "how often each has begun"
    for number in range(KEPT_LINES + 5):
        board.say(3, str(number))
    board.say(4, "four")
    begun, lines = board.take()
    assert begun == [3, 4, 3] and lines[4] == ["four"]
    assert lines[3] == [str(number) for number in range(5, KEPT_LINES + 5)]
    assert board.take() == ([], {})
    assert board.begin(3) == 3


def plan() -> Plan:
    return make_plan("simplecil", "split-digits", seed=1)


def test_the_files_of_a_complete_run_are_sent_without_its_checkpoint_and_kept_record_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan()
    for name in ("record.json", "log.txt", "tensorboard/events", "checkpoint/event.safetensors", ".lock"):
        (run.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / name).write_text(name)
    files = files_of(run, Outcome(run, RunResult({}, run.folder)))
    assert files == {name: name.encode() for name in ("log.txt", "record.json", "tensorboard/events")}
    assert list(files_of(run, Outcome(run, error="oh"))) == ["log.txt"], "a failed run sends its log only"
    written: list[str] = []
    monkeypatch.setattr(ray_node, "write_bytes", lambda path, _: written.append(path.name))
    keep_files(tmp_path, {"record.json": b"1", "a": b"2", "z": b"3"})
    assert written == ["a", "z", "record.json"], "a record says that all is there"


def attempt(number: int, task: Task, monkeypatch: pytest.MonkeyPatch) -> tuple[Answer, list[tuple[str, str, Plan]]]:
    """What a node answers, and what it performed, where the board counts `number` attempts; 0: it does not answer."""
    performed: list[tuple[str, str, Plan]] = []

    class RayError(Exception):
        pass

    def begin(index: int) -> Any:
        future: Future[int] = Future()
        if number:
            future.set_result(number)
        else:
            future.set_exception(RayError("gone"))
        return SimpleNamespace(future=lambda: future)

    ray = ModuleType("ray")
    vars(ray).update(exceptions=SimpleNamespace(RayError=RayError))
    monkeypatch.setitem(sys.modules, "ray", ray)
    for name in ("perform", "perform_again"):

        def perform(plan: Plan, how: Any, say: Any, name: str = name) -> Outcome:
            performed.append((name, how.existing, plan))
            return Outcome(plan, RunResult({"much": 1}, plan.folder))

        monkeypatch.setattr(ray_node.worker, name, perform)
    board: Any = SimpleNamespace(begin=SimpleNamespace(remote=begin))
    return work(task, board), performed


def test_a_node_continues_what_was_begun_before_and_names_what_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = dataclasses.replace(plan(), at=tmp_path / "elsewhere")
    task = Task(0, pickle.dumps(run), run.title, LocalExecutor(), True, {"CLBENCH_HOME": str(tmp_path)}, str(tmp_path))
    for number, name in ((1, "perform"), (2, "perform_again"), (0, "perform_again")):
        answer, performed = attempt(number, task, monkeypatch)
        assert [each[0] for each in performed] == [name]
        assert answer.outcome is not None and answer.outcome.result is not None
        assert answer.outcome.result.record == {} and answer.files == {}, "it is read from the shared folder"
    _, performed = attempt(1, dataclasses.replace(task, shared=False), monkeypatch)
    assert performed[0][2].folder.is_relative_to(tmp_path / "ray"), "a folder of the node"
    answer, performed = attempt(1, dataclasses.replace(task, plan=b"cno_such_module\nOptions\n."), monkeypatch)
    assert not performed and answer.outcome is None
    assert "cannot read this run (ModuleNotFoundError: No module named 'no_such_module')" in answer.error
