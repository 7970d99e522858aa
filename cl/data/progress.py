"""Progress of long data operations: a callback if the caller gives one, else a bar on a terminal."""

from __future__ import annotations

from types import TracebackType

from cl.data.store import Progress


class Bar:
    """Counts the units passed to `add`; `total` 0 means unknown. Without a callback, a tqdm bar is shown on stderr if
    it is a terminal."""

    def __init__(self, what: str, total: int, progress: Progress | None, *, done: int = 0, unit: str = "it") -> None:
        self._what, self._total, self._done, self._progress = what, total, done, progress
        self._bar = None
        if progress is None:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=what,
                total=total or None,
                initial=done,
                unit=unit,
                unit_scale=unit == "B",
                disable=None,
                leave=False,
            )

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, count: int) -> None:
        """Report `count` more units done."""
        self._done += count
        if self._progress is not None:
            self._progress(self._what, self._done, self._total)
        elif self._bar is not None:
            self._bar.update(count)
