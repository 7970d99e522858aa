"""The confusion matrix after the last step as a heat map: rows are classes, columns answers; summed over seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cl.protocol import answering
from cl.records.answers import answers_of, confusion
from cl.records.record import Record
from cl.results.leaderboard.image_shares import answers
from cl.results.plots import style
from cl.results.plots.curves import percents
from cl.results.plots.heat_map import MOST_NUMBERS, heat_map
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FolderOf = Callable[[Record], Path | None]


def data(board: Board, row: Row, folder_of: FolderOf) -> dict[str, Any] | None:
    """Percent of each class's images by answer, classes in the dataset's order; None if a run has no predictions.

    The last column is the share without an answer. A class without images has None.
    """
    counts = summed(board, row, folder_of)
    if counts is None:
        return None
    images = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, images, out=np.full(counts.shape, np.nan), where=images > 0)
    return {
        "title": f"{row.label}: answers by class, %",
        **described(board, row),
        "table": [percents(values) for values in shares],
    }


def summed(board: Board, row: Row, folder_of: FolderOf) -> NDArray[np.int64] | None:
    """Images by class and answer [C, C + 1] of all runs of a row, in the dataset's order; None without predictions."""
    tables = [_by_label(row, index, folder_of) for index in range(len(row.records))]
    whole = [table for table in tables if table is not None]
    if len(whole) < len(tables):
        return None
    counts: NDArray[np.int64] = np.sum(whole, axis=0)
    if board.by_task and not counts.any():  # all images may have several classes
        return None
    return counts


def described(board: Board, row: Row) -> dict[str, Any]:
    """Subtitle and class names of a figure about the classes of a row."""
    stream = row.records[0]["result"]["stream"]
    names = dict(zip(stream["class_order"], stream["class_names"], strict=True))
    return {
        "subtitle": f"{board.title}, rule {board.rule}, {len(row.records)} seed{'s' * (len(row.records) > 1)}"
        + (", LIMITED runs" if board.limited else ""),
        "classes": [str(names[label]) for label in sorted(names)],
    }


def _by_label(row: Row, index: int, folder_of: FolderOf) -> NDArray[np.int64] | None:
    """Images by class and answer of one run, in the order of the dataset's labels."""
    record = row.records[index]
    result, rule = record["result"], answering(record["result"]["accuracy"], row.rule)
    found = answers(result, folder_of(record), rule)
    if found is None:
        return None
    stream = result["stream"]
    table = confusion(row.matrices[index], answers_of(result, found, rule), stream["n_classes"])
    order = np.argsort(stream["class_order"])
    return np.asarray(table[order][:, [*order, len(order)]])


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    values, names = np.array(data["table"], dtype=np.float64), data["classes"]
    if not np.nansum(values[:, -1]):
        values = values[:, :-1]
    rows, columns = values.shape
    cell = min(0.42, max(0.05, 9 / rows))
    figure, axes = heat_map(
        values,
        [*names, "none"][:columns],
        names,
        theme,
        cell=(cell, cell),
        label_size=7.5,
        number_size=7.5 if rows <= MOST_NUMBERS else None,
        least=0.5,
    )
    axes.set(xlabel="answer", ylabel="class")
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure
