"""What a sweep shows: a live view on a terminal, the failures at the end, and its journal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cl.cli.shared import Display
from cl.cli.sweep_screen import SweepScreen
from cl.executors import Outcome
from cl.executors.journal import Journal
from cl.plan.plan import Plan, make_plan
from cl.running.result import RunResult

Shown = pytest.CaptureFixture[str]


def plans(count: int) -> list[Plan]:
    return [make_plan("simplecil", "split-digits", seed=seed) for seed in range(count)]


def screen(given: list[Plan], tmp_path: Path, **display: Any) -> SweepScreen:
    return SweepScreen(given, Display(**display), Journal(tmp_path, "grid"), 2, threads=1)


def test_the_view_has_counts_a_bar_and_the_last_line_of_every_run(tmp_path: Path) -> None:
    given = plans(12)
    shown = screen(given, tmp_path)
    for index, plan in enumerate(given[:10]):
        shown.started(plan, index, 12)
    with shown.progress(given[0]) as run:
        run.event(0, 3, "1/3 [red]55 %")
        run.message("a message")
    shown.line(given[1], "0:12  2/3  test")
    shown.progress(given[2]).__enter__().data("mnist", 1, 4)
    text = io.StringIO()
    Console(file=text, width=200).print(shown._view())
    lines = text.getvalue().splitlines()
    assert lines[0].strip() == "0 of 12 done, 10 running" and lines[1].strip() == 40 * "╌"
    assert lines[2].endswith("seed 0: a message") and lines[3].endswith("seed 1: 0:12  2/3  test")
    assert lines[4].endswith("seed 2: mnist: 25 %") and lines[10] == "  and 2 more" and len(lines) == 11


def test_the_end_counts_and_names_failures_with_their_commands(tmp_path: Path, capsys: Shown) -> None:
    given = plans(6)
    shown = screen(given, tmp_path)
    metrics = {"cil": {"A_last_sample": 0.6123}}
    record = {"status": "complete", "result": {"metrics": metrics}}
    ends = [
        Outcome(given[0], RunResult(record, given[0].folder)),
        Outcome(given[1], RunResult(record, given[1].folder, executed=False)),
        Outcome(given[2], error="No data.", exit_code=3),
        Outcome(given[3], skipped="another process is running it."),
        Outcome(given[4], error="Interrupted.", exit_code=130),
    ]
    for index, end in enumerate(ends):
        shown.started(end.plan, index, 6)
        shown.finished(end)
    shown.summary()
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("[1 of 6 done") and said[0].endswith("seed 0: 61.23 % in 0:00")
    assert "failed: simplecil" in said[1] and "skipped: simplecil" in said[2] and "stopped: simplecil" in said[3]
    assert said[4] == "6 runs: 1 complete, 1 complete already, 1 skipped, 1 failed, 1 stopped, 1 not started."
    assert said[5] == "Failed:" and said[6].endswith("seed 2: No data.")
    assert said[7].strip().startswith("clbench run -s simplecil --stream split-digits --threads 1 --seed 2")
    assert said[8] == "The same command continues."
    assert {each.ended for each in shown.journal.last().values()} == {"complete", "failed", "skipped", "interrupted"}


def test_runs_that_go_on_elsewhere_are_not_said_to_need_the_command(tmp_path: Path, capsys: Shown) -> None:
    given = plans(3)
    for detached in (True, False):
        shown = screen(given, tmp_path)
        shown.finished(Outcome(given[0], RunResult({"status": "complete"}, given[0].folder, executed=False)))
        capsys.readouterr()
        shown.summary(detached=detached)
        counts, then, *_ = capsys.readouterr().err.splitlines()
        assert counts.endswith("1 complete already, 2 submitted." if detached else "2 not started.")
        assert ("goes on without this command" in then) == detached
        assert (then == "The same command continues.") == (not detached)


def test_quiet_shows_failures_only_and_json_prints_records(tmp_path: Path, capsys: Shown) -> None:
    given = plans(2)
    shown = screen(given, tmp_path, quiet=True, as_json=True)
    with shown:
        shown.finished(Outcome(given[0], RunResult({"status": "complete", "result": {"metrics": {}}}, Path())))
        shown.finished(Outcome(given[1], error="No data.", exit_code=3))
    shown.summary()
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0] == {"result": {"metrics": {}}, "status": "complete"}
    assert (lines[1]["ended"], lines[1]["error"], lines[1]["exit_code"]) == ("failed", "No data.", 3)
    assert err.splitlines()[0] == "Failed:" and "No data." in err


def test_a_terminal_gets_the_live_view(tmp_path: Path, capsys: Shown) -> None:
    given = plans(1)
    shown = screen(given, tmp_path, progress="rich")
    with shown:
        assert shown._live is not None
        shown.started(given[0], 0, 1)
        shown.finished(Outcome(given[0], error="[bold]No data.", exit_code=3))
    assert shown._live is None and "[bold]No data." in capsys.readouterr().err
