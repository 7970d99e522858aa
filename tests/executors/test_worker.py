"""A run in a process of its own: its lines, its log messages, and SIGTERM."""

from __future__ import annotations

import logging
import signal
from typing import Any

import pytest

from cl.executors import worker
from cl.executors.base import Outcome
from cl.executors.local import LocalExecutor
from cl.plan.plan import make_plan
from cl.running.result import RunResult


def test_lines_are_forwarded_once_they_are_whole() -> None:
    said: list[str] = []
    lines = worker.Lines(said.append)
    for text in ("one\ntw", "o\n", "three"):
        lines.write(text)
    assert said == ["one", "two"] and lines.begun == "three"
    worker.display(lines, True).message("four")
    worker.display(lines, False).message("five")
    assert said == ["one", "two", "threefour"]


def test_messages_are_lines_and_the_outcome_holds_no_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, said, threads = make_plan("simplecil", "split-digits"), list[str](), list[int]()

    def one(self: Any, plan: Any, progress: Any, tables: Any = None) -> Outcome:
        logging.getLogger("clbench").warning("careful")
        with progress(plan) as show:
            show.event(0, 2, "done")
        return Outcome(plan, RunResult({}, plan.folder, _learner=object()))

    monkeypatch.setattr(LocalExecutor, "one", one)
    monkeypatch.setattr(worker, "set_threads", threads.append)
    logger = logging.getLogger("clbench")
    before = list(logger.handlers)
    outcome = worker.perform(plan, LocalExecutor(threads=2), said.append)
    assert outcome.result is not None and outcome.result._learner is None and threads == [2]
    assert said[0] == "WARNING careful" and said[1].endswith("1/2  done") and logger.handlers == before


def test_an_interrupt_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "set_threads", interrupted)
    outcome = worker.perform(make_plan("simplecil", "split-digits"), LocalExecutor(), print)
    assert (outcome.error, outcome.exit_code) == ("Interrupted.", 130)


def test_sigterm_is_an_interrupt_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            worker.stop()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
