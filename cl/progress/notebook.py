"""Progress in a notebook: one line of HTML, updated in place; the last line stays after the run.

It needs no widgets, so a saved notebook, or a page made from it, shows the last line.
"""

from __future__ import annotations

import time
from html import escape
from types import TracebackType
from typing import Any

from cl.progress.base import Observer, clock

_EVERY = 0.2
"""Seconds between updates; each update is a message to the browser."""


class NotebookProgress(Observer):
    """Tasks, the phase within them, loss and the last accuracy, in one output of the cell."""

    def __init__(self, title: str = "") -> None:
        self._title = title
        self._started = time.monotonic()
        self._shown = 0.0
        self._handle: Any = None
        self._tasks, self._index, self._events, self._last = 0, 0, (0, 1), ""
        self._phase, self._steps, self._done, self._note = "", 0, 0, ""
        self._messages: list[str] = []
        self._over = ""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks or self._messages:
            interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
            ended = "interrupted; the same call continues" if interrupted else "failed"
            self._over = "done" if kind is None else ended
            self._show()

    def task(self, index: int, total: int, name: str) -> None:
        self._index, self._tasks = index, total
        self._show()

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        self._phase, self._steps, self._done, self._note = name, total_steps, done, ""
        self._show()

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        self._done += 1
        if loss is not None:
            self._note = f", loss {loss:.4f}"
        self._show()

    def end_phase(self) -> None:
        self._phase = ""

    def message(self, text: str) -> None:
        self._messages.append(text)
        self._show()

    def event(self, index: int, total: int, text: str) -> None:
        self._events, self._last = (index + 1, total), text
        self._show()

    def data(self, what: str, done: int, total: int) -> None:
        self._phase, self._steps, self._done, self._note = what, total, done, ""
        if total and done >= total:
            self._phase = ""
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if self._handle is not None and not self._over and now - self._shown < _EVERY:
            return
        self._shown = now
        from IPython.display import display

        bundle = {"text/plain": self.text(), "text/html": self.html()}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def text(self) -> str:
        """The current output without markup: messages, then the progress line."""
        parts = [self._title] if self._title and self._tasks else []
        if self._tasks and self._over != "done":
            parts.append(f"task {self._index + 1}/{self._tasks}")
        if self._phase and not self._over:
            steps = f" {self._done}/{self._steps}" if self._steps else ""
            parts.append(f"{self._phase}{steps}{self._note}")
        parts += [text for text in (self._last, self._over.removeprefix("done")) if text]
        if self._tasks:
            parts.append(clock(time.monotonic() - self._started))
        return "\n".join([*self._messages, *([" · ".join(parts)] if parts else [])])

    def html(self) -> str:
        """The current output as HTML, with a bar during the run."""
        bar = ""
        if self._tasks and not self._over:
            bar = f'<progress max="{self._events[1]}" value="{self._events[0]}"></progress> '
        lines = [escape(line) for line in self.text().split("\n")]
        return "<br>".join([*lines[:-1], f"{bar}{lines[-1]}"])
