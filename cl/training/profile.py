"""Where the time of one run goes: every moment belongs to one part, so that the parts sum to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

PROFILE = "profile.json"
"""Name of the file in the folder of a run."""

PARTS = {
    "start": "imports, and reading the backbone's weights",
    "data": "reading images, and making the batches of a fit: order, augmentation, copies to the device",
    "encode": "features of networks that do not change in a fit, computed once; inside evaluations they count as those",
    "forward": "the loss of a training step",
    "backward": "its gradients",
    "optimiser": "gradient clipping, the update of the weights, and the method's own work before and after it",
    "evaluation": "predictions for test images, and validation inside a fit",
    "statistics": "the rest of `learn`: means, covariances, importances, memory; also training outside of `fit`",
    "checkpoint": "writing checkpoints",
    "records": "metrics, record.json and predictions.npz",
    "other": "everything else: building the stream and the method, setting up fits, progress displays",
}
"""The parts of a run and what belongs to each, in the order of the table."""

_WITHOUT_CALLS = ("start", "other")
_PART_OF = {"train": "statistics", "eval": "evaluation"}
"""Parts of the kinds of `Cost.timed` that have another name here."""


class Off:
    """No profile: the parts of a run are not measured."""

    _NOTHING: AbstractContextManager[None] = nullcontext()

    def part(self, name: str) -> AbstractContextManager[None]:
        """Do nothing."""
        return self._NOTHING

    def started(self, wait: Callable[[], None] | None = None) -> None:
        """Do nothing."""


OFF = Off()


class Profile(Off):
    """A clock that charges each moment to the innermost `part` entered; created at the start of a run.

    An evaluation keeps what it calls. `wait` waits for an accelerator before each reading of the clock, because its
    work is asynchronous. `clock` gives nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._wait: Callable[[], None] | None = None
        self._spent = dict.fromkeys(PARTS, 0)  # nanoseconds
        self._calls = dict.fromkeys(PARTS, 0)
        self._within = ["start"]
        self._last = clock()

    def _charge(self) -> None:
        if self._wait is not None:
            self._wait()
        now = self._clock()
        self._spent[self._within[-1]] += now - self._last
        self._last = now

    def started(self, wait: Callable[[], None] | None = None) -> None:
        """The part "start" is over; from now on `wait` is called before each reading of the clock."""
        self._charge()
        self._within, self._wait = ["other"], wait

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge a `with` block to a part, except for the parts inside; also takes the kinds of `Cost.timed`."""
        self._charge()
        name = _PART_OF.get(name, name)
        name = name if name in PARTS else "other"
        if self._within[-1] == "evaluation":
            name = "evaluation"
        else:
            self._calls[name] += 1
        self._within.append(name)
        try:
            yield
        finally:
            self._charge()
            self._within.pop()

    def result(self, *, resumed: bool) -> dict[str, Any]:
        """Seconds and calls by part so far, as `profile.json` has them; `resumed`: other processes did the rest."""
        self._charge()
        parts = {
            name: {"seconds": spent / 1e9, **({} if name in _WITHOUT_CALLS else {"calls": self._calls[name]})}
            for name, spent in self._spent.items()
        }
        total = sum(self._spent.values()) / 1e9
        return {"seconds": total, "parts": parts, "resumed": resumed, "synchronised": self._wait is not None}


def profile_text(profile: Mapping[str, Any]) -> str:
    """The table of a profile: seconds, share of the whole, and calls of each part."""
    total = profile["seconds"]
    lines = [f"{'part':<12}{'seconds':>10}{'share':>9}{'calls':>9}"]
    for name, part in profile["parts"].items():
        share = 100 * part["seconds"] / total if total else 0.0
        lines.append(f"{name:<12}{part['seconds']:>10.3f}{share:>7.1f} %{part.get('calls', ''):>9}".rstrip())
    lines.append(f"{'total':<12}{total:>10.3f}{100:>7.1f} %")
    if profile["resumed"]:
        lines.append("The run was resumed: the table shows this process only.")
    if profile["synchronised"]:
        lines.append("The clock waited for the device at each part, so the run was slower than without --profile.")
    return "\n".join(lines)
