"""What a run reports while it goes on: the protocol, and a display that shows nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """What the loop and the trainer report; every call must be cheap and must not raise."""

    def task(self, index: int, total: int, name: str) -> None:
        """Learning of task `index` (from 0) of `total` begins."""

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        """A fit or a pass begins, `done` of its steps already there; `total_steps` is 0 when unknown."""

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        """One more step, of `n` images, is done; give `loss` only where it is on the host already."""

    def end_phase(self) -> None:
        """The phase is over."""

    def message(self, text: str) -> None:
        """Something worth one line: a download, a resume, a warning."""

    def event(self, index: int, total: int, text: str) -> None:
        """Event `index` (from 0) of `total` is done; `text` says how it went."""

    def data(self, what: str, done: int, total: int) -> None:
        """`done` of `total` bytes or images of a download or a decoding are there; `total` is 0 when unknown."""


class NullProgress:
    """Reports nothing; the default of the Python API."""

    def task(self, index: int, total: int, name: str) -> None:
        pass

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        pass

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        pass

    def end_phase(self) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def event(self, index: int, total: int, text: str) -> None:
        pass

    def data(self, what: str, done: int, total: int) -> None:
        pass

    def __enter__(self) -> NullProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
