"""Figures as pure functions of records. Each kind has `data(board)` (plain JSON) and `draw(data, theme)`; no torch.

`plots_of(records)` makes all figures; `Plot.save` writes one. matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    transfer,
)
from cl.results.plots.rows import Board, boards, slug
from cl.results.plots.style import FORMATS, THEMES, Theme, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "curves": "accuracy on all images seen against tasks, with 95 % intervals over seeds",
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
    "forgetting": (forgetting.data, forgetting.draw),
    "pretraining": (pretraining.data, pretraining.draw),
    "rank": (rank.data, rank.draw),
    "cost": (cost.data, cost.draw),
    "nevis": (nevis.data, nevis.draw),
    "transfer": (transfer.data, transfer.draw),
}
"""The kinds with one figure for each board that has rows for it: its numbers and its drawing."""

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

    def save(self, path: Path | str, theme: Theme = THEMES["light"]) -> Path:
        """Write the figure as SVG or PNG, or its numbers as JSON, by the suffix of `path`; returns the path.

        Raises `UsageError` for another suffix and `StorageError` if it cannot be written.
        """
        path = Path(path)
        kind = path.suffix.removeprefix(".")
        if kind == DATA_FORMAT:
            write_text(path, json.dumps({"kind": self.kind, **self.data}, indent=1) + "\n")
        elif kind in FORMATS:
            with styled(theme):
                save(self.draw(self.data, theme), path, theme, f"{self.kind}: {self.data['title']}", self.digest)
        else:
            raise UsageError(f"Figures are written as {', '.join((*FORMATS, DATA_FORMAT))}, not as {path.suffix!r}.")
        return path


def plots_of(
    records: Iterable[Record],
    kinds: Sequence[str] = tuple(KINDS),
    rule: str | None = None,
    *,
    folders: Iterable[Path | None] | None = None,
) -> list[Plot]:
    """Every figure of these kinds that the records allow; kinds without content are left out.

    `folders`, one per record, hold the predictions that `confusion` needs.
    Raises `UsageError` for an unknown kind or rule, and if no run is complete.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"There is no kind of plot {unknown[0]!r}; choose from: {', '.join(KINDS)}.")
    given = list(records)
    places = dict(zip(map(id, given), folders or [], strict=folders is not None))
    found = boards(given, rule)
    made = [plot for kind in KINDS if kind in kinds for plot in _of_kind(kind, found, lambda run: places.get(id(run)))]
    taken: Counter[str] = Counter()
    unique = []
    for plot in made:  # two boards may differ although their names are equal
        taken[plot.name] += 1
        number = taken[plot.name]
        unique.append(plot if number == 1 else Plot(plot.kind, f"{plot.name}-{number}", plot.data, plot.draw))
    return unique


def _of_kind(kind: str, found: Sequence[Board], folder_of: confusion.FolderOf) -> Iterator[Plot]:
    streams: set[str] = set()
    backbones = defaultdict(set)
    if kind == "architecture":
        for label, places in architecture.groups(found):
            board = places[0][0]
            name = f"{kind}-{slug(board.stream)}-{slug(label)}" + ("-limited" if board.limited else "")
            yield Plot(kind, name, architecture.data(label, places), architecture.draw)
        return
    for board in found:
        backbones[board.stream].add(board.backbone)
    for board in found:
        several = len(backbones[board.stream]) > 1
        name = f"{kind}-{slug(board.title if several else board.stream)}" + ("-limited" if board.limited else "")
        if kind == "matrix":
            for row in board.rows:
                yield Plot(kind, f"{name}-{slug(row.label)}", matrix.data(board, row), matrix.draw)
        elif kind == "confusion":
            for row in board.rows:
                if (shares := confusion.data(board, row, folder_of)) is not None:
                    yield Plot(kind, f"{name}-{slug(row.label)}", shares, confusion.draw)
        elif kind == "classes":
            for row in board.rows:
                if (found_by_class := classes.data(board, row, folder_of)) is not None:
                    yield Plot(kind, f"{name}-{slug(row.label)}", found_by_class, classes.draw)
        elif kind == "stream":
            plot = Plot(kind, f"{kind}-{slug(board.stream)}", stream.data(board), stream.draw)
            if plot.digest not in streams:  # boards on other backbones show the same stream
                yield plot
            streams.add(plot.digest)
        else:
            data, draw = _MAKERS[kind]
            plot = Plot(kind, name, data(board), draw)
            if plot.data["rows"]:
                yield plot
