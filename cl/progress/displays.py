"""Progress on stderr: bars on a terminal, one line per task elsewhere; from Python, nothing except in a notebook.

The loop and the trainer only know `Observer`, so a notebook or a server can show progress in its own way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

from cl.errors import UsageError
from cl.progress.base import Observer, Observers, clock

KINDS = ("auto", "rich", "plain", "none")


_MANY, _PAUSE = 50, 1.0
"""With more events than this, such as evaluations of an online stream, a line is printed once in so many seconds."""


class PlainProgress(Observer):
    """One line per message and finished event, with the time left; for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._started = time.monotonic()
        self._tenth: dict[str, int] = {}
        self._first: tuple[float, int] | None = None
        self._printed = 0.0

    def message(self, text: str) -> None:
        self._write(text)

    def event(self, index: int, total: int, text: str) -> None:
        now = time.monotonic()
        left = self._left(index, total)
        if total <= _MANY or now - self._printed >= _PAUSE or index + 1 == total:
            self._printed = now
            self._write(f"{clock(now - self._started)}  {index + 1}/{total}  {text}{left}")

    def _left(self, index: int, total: int) -> str:
        """The time left if events go on as since the first one here, which may have had to read images and weights."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, index)
            return ""
        began, first = self._first
        seconds = (now - began) / max(1, index - first) * (total - index - 1)
        return f"  (about {clock(seconds)} left)" if seconds >= 1 else ""

    def data(self, what: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        if self._tenth.get(what) != tenth:
            self._tenth[what] = tenth
            self._write(f"{what}: {10 * tenth} %" if total else what)

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class RichProgress(Observer):
    """Nested bars with loss, images per second and time left, drawn by rich on stderr."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = Console(file=stream if stream is not None else sys.stderr, force_jupyter=False)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            redirect_stdout=False,  # stdout is the result
            refresh_per_second=4,
        )
        self._task: Any = None
        self._phase: Any = None
        self._data: dict[str, Any] = {}
        self._images, self._since = 0, 0.0
        self._note = ""

    def __enter__(self) -> RichProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def task(self, index: int, total: int, name: str) -> None:
        if self._task is None:
            self._task = self._bars.add_task("tasks", total=total, note="")
        self._bars.update(self._task, completed=index, total=total, note=name)

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        self.end_phase()
        self._images, self._since, self._note = 0, time.monotonic(), ""
        self._phase = self._bars.add_task(f"  {name}", total=total_steps or None, completed=done, note="")

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        if self._phase is None:
            return
        if loss is not None:
            self._note = f"loss {loss:.4f}"
        self._images += n
        seconds = time.monotonic() - self._since
        rate = f"  {self._images / seconds:,.0f} img/s" if seconds > 0.5 else ""
        self._bars.update(self._phase, advance=1, note=self._note + rate)

    def end_phase(self) -> None:
        if self._phase is not None:
            self._bars.remove_task(self._phase)
            self._phase = None

    def message(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def event(self, index: int, total: int, text: str) -> None:
        self._console.print(f"{index + 1}/{total}  {text}", markup=False, highlight=False)

    def data(self, what: str, done: int, total: int) -> None:
        if what not in self._data:
            self._data[what] = self._bars.add_task(what, total=total or None, note="")
        self._bars.update(self._data[what], completed=done)
        if total and done >= total:
            self._bars.remove_task(self._data.pop(what))


def make_progress(kind: str = "auto", stream: TextIO | None = None, *, title: str = "") -> Observer:
    """A progress display: `rich`, `plain`, `none`, or `auto` (bars on a terminal, a line of HTML in a notebook, plain
    lines elsewhere). Raises `UsageError` for another kind. `title` names the run if several share a page."""
    if kind not in KINDS:
        raise UsageError(f"progress must be one of {', '.join(KINDS)}, not '{kind}'.")
    target = stream if stream is not None else sys.stderr
    if kind == "auto" and stream is None and in_notebook():
        from cl.progress.notebook import NotebookProgress

        return NotebookProgress(title)
    if kind == "auto":
        kind = "rich" if target.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    if kind == "rich":
        return RichProgress(target)
    return PlainProgress(target) if kind == "plain" else Observer()


@contextlib.contextmanager
def displayed(progress: Any | str | None, title: str = "") -> Iterator[Observer]:
    """The given observer, or a display of the given kind; None shows a line in a notebook and nothing elsewhere.

    An object that is not an `Observer` may have only some of its methods.
    """
    kind = ("auto" if in_notebook() else "none") if progress is None else progress
    if isinstance(kind, str):
        with make_progress(kind, title=title) as show:
            yield show
    else:
        yield kind if isinstance(kind, Observer) else Observers([kind])


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows HTML; false in an IPython terminal."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")
