"""The journal of a sweep: the last attempt at every run."""

from __future__ import annotations

from pathlib import Path

from cl.executors.base import Outcome
from cl.executors.journal import Journal, ended, key_of
from cl.plan.plan import make_plan
from cl.running.result import RunResult


def test_the_last_attempt_at_a_run_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a grid/of mine")
    assert journal.path == tmp_path / "sweeps" / "a-grid-of-mine.jsonl" and journal.last() == {}
    one, two = (make_plan("simplecil", "split-digits", seed=seed) for seed in (1, 2))
    journal.add(Outcome(one, error="No data.", exit_code=3), 1.23456)
    journal.add(Outcome(two, RunResult({}, two.folder)), 2.0)
    journal.add(Outcome(two, RunResult({}, two.folder, executed=False)), 0.1)
    with open(journal.path, "a", encoding="utf-8") as file:
        file.write('{"folder": "cut o')
    last = journal.last()
    assert {(each.ended, each.exit_code, each.error, each.seconds) for each in last.values()} == {
        ("failed", 3, "No data.", 1.235), ("complete", 0, "", 2.0),
    }  # fmt: skip
    assert set(last) == {key_of(one), key_of(two)} and all(key.startswith("split-digits/") for key in last)
    assert not any(str(one.results) in key for key in last), "another machine sees the results elsewhere"
    assert all(each.host and each.when for each in last.values())


def test_how_a_run_ended() -> None:
    plan = make_plan("simplecil", "split-digits")
    outcomes = [Outcome(plan, RunResult({}, plan.folder)), Outcome(plan, error="x", exit_code=1),
                Outcome(plan, error="Interrupted.", exit_code=130), Outcome(plan, skipped="busy")]  # fmt: skip
    assert [ended(each) for each in outcomes] == ["complete", "failed", "interrupted", "skipped"]
