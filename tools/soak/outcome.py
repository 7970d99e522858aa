"""The verdicts of the soak, and how the output of a command is judged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

VERDICTS = {
    "equal": "the result is that of the undisturbed run",
    "warned": "the same, after a printed warning",
    "sentence": "one sentence on stderr and a documented exit code",
    "other": "the damaged input declares another run, which has its own folder; the old record is unchanged",
    "silent": "exit code 0 and another result, without a word",
    "unexpected": "a traceback, another exit code, a hang, or advice that does not help",
}
"""Verdicts and their meanings, best first. The last two are failures."""

FAILURES = ("silent", "unexpected")
CODES = frozenset({1, 2, 3, 4, 5, 130, 143, -2, -15})
"""Documented exit codes of a failure. Negative: a signal ended the process before Python could; shells say 130, 143."""

LONGEST = 600
"""Characters of a message, without the folders of its paths, that still count as one sentence."""

_WARNING = re.compile(
    r"warning|damaged|ignor|changed since|computed again|left out|no predictions|cannot be read", re.I
)
_SYMPTOM = re.compile(
    r"Traceback \(most recent call last\)|unexpected \w+(?=: |\.)|Exception ignored|Fatal Python error|AssertionError"
)
_PATH = re.compile(r"[^\s'\"(]*/(?=[^/\s]+)")


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: a signal; None: it hung and was killed), output, and seconds.

    `struck`: the planned signal was sent before the command ended. `ticks`: how often each kind of moment was passed.
    """

    code: int | None
    out: str
    err: str
    struck: bool = False
    seconds: float = 0.0
    ticks: dict[str, int] | None = None


@dataclass(frozen=True)
class Outcome:
    """One try: its name (`kill:17`), the row of the table, its verdict, and the reason for a verdict that is not equal.

    `count` is the number of disturbances that took effect.
    """

    name: str
    kind: str
    verdict: str
    why: str = ""
    count: int = 1

    @property
    def failed(self) -> bool:
        return self.verdict in FAILURES


def worst(verdicts: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The worst of some verdicts with their reasons; equal if there are none."""
    order = list(VERDICTS)
    return max(verdicts, key=lambda verdict: order.index(verdict[0]), default=("equal", ""))


def complaint(text: str) -> str:
    """The last sentence that a command printed about its failure, or an empty string."""
    found = [line for line in text.splitlines() if line.startswith(("Error: ", "Interrupted"))]
    return found[-1].removeprefix("Error: ") if found else ""


def fault_of(sentence: str) -> str:
    """Why a message is not one plain sentence; empty if it is one."""
    if "\n" in sentence:
        return "the message has several lines"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in sentence):
        return "the message has control characters"
    if (length := len(_PATH.sub("", sentence))) > LONGEST:
        return f"the message has {length} characters"
    if not sentence.rstrip(" )'\"`").endswith((".", "?", "!")) and not sentence.endswith(")"):
        return "the message does not end with a full stop"
    return ""


def failure(ended: Ended) -> tuple[str, str]:
    """The verdict on a command that did not exit with 0: `sentence` or `unexpected`."""
    said = complaint(ended.err)
    shown = said or " ".join(ended.err.split())[-300:]
    if ended.code is None:
        return "unexpected", f"hang: killed after {ended.seconds:.0f} s; {shown}"
    if symptom := symptom_in(ended.err):
        return "unexpected", f"exit code {ended.code}, {symptom!r}: {shown}"
    if ended.code not in CODES:
        return "unexpected", f"exit code {ended.code}: {shown}"
    if ended.code in (-2, -15):  # before Python could handle the signal: nothing is printed, as for any program
        return "sentence", f"ended by signal {-ended.code}"
    if not said:
        return "unexpected", f"exit code {ended.code} without a sentence: {shown}"
    if fault := fault_of(said):
        return "unexpected", f"exit code {ended.code}, {fault}: {said}"
    return "sentence", f"exit code {ended.code}: {said}"


def symptom_in(text: str) -> str:
    """A sign of an error that nobody handled, or an empty string."""
    found = _SYMPTOM.search(text)
    return found.group() if found else ""


def warns(text: str) -> bool:
    """Whether a text warns of something that was found and handled."""
    return bool(_WARNING.search(text))
