"""Progress reports of a run: `Observer`, the base class of displays and loggers, and a list of observers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any


class Observer:
    """Receives the reports of the loop and the trainer; does nothing unless a subclass overrides a method.

    Every call must be cheap and must not raise.
    """

    def task(self, index: int, total: int, name: str) -> None:
        """Learning of task `index` (from 0) of `total` begins."""

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        """A fit or a pass begins; `done` of its steps are finished already; `total_steps` is 0 if unknown."""

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        """One more step, of `n` images, is done; `loss` is given only if it is already on the host."""

    def end_phase(self) -> None:
        """The phase is over."""

    def message(self, text: str) -> None:
        """A message of one line: a download, a resume, a warning."""

    def event(self, index: int, total: int, text: str) -> None:
        """Event `index` (from 0) of `total` is done; `text` gives the result."""

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """The run was evaluated; `record` is its record so far, as written to disk. Do not change it."""

    def data(self, what: str, done: int, total: int) -> None:
        """`done` of `total` bytes or images were downloaded or decoded; `total` is 0 if unknown."""

    def close(self, status: str) -> None:
        """The run ended: complete, failed or interrupted."""

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Observers(Observer):
    """Calls several observers in turn; an object may have only some of the methods."""

    def __init__(self, observers: Iterable[Any]) -> None:
        self._observers = list(observers)

    def _tell(self, call: str, *arguments: Any) -> None:
        for observer in self._observers:
            if (method := getattr(observer, call, None)) is not None:
                method(*arguments)

    def task(self, index: int, total: int, name: str) -> None:
        self._tell("task", index, total, name)

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        self._tell("phase", name, total_steps, done)

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        self._tell("advance", n, loss)

    def end_phase(self) -> None:
        self._tell("end_phase")

    def message(self, text: str) -> None:
        self._tell("message", text)

    def event(self, index: int, total: int, text: str) -> None:
        self._tell("event", index, total, text)

    def evaluated(self, record: Mapping[str, Any]) -> None:
        self._tell("evaluated", record)

    def data(self, what: str, done: int, total: int) -> None:
        self._tell("data", what, done, total)

    def close(self, status: str) -> None:
        self._tell("close", status)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
