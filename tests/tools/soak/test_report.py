"""The tally and the table."""

from __future__ import annotations

import io

from tools.soak.outcome import VERDICTS, Outcome
from tools.soak.report import Tally, as_json, failures, markdown

FOUND = [
    Outcome("fuzz:0", "TOML", "sentence", "exit code 2"),
    Outcome("kill:0", "fork, SIGKILL", "equal", "", 3),
    Outcome("kill:1", "fork, SIGKILL", "silent", "another result", 2),
]


def test_the_table_counts_tries_disturbances_and_verdicts() -> None:
    lines = markdown(FOUND, seed=4).splitlines()
    assert lines[0] == "Seed 4: 3 tries, 6 disturbances."
    assert lines[2] == f"| part | what | tries | disturbances | {' | '.join(VERDICTS)} |"
    assert lines[4] == "| kill | fork, SIGKILL | 2 | 5 | 1 | 0 | 0 | 0 | 1 | 0 |"
    assert lines[5] == "| fuzz | TOML | 1 | 1 | 0 | 0 | 1 | 0 | 0 | 0 |"


def test_a_failure_comes_with_the_command_that_repeats_it() -> None:
    assert failures(FOUND, 4) == [
        "silent: kill:1 (fork, SIGKILL): another result\n  python -m tools.soak --only kill:1 --seed 4"
    ]


def test_json_has_all_that_is_not_equal() -> None:
    found = as_json(FOUND, 4, 1.23)
    assert [outcome["name"] for outcome in found["outcomes"]] == ["fuzz:0", "kill:1"]
    assert found["table"][0] == {
        "part": "kill", "what": "fork, SIGKILL", "disturbances": 5,
        "equal": 1, "warned": 0, "sentence": 0, "other": 0, "silent": 1, "unexpected": 0,
    }  # fmt: skip


def test_the_tally_prints_failures_at_once() -> None:
    stream = io.StringIO()
    with Tally(3, stream) as tally:
        for outcome in FOUND:
            tally.add(outcome)
    text = stream.getvalue()
    assert "silent: kill:1" in text
    assert text.splitlines()[-1].split("s  ", 1)[1] == "3/3  " + "  ".join(
        f"{verdict} {count}" for verdict, count in zip(VERDICTS, (1, 0, 1, 0, 1, 0), strict=True)
    )
