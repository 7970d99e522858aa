"""Figures as pure functions of records. Each kind has `data(board)` (plain JSON) and `draw(data, theme)`; no torch.

`plots_of(records)` makes all figures; `Plot.save` writes one. matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl.errors import UsageError
from cl.files import write_text
from cl.records.record import Record
from cl.results.plots import (
    architecture,
    classes,
    confusion,
    cost,
    curves,
    forgetting,
    matrix,
    nevis,
    pretraining,
    rank,
    stream,
    tasks,
    transfer,
)
from cl.results.plots.labels import with_paper_labels
from cl.results.plots.names import name_of_row, names_of_boards, numbered, short
from cl.results.plots.page import Page
from cl.results.plots.rows import Board, Row, boards, slug
from cl.results.plots.style import FORMATS, THEMES, Theme, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "curves": "accuracy on all images seen against tasks, with 95 % intervals over seeds",
    "tasks": "accuracy on each task when the task is told, when learned and at the end, one panel per row",
    "matrix": "accuracy on every group of classes after every task, one heat map per row",
    "confusion": "answers by class after the last task, one heat map per row; needs the stored predictions",
    "classes": "precision, recall and F1 of every class after the last task, one figure per row; needs the predictions",
    "forgetting": "forgetting of every row as bars",
    "pretraining": "accuracy of the probe against tasks; needs runs with --probe",
    "rank": "forgetting of tasks and of the pretraining against the rank of low-rank updates",
    "cost": "last accuracy against compute, parameters and stored memory, with Pareto fronts",
    "architecture": "accuracy and forgetting of a row on several networks, against parameters, width, depth, pooling",
    "stream": "what is learned and tested when",
    "nevis": "error against cumulative training compute, with the Pareto front",
    "transfer": "error against that of the learner independent, per task and by domain and decade",
}
"""Kinds of figures, with descriptions."""

_MAKERS: dict[str, tuple[Callable[[Board], dict[str, Any]], Callable[[dict[str, Any], Theme], Figure]]] = {
    "curves": (curves.data, curves.draw),
    "tasks": (tasks.data, tasks.draw),
    "forgetting": (forgetting.data, forgetting.draw),
    "pretraining": (pretraining.data, pretraining.draw),
    "rank": (rank.data, rank.draw),
    "cost": (cost.data, cost.draw),
    "nevis": (nevis.data, nevis.draw),
    "transfer": (transfer.data, transfer.draw),
}
"""The kinds with one figure for each board that has rows for it: its numbers and its drawing."""

_OF_ROWS: dict[str, Callable[[Board, Row, confusion.FolderOf], dict[str, Any] | None]] = {
    "matrix": lambda board, row, folder_of: matrix.data(board, row),
    "confusion": confusion.data,
    "classes": classes.data,
}
"""The kinds with one figure for each row: its numbers, None if there are none."""

_DRAWN = {"matrix": matrix.draw, "confusion": confusion.draw, "classes": classes.draw}
"""Their drawing."""

DATA_FORMAT = "json"
"""The format that writes a figure's numbers instead of drawing it."""


@dataclass(frozen=True)
class Plot:
    """One figure: its kind, the stem of its file names, its numbers and its drawing function."""

    kind: str
    name: str
    data: dict[str, Any]
    draw: Callable[[dict[str, Any], Theme], Figure]

    @property
    def digest(self) -> str:
        """A digest of the figure's numbers; files contain it, so a test can check whether they are current."""
        return "data " + hashlib.sha256(json.dumps(self.data, sort_keys=True).encode()).hexdigest()[:16]

    def text(self, page: Page | None = None) -> str:
        """All letters that the figure may show."""
        return json.dumps(self.data, ensure_ascii=False) + (page.title or "" if page is not None else "")

    def save(self, path: Path | str, theme: Theme = THEMES["light"], page: Page | None = None) -> Path:
        """Write the figure as SVG, PNG or PDF, or its numbers as JSON, by the suffix of `path`; returns the path.

        `page`: width, size of type and title; on a page with a width, labels are display names. Raises `UsageError` for
        another suffix and for a page that is too narrow, and `StorageError` if it cannot be written.
        """
        path = Path(path)
        kind = path.suffix.removeprefix(".")
        if kind == DATA_FORMAT:
            write_text(path, json.dumps({"kind": self.kind, **self.data}, indent=1) + "\n")
        elif kind in FORMATS:
            with styled(theme, page, self.text(page)), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing from")  # the command says it in one sentence
                data = self.data if page is None or page.width is None else with_paper_labels(self.data)
                save(self.draw(data, theme), path, theme, f"{self.kind}: {self.data['title']}", self.digest)
        else:
            raise UsageError(f"Figures are written as {', '.join((*FORMATS, DATA_FORMAT))}, not as {path.suffix!r}.")
        return path


def plots_of(
    records: Iterable[Record],
    kinds: Sequence[str] = tuple(KINDS),
    rule: str | None = None,
    *,
    folders: Iterable[Path | None] | None = None,
    filters: Mapping[str, Sequence[str]] | None = None,
    top: int | None = None,
) -> list[Plot]:
    """Every figure of these kinds that the records allow; kinds without content are left out.

    `folders`, one per record, hold the predictions that `confusion` needs. `filters` keep runs as those of the
    leaderboard do; `top` keeps the best rows of each board, and its bounds.
    Raises `UsageError` for an unknown kind, rule or filter, and if no run is complete or passes.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"There is no kind of plot {unknown[0]!r}; choose from: {', '.join(KINDS)}.")
    given = list(records)
    places = dict(zip(map(id, given), folders or [], strict=folders is not None))
    found = boards(given, rule, filters=filters, top=top)
    made = [plot for kind in KINDS if kind in kinds for plot in _of_kind(kind, found, lambda run: places.get(id(run)))]
    names = numbered([plot.name for plot in made])
    return [replace(plot, name=name) for plot, name in zip(made, names, strict=True)]


def _of_kind(kind: str, found: Sequence[Board], folder_of: confusion.FolderOf) -> Iterator[Plot]:
    streams: set[str] = set()
    if kind == "architecture":
        for label, members in architecture.groups(found):
            board = members[0][0]
            name = short(kind, slug(board.stream.split(" ")[0]), slug(label), limited=board.limited)
            yield Plot(kind, name, architecture.data(label, members), architecture.draw)
        return
    for board, own in zip(found, names_of_boards(found), strict=True):
        name = short(kind, own, limited=board.limited)
        if kind in _OF_ROWS:
            for row in board.rows:
                data = _OF_ROWS[kind](board, row, folder_of)
                if data is not None:
                    name = short(kind, own, name_of_row(row, board), limited=board.limited)
                    yield Plot(kind, name, data, _DRAWN[kind])
        elif kind == "stream":
            plot = Plot(kind, short(kind, own), stream.data(board), stream.draw)
            if plot.digest not in streams:  # boards on other backbones show the same stream
                yield plot
            streams.add(plot.digest)
        else:
            make, draw = _MAKERS[kind]
            plot = Plot(kind, name, make(board), draw)
            if plot.data["rows"]:
                yield plot
