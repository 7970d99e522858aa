"""Runs from the command line: what is shown as they end, fail or are interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.cli.perform import carry_out
from cl.executors import GridObserver, Outcome
from cl.executors.local import LocalExecutor
from cl.plan.plan import Plan, make_plan
from cl.records.record import load
from tests.help.grids import Heard
from tests.help.small_runs import SMALL
from tests.help.toy import QUICK, Toy, records

pytestmark = pytest.mark.usefixtures("toy")


def test_a_grid_continues_after_a_failing_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wild = ["--set", "slca.lr=1e30", "--set", "slca.epochs=2"]
    assert call(["run", "-s", "slca", "-s", "simplecil", *SMALL, *wild, "--progress", "none"]) == 4
    shown = capsys.readouterr()
    assert "the loss became" in shown.err and "(slca on split-digits, test_vit@random, seed 1993)" in shown.err
    assert "simplecil on split-digits" in shown.out and "[2/2] simplecil" in shown.err
    status = {path.parts[-5]: load(path)["status"] for path in (tmp_path / "results").rglob("record.json")}
    assert status == {"slca": "failed", "simplecil": "complete"}


def test_a_grid_reports_failures_continues_and_returns_the_first_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[options]\nfail = "loss"\n')
    assert call(["run", "-s", "toy", *QUICK, "--seed", "1,2", "-c", str(config)]) == 4
    shown = capsys.readouterr()
    assert shown.err.count("Error: the loss became nan; lower lr. (toy on split-digits") == 2
    assert "[2/2]" in shown.err
    assert [json.loads(path.read_text())["status"] for path in records(tmp_path)] == ["failed", "failed"]


def test_a_bug_in_a_method_is_one_sentence_and_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--set", "fail=bug"]) == 1
    shown = capsys.readouterr()
    folder = next((tmp_path / "results").rglob("config.toml")).parent
    assert "Error: unexpected ZeroDivisionError: division by zero." in shown.err
    assert f"The traceback is in {folder / 'log.txt'}" in shown.err
    assert "Traceback" not in shown.err
    assert "Traceback" in (folder / "log.txt").read_text()


def test_a_log_of_an_earlier_run_is_not_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(["run", "-s", "toy", *QUICK, "-q"]) == 0

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("cl.running.execution.check_complete", broken)
    assert call(["run", "-s", "toy", *QUICK]) == 1
    shown = capsys.readouterr().err
    assert "division by zero. CLBENCH_DEBUG=1 shows where." in shown and "log.txt" not in shown


@pytest.mark.parametrize(("how", "code"), [("interrupt", 130), ("terminate", 143)])
def test_an_interrupted_run_says_so_and_continues(
    how: str, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "-s", "toy", *QUICK, "--set", f"fail={how}"]
    before = signal.getsignal(signal.SIGTERM)
    assert call(command) == code
    assert signal.getsignal(signal.SIGTERM) is before
    assert "Interrupted; the same command continues" in capsys.readouterr().err
    (path,) = records(tmp_path)
    assert json.loads(path.read_text())["status"] == "partial"
    plain = Toy.learn
    monkeypatch.setattr(Toy, "learn", lambda self, view: plain(self, view) if view.task != 1 else None)
    assert call(["resume", str(path.parent), "-q"]) == 0
    record = json.loads(path.read_text())
    assert record["status"] == "complete"
    assert record["measurement"]["resumed_from"]


@pytest.mark.parametrize("detaches", [False, True])
def test_an_executor_that_was_stopped_before_any_run_began_is_no_success(detaches: bool) -> None:
    class Stopped(LocalExecutor):
        @property
        def detaches(self) -> bool:
            return detaches

        def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]:
            return []

    code = carry_out(Stopped(), [make_plan("simplecil", "split-digits")], Heard())
    assert code == (0 if detaches else 130)


def test_an_import_that_sigterm_stopped_is_no_error_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(self: Toy, view: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise RecursionError("maximum recursion depth exceeded") from None

    monkeypatch.setattr(Toy, "learn", learn)
    assert call(["run", "-s", "toy", *QUICK]) == 143
    shown = capsys.readouterr().err
    assert "Interrupted; the same command continues" in shown and "Error" not in shown


def test_a_profile_follows_each_result_and_changes_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["run", "-s", "toy,simplecil", *QUICK, "--progress", "none"]
    assert call([*command, "--results", str(tmp_path / "plain")]) == 0
    assert "total" not in capsys.readouterr().out
    assert call([*command, "--profile"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("100.0 %") == 2 and shown.out.count("Profile: ") == 2, "a table for each run"
    folders = {path.parent.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("record.json")}
    assert len(folders) == 2
    for folder in folders:
        plain, profiled = tmp_path / "plain" / folder, tmp_path / "results" / folder
        assert load(plain / "record.json")["result_sha256"] == load(profiled / "record.json")["result_sha256"]
        assert not (plain / "profile.json").exists()
        found = json.loads((profiled / "profile.json").read_text())
        assert found["seconds"] == pytest.approx(sum(part["seconds"] for part in found["parts"].values()))
        assert found["seconds"] >= load(profiled / "record.json")["measurement"]["seconds"]["total"]
        assert not found["resumed"]
    assert call([*command, "--profile"]) == 0
    shown = capsys.readouterr()
    assert "100.0 %" not in shown.out and shown.err.count("No profile: the run was complete already") == 2


@pytest.mark.parametrize("more", [[], ["--jobs", "2", "--seed", "1,2"]])
def test_json_on_stdout_has_no_table_in_it(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "-s", "simplecil", *SMALL, "--profile", "--json", "--existing", "always", *more]
    runs = 2 if more else 1
    assert call(command) == 0
    shown = capsys.readouterr()
    assert len([json.loads(line) for line in shown.out.splitlines()]) == runs == shown.err.count("100.0 %")
    assert call([*command, "--quiet"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == runs and "100.0 %" not in shown.err
    assert call(["run", "-s", "simplecil", *SMALL, "--profile", "-q", "--existing", "always"]) == 0
    assert "100.0 %" in capsys.readouterr().out, "a quiet run prints its results, and the table was asked for"


def test_a_resumed_run_profiles_its_own_process(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Toy.learn

    def stops(self: Toy, view: Any) -> None:
        if view.task == 1:
            raise KeyboardInterrupt
        learn(self, view)

    with monkeypatch.context() as patch:
        patch.setattr(Toy, "learn", stops)
        assert call(["run", "-s", "toy", *QUICK, "--profile"]) == 130
    assert "100.0 %" not in capsys.readouterr().out
    folder = next((tmp_path / "results").rglob("config.toml")).parent
    assert call(["resume", str(folder), "--profile"]) == 0
    assert "The run was resumed: the table shows this process only." in capsys.readouterr().out
    found = json.loads((folder / "profile.json").read_text())
    assert found["resumed"] and found["parts"]["evaluation"]["calls"] == 1, "the other one was before"
