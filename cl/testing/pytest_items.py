"""Checks as tests of pytest: one item per check; the checks of a strategy or a stream share one bench."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from cl.errors import UsageError
from cl.testing.report import Check, CheckFailure, CheckSkipped, checks_named

if TYPE_CHECKING:
    import pytest

Expected = Mapping[str, str] | Callable[[Any], Mapping[str, str]]
"""Checks that are known to fail with the reasons, or a function from a strategy or a stream to such a mapping."""


class Shared:
    """The bench that the checks of one strategy or stream share.

    `enter` gives the name for as long as a check runs; `build` makes the bench of that name when the first check runs.
    The bench is released after the last check, or when the checks of another strategy or stream need theirs, so a
    process holds one at a time.
    """

    current: ClassVar[Shared | None] = None

    def __init__(
        self, given: Any, label: str, enter: Callable[[], AbstractContextManager[Any]], build: Callable[[Any], Any]
    ) -> None:
        self.given, self.label, self.enter, self.build = given, label, enter, build
        self.bench: Any = None
        self.waiting: set[str] = set()
        self.names: list[str] = []

    def item(self, check: Check) -> Item:
        """A check as the argument of a test."""
        self.names.append(check.name)
        self.waiting.add(check.name)
        return Item(self, check)

    def run(self, check: Check) -> None:
        """Run a check on the bench; raises what either raises."""
        try:
            with self.enter() as name:
                if Shared.current is not self:
                    if Shared.current is not None:
                        Shared.current.release()
                    Shared.current = self
                if self.bench is None:
                    self.bench = self.build(name)
                check.call(self.bench)
        finally:
            self.waiting.discard(check.name)
            if not self.waiting:
                self.release()

    def release(self) -> None:
        """Drop the bench; a check that runs later builds another."""
        self.bench, self.waiting = None, set(self.names)
        if Shared.current is self:
            Shared.current = None


class Item:
    """One check of one strategy or stream; a call raises `CheckFailure` or, if it does not apply, skips the test."""

    def __init__(self, shared: Shared, check: Check) -> None:
        self.shared, self.check = shared, check

    def __repr__(self) -> str:
        return f"<check {self.check.name} of {self.shared.label}>"

    def __call__(self) -> None:
        __tracebackhide__ = True
        import pytest

        try:
            self.shared.run(self.check)
        except CheckSkipped as reason:
            pytest.skip(str(reason))
        except (CheckFailure, UsageError) as failure:  # a sentence with the fix: frames of the check add nothing to it
            raise failure.with_traceback(None) from None


def parametrize(
    subjects: Iterable[Shared], checks: Mapping[str, Check], only: Sequence[str], expected: Expected
) -> pytest.MarkDecorator:
    """The decorator for `def test(check): check()`; raises `UsageError` without pytest or for an unknown check."""
    try:
        import pytest
    except ModuleNotFoundError:
        raise UsageError("Parametrizing tests with checks needs pytest: pip install pytest.") from None
    chosen, items = checks_named(checks, only), []
    for subject in subjects:
        reasons = expected(subject.given) if callable(expected) else expected
        checks_named(checks, list(reasons))
        for check in chosen:
            why = reasons.get(check.name)
            marks = [pytest.mark.xfail(reason=why, strict=True)] if why is not None else []
            items.append(pytest.param(subject.item(check), id=f"{subject.label}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", items)
