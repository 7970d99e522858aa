"""Overview of a stream: the task that learns each group of test images, and when each group is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cl.records.matrix import steps_of
from cl.results.facts import group_name
from cl.results.plots import page, style
from cl.results.plots.rows import Board

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOT, _TESTED, _LEARNED = 0, 1, 2


def data(board: Board) -> dict[str, Any]:
    """Per group: classes, test images, the step that completes it (from 1; None: no single step), and whether it was
    tested after each step."""
    result = board.result
    matrix = board.rows[0].matrices[0]
    stream = result["stream"]
    tested = ~np.isnan(np.array([row.matrices[0].accuracy for row in board.rows])).all(axis=0)
    groups = [
        {
            "name": group_name(group),
            "classes": len(group["classes"]),
            "images": int(matrix.count[index]),
            "learned": int(matrix.learned[index]) + 1 if 0 <= matrix.learned[index] < matrix.steps else None,
            "tested": [bool(value) for value in tested[:, index]],
        }
        for index, group in enumerate(stream["groups"])
    ]
    images = int(matrix.count.sum())
    facts = f"{stream['setting']}, {stream['n_tasks']} tasks, {stream['n_classes']} classes, {images} images"
    return {
        "title": board.stream,
        "subtitle": facts + " to test on",
        "tasks": [task + 1 for task in steps_of(result)],
        "groups": groups,
    }


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """The figure of what `data` returned."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    groups, tasks = data["groups"], data["tasks"]
    cells = np.array([group["tested"] for group in groups], dtype=np.int64)
    for index, group in enumerate(groups):
        if group["learned"] is not None:
            cells[index, group["learned"] - 1] = _LEARNED
    figure = style.new_figure(min(max(0.3 * len(tasks), 2.4), 9.0), 0.22 * len(groups))
    axes = figure.add_axes((0, 0, 1, 1))
    palette = ["none", theme.faint, theme.series[0]]
    axes.pcolormesh(
        np.arange(len(tasks) + 1) - 0.5,
        np.arange(len(groups) + 1) - 0.5,
        np.ma.masked_equal(cells, _NOT),
        cmap=ListedColormap(palette[1:]),
        vmin=_TESTED,
        vmax=_LEARNED,
        edgecolors=theme.paper or "#ffffff",
        linewidth=1.0 if len(tasks) <= 40 else 0.3,
    )
    axes.set_ylim(len(groups) - 0.5, -0.5)
    every = max(1, len(tasks) // 20)
    axes.set_xticks(range(0, len(tasks), every), [str(task) for task in tasks[::every]])
    axes.set_yticks(range(len(groups)), [group["name"] for group in groups], fontsize=page.scaled(9))
    for index, group in enumerate(groups):
        plural = "es" * (group["classes"] != 1)
        axes.annotate(f"{group['classes']} class{plural}, {group['images']} images", (1, index), xytext=(8, 0),
                      xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                      fontsize=page.scaled(8.5), color=theme.bound, annotation_clip=False)  # fmt: skip
    axes.set_xlabel("after task")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    handles = [Patch(color=palette[_LEARNED], label="learned, tested"), Patch(color=palette[_TESTED], label="tested")]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=_below(axes), ncols=2,
                frameon=False, fontsize=page.scaled(8.5), borderaxespad=0, handlelength=1, handleheight=1)  # fmt: skip
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure


def _below(axes: Any) -> Any:
    """The lower left corner of the axes, moved down by the height of the ticks and their title."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, -40 / 72, axes.figure.dpi_scale_trans)
