"""A table of percents as a heat map: the drawing that `matrix` and `confusion` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cl.results.plots import page, style
from cl.results.plots.rows import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NUMBERS = 24
"""Maximum number of cells on a side of a map with numbers; larger ones show colours only."""


def heat_map(
    values: Floats,
    columns: Sequence[str],
    rows: Sequence[str],
    theme: style.Theme,
    *,
    cell: tuple[float, float],
    label_size: float,
    number_size: float | None,
    least: float = -np.inf,
    turned: bool = True,
) -> tuple[Figure, Axes]:
    """A figure and the axes that fill it, with a coloured cell for each percent in `values`; NaN stays empty.

    cell: width and height in inches; label_size, number_size: points, None for no numbers; least: numbers below it are
    not written; turned: whether the names of columns are turned. Names are left out if there is no space for them.
    """
    high, wide = values.shape
    figure = style.new_figure(max(wide * cell[0], 2.2), max(high * cell[1], 1.4))
    axes = figure.add_axes((0, 0, 1, 1))
    colours = style.scale(theme)
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=100, aspect="auto", interpolation="none")
    for (row, column), value in np.ndenumerate(values) if number_size is not None else ():
        if value >= least:
            axes.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=page.scaled(number_size or label_size),
                color=style.contrasting(colours(value / 100)),
            )
    every = max(1, int(np.ceil(0.02 * label_size / cell[0])))
    axes.grid(visible=False)
    axes.tick_params(length=0, bottom=False, left=False)  # before there are many ticks: each is costly to change
    axes.set_xticks(
        range(0, wide, every), columns[::every], rotation=90 if turned else 0, fontsize=page.scaled(label_size)
    )
    axes.set_yticks(range(0, high, every), rows[::every], fontsize=page.scaled(label_size))
    axes.spines[:].set_visible(False)
    return figure, axes
