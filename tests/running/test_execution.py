"""Executing a plan: what is done already, what is left, and what the record says of it."""

from __future__ import annotations

import pytest

from cl import registry
from cl.cli import call
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.progress.base import Observer
from cl.running import execution
from tests.help.toy import QUICK, Toy

pytestmark = pytest.mark.usefixtures("toy")


def test_a_damaged_record_is_a_data_error(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2})
    plan.folder.mkdir(parents=True)
    (plan.folder / "record.json").write_text('{"half": ')
    assert call(["run", "-s", "toy", *QUICK]) == 3
    assert "not valid JSON" in capsys.readouterr().err


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


def test_changed_code_is_reported_and_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2, "fail": "interrupt"})
    with pytest.raises(KeyboardInterrupt):
        execution.execute(plan)
    monkeypatch.setattr(registry.strategies, "source_sha256", lambda name: "0" * 64)
    monkeypatch.setattr(Toy, "learn", lambda self, view: None)
    text = "The code of toy has changed since this run began; --existing always starts over."
    heard: list[str] = []
    observer = Observer()
    monkeypatch.setattr(observer, "message", heard.append)
    record = execution.execute(plan, progress=observer).record
    assert text in record["measurement"]["warnings"] and text in heard and text in caplog.text
    heard.clear()
    monkeypatch.setattr(registry.strategies, "source_sha256", lambda name: "1" * 64)
    execution.execute(plan, progress=observer)
    assert heard[0].endswith("complete already; --existing always runs it again.")
    assert heard[1] == "The code of toy has changed since that run."
