"""Executing a plan: what is done already, what is left, and what the record says of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from cl import registry
from cl.backbone import compiled
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.progress.base import Observer
from cl.running import execution
from cl.running.build import build_stream
from tests.help.toy import Toy

pytestmark = pytest.mark.usefixtures("toy")


def test_a_run_that_exists_is_taken_started_over_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2})
    first = execution.execute(plan)
    assert execution.complete_record(plan.folder) == first.record
    assert execution.execute(plan, existing="skip-running").record == first.record
    with pytest.raises(UsageError, match=r"exists; choose --existing only-missing to continue it or always"):
        execution.execute(plan, existing="never")
    (plan.folder / "mine.txt").touch()
    again = execution.execute(plan, existing="always")
    assert again.record["run_id"] != first.record["run_id"] and not (plan.folder / "mine.txt").exists()
    assert again.record["result_sha256"] == first.record["result_sha256"]
    with pytest.raises(UsageError, match="--existing must be one of only-missing, "):
        execution.execute(plan, existing="sometimes")


def test_the_header_describes_the_strategy_and_its_options() -> None:
    plan = make_plan("toy", "split-digits", limit=2, seed=5, options={"stream.tasks": 2, "favourite": 3})
    result = execution.execute(plan).record["result"]
    assert result["strategy"]["distribution"] == "registered at run time" and result["strategy"]["preset"] is None
    assert result["strategy"]["access"] == "present" and result["limited"] is True
    assert result["strategy"]["source_sha256"] == registry.strategies.source_sha256("toy") is not None
    assert result["seeds"] == {"order": 5, "init": 5, "data": 5}
    assert result["config"]["favourite"] == {"value": 3, "origin": "call"}


def test_changed_code_is_reported_for_a_complete_run(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2})
    execution.execute(plan)
    monkeypatch.setattr(registry.strategies, "source_sha256", lambda name: "1" * 64)
    heard: list[str] = []
    observer = Observer()
    monkeypatch.setattr(observer, "message", heard.append)
    execution.execute(plan, progress=observer)
    assert heard[0].endswith("complete already; --existing always runs it again.")
    assert heard[1] == "The code of toy has changed since that run."


def test_notes_about_the_images_are_said_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2})
    stream = build_stream(plan)
    noted = dataclasses.replace(stream, dataset=dataclasses.replace(stream.dataset, notes=("Left out: 2 files.",)))
    monkeypatch.setattr(execution, "build_stream", lambda *_: noted)
    heard: list[str] = []
    observer = Observer()
    monkeypatch.setattr(observer, "message", heard.append)
    record = execution.execute(plan, progress=observer).record
    assert "Left out: 2 files." in record["measurement"]["warnings"] and "Left out: 2 files." in heard


def test_a_precision_that_the_device_lacks_is_refused_before_data_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan("toy", "split-digits", limit=2, precision="tf32", device="cpu", options={"stream.tasks": 2})
    assert plan.config_hash != make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2}).config_hash
    monkeypatch.setattr(execution, "build_stream", lambda *_: pytest.fail("no data is read"))
    with pytest.raises(UsageError, match="--precision tf32 needs a CUDA device, and this run is on cpu"):
        execution.execute(plan)


def test_a_run_has_the_arithmetic_of_its_device_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[tuple[str, str]] = []
    learned: list[list[tuple[str, str]]] = []

    @contextlib.contextmanager
    def arithmetic(device: str, precision: str) -> Iterator[None]:
        inside.append((device, precision))
        yield
        inside.pop()

    learn = Toy.learn

    def noted(self: Toy, view: Any) -> None:
        learned.append(list(inside))
        learn(self, view)

    monkeypatch.setattr("cl.backbone.devices.arithmetic", arithmetic)
    monkeypatch.setattr(Toy, "learn", noted)
    execution.execute(make_plan("toy", "split-digits", limit=2, precision="bf16", options={"stream.tasks": 2}))
    assert learned == [[("cpu", "bf16")]] * 2 and not inside


@pytest.mark.parametrize(("strategy", "effect"), [("simplecil", False), ("finetune", True)])
def test_a_run_says_that_nothing_was_compiled(strategy: str, effect: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    heard: list[str] = []
    observer = Observer()
    monkeypatch.setattr(observer, "message", heard.append)
    options = {"epochs": 3} if effect else {}
    plan = make_plan(strategy, "split-digits", limit=2, max_tasks=1, device="cpu", compile=True, options=options)
    record = execution.execute(plan, progress=observer).record
    assert any("--compile had no effect" in text for text in heard) != effect
    assert record["result"]["precision"] == {"dtype": "fp32", "compile": True}
    torch.compiler.reset()
