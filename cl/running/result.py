"""The result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl.records.record import RECORD
from cl.running.build import load_learner
from cl.values import parse_value

if TYPE_CHECKING:
    import pandas as pd

    from cl.running.calibration import Calibration
    from cl.running.learner import Learner


@dataclass(frozen=True, repr=False)
class RunResult:
    """The result of a run; a notebook displays it as its forgetting table."""

    record: Mapping[str, Any]
    folder: Path
    _learner: Any = field(default=None, compare=False)
    profile: Mapping[str, Any] | None = field(default=None, compare=False)
    """Where the time went, as in profile.json; None without `profile=True`, and for a run that was complete already."""
    calibration: Calibration | None = field(default=None, compare=False)
    """That of the probabilities; None without `save_learner=True`, and for a run that was complete already."""
    executed: bool = field(default=True, compare=False)
    """Whether the call did something; false for a run that was complete already."""

    @property
    def status(self) -> str:
        """partial, complete or failed."""
        return str(self.record["status"])

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Metrics per prediction rule, as fractions."""
        return dict(self.record["result"]["metrics"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by position: column i of the learner's scores is `class_names[i]`."""
        return tuple(self.record["result"]["stream"]["class_names"])

    @cached_property
    def learner(self) -> Learner:
        """The trained strategy, to predict with: `result.learner.predict("photos/")`, see `cl.running.learner.Learner`.

        It is the learner of this process, or the one that `save_learner=True` saved in the run's folder (see
        `load_learner`). Raises `UsageError` if there is neither.
        """
        if self._learner is None:
            return load_learner(self.folder)
        from cl.running.calibration import Calibration
        from cl.running.learner import Learner

        unknown = Calibration(why="the learner was not saved; run with --save-learner")
        return Learner(self._learner, self.record["result"], self.calibration or unknown)

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Accuracy of every group after every task, one row each, for every prediction rule."""
        import pandas as pd

        from cl.records.record import ACCURACY_COLUMNS, accuracy_rows

        frame = pd.DataFrame(accuracy_rows(self.record), columns=list(ACCURACY_COLUMNS))
        return frame.drop(columns="run")

    def table(self, width: int | None = None) -> str:
        """The forgetting table as text, at most `width` characters wide if `width` is given.

        Raises `UsageError` for a width that is no whole number from 1.
        """
        width = parse_value(int | None, width, "width", {"ge": 1})
        from cl.results.tables import forgetting_text

        return forgetting_text(self.record, width=width)

    def __repr__(self) -> str:
        return f"RunResult({self.status}, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.table())}\n{escape(str(self.folder / RECORD))}</pre>"
