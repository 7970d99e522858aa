"""Verdicts on the output of commands."""

from __future__ import annotations

import pytest

from tools.soak.outcome import Ended, Outcome, complaint, failure, fault_of, symptom_in, warns, worst


@pytest.mark.parametrize(
    ("code", "err", "verdict"),
    [
        (3, "0:01  1/4\nError: /x/record.json is damaged; run the same command again.\n", "sentence"),
        (2, "Usage: clbench run\n\nError: There is no option 'x'.\n", "sentence"),
        (130, "Interrupted; the same command continues (results/x).\n", "sentence"),
        (-15, "", "sentence"),
        (-9, "", "unexpected"),
        (1, "", "unexpected"),
        (7, "Error: It failed.\n", "unexpected"),
        (1, "Error: unexpected KeyError: 'x'.\n", "unexpected"),
        (2, "Error: Got unexpected extra argument (3)\n", "sentence"),
        (1, "Traceback (most recent call last):\n  x\nError: It failed.\n", "unexpected"),
        (3, "Error: no full stop\n", "unexpected"),
        (3, "Error: \x1b[31mred.\n", "unexpected"),
        (None, "Error: It failed.\n", "unexpected"),
    ],
)
def test_a_failure_is_one_sentence_with_a_documented_code(code: int | None, err: str, verdict: str) -> None:
    assert failure(Ended(code, "", err))[0] == verdict


def test_folders_do_not_count_in_the_length_of_a_sentence() -> None:
    assert fault_of(f"{'/a-long-folder' * 100}/record.json is damaged.") == ""
    assert fault_of("word " * 200 + ".") == "the message has 1001 characters"


def test_the_last_complaint_counts() -> None:
    assert complaint("Error: One.\nError: Two.\nResumed.\n") == "Two."
    assert complaint("Nothing.\n") == ""


def test_symptoms_of_errors_that_nobody_handled() -> None:
    assert symptom_in("Exception ignored in: <x>") == "Exception ignored"
    assert symptom_in("an unexpected word") == ""


def test_warnings_are_recognised() -> None:
    assert warns("WARNING x is damaged; it is computed again")
    assert not warns("0:01  1/4  2 classes")


def test_the_worst_verdict_wins() -> None:
    assert worst([("equal", ""), ("silent", "a"), ("sentence", "b")]) == ("silent", "a")
    assert worst([]) == ("equal", "")
    assert Outcome("kill:1", "x", "silent").failed and not Outcome("kill:1", "x", "warned").failed
