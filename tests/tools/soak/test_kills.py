"""Runs that are killed, and what counts as a fault."""

from __future__ import annotations

import signal

import pytest

from tools.soak import kills
from tools.soak.kills import attempt
from tools.soak.outcome import Ended
from tools.soak.scenarios import SCENARIOS, Workshop


@pytest.mark.parametrize("number", [0, 5])
def test_a_killed_run_is_finished_by_the_same_command(workshop: Workshop, number: int) -> None:
    outcome = attempt(workshop, number, seed=0)
    assert outcome.verdict == "equal", outcome.why


@pytest.mark.slow
def test_killed_as_processes_too(workshop: Workshop) -> None:
    for number in range(kills.REAL):
        outcome = attempt(workshop, number, seed=1)
        assert outcome.verdict == "equal", outcome.why


@pytest.mark.parametrize(
    ("ended", "number", "fault"),
    [
        (Ended(-9, "", "", struck=True), signal.SIGKILL, ""),
        (Ended(0, "", ""), signal.SIGKILL, ""),
        (Ended(-9, "", ""), signal.SIGKILL, "exit code -9: "),  # nobody sent it
        (Ended(143, "", "Interrupted; the same command continues.", struck=True), signal.SIGTERM, ""),
        (Ended(-15, "", "", struck=True), signal.SIGTERM, ""),
        (Ended(1, "", "Error: It failed.", struck=True), signal.SIGTERM, "a struck run ended with exit code 1"),
        (Ended(0, "", "Exception ignored in: <x>", struck=True), signal.SIGINT, "Exception ignored"),
    ],
)
def test_how_a_struck_run_may_end(ended: Ended, number: int, fault: str) -> None:
    found = kills._fault_of_death(ended, number)
    assert found.startswith(fault) and bool(found) == bool(fault)


def test_another_result_is_silent_and_a_leftover_unexpected(workshop: Workshop) -> None:
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("complete")
    assert kills.finished(workshop, Ended(0, "", "")) == ("equal", "")
    (workshop.folder / ".record.json.x.tmp").touch()
    assert kills.finished(workshop, Ended(0, "", ""))[0] == "unexpected"
    (workshop.folder / "predictions.npz").write_bytes(b"")
    assert kills.finished(workshop, Ended(0, "", ""))[0] == "silent"
    assert kills.finished(workshop, Ended(3, "", "Error: It is damaged."))[0] == "unexpected"
