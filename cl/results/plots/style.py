"""Common style of all figures: colours, fonts, axes, labels that never overlap, and deterministic files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


@dataclass(frozen=True)
class Theme:
    """Colours of one variant, all as "#rrggbb".

    paper: background, None for transparent; ink: text and axes; faint: grid; series: lines and points, for any colour
    vision (after Okabe and Ito 2008); bound: rows that are not ranked; low, high: ends of the heat map's scale.
    """

    name: str
    paper: str | None
    ink: str
    faint: str
    series: tuple[str, ...]
    bound: str
    low: str
    high: str


THEMES = {
    theme.name: theme
    for theme in (
        Theme(
            "light",
            "#ffffff",
            "#24303d",
            "#d5dbe2",
            ("#0072b2", "#c44f00", "#00795a", "#a94785", "#946400", "#2582b5", "#6a51a3", "#6b7300"),
            "#68727e",
            "#eef4fa",
            "#08519c",
        ),
        Theme(
            "dark",
            "#12171e",
            "#d6dde6",
            "#323c48",
            ("#56b4e9", "#ff8a4c", "#2fc39a", "#e59ac6", "#e6b84f", "#a5d4f7", "#b8a1ea", "#c9c96a"),
            "#99a3b0",
            "#1b2633",
            "#7cc4ff",
        ),
        Theme(
            "transparent",
            None,
            "#717a88",
            "#a9b0ba",
            ("#2f8fd8", "#d55e00", "#009e73", "#cc79a7", "#c98a00", "#56b4e9", "#8c6bb1", "#999933"),
            "#717a88",
            "#dbe7f3",
            "#2166ac",
        ),
    )
}
"""The variants; `transparent` is readable on white and on black."""

FORMATS = ("svg", "png")
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (7, 2, 1.2, 2)))
MARKERS = "osD^vPX"
_MARGIN = 0.12
"""Inches around a figure."""
_SVG_DPI = 72
"""Units of an SVG per inch."""
LABEL_INCHES = 0.19
"""Height of one line of a label."""


@dataclass(frozen=True)
class Look:
    """Style of one row; colours repeat after eight rows with another line style and marker."""

    colour: str
    line: Any
    marker: str


def looks(bounds: Sequence[bool], theme: Theme) -> list[Look]:
    """The style of every row; bounds are grey."""
    found, ranked = [], 0
    for bound in bounds:
        turn, place = divmod(ranked, len(theme.series))
        if bound:
            found.append(Look(theme.bound, LINES[1], "o"))
        else:
            found.append(Look(theme.series[place], LINES[turn % len(LINES)], MARKERS[turn % len(MARKERS)]))
        ranked += not bound
    return found


@contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Context with matplotlib's parameters for one figure; the process's own are restored."""
    import matplotlib

    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
    settings: dict[Any, Any] = {
        **dict.fromkeys(ink, theme.ink),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10.0,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11.0,
        "axes.titlelocation": "left",
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",
        "svg.hashsalt": "clbench",
        "axes.unicode_minus": True,
    }
    with matplotlib.rc_context(rc=matplotlib.rcParamsDefault | settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, size in inches; without pyplot, so no global state and no display is needed."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def heading(axes: Axes, title: str, subtitle: str, theme: Theme) -> None:
    """Title and, in smaller type below it, a subtitle; above the axes, to the left."""
    axes.annotate(title, (0, 1), xytext=(0, 26), xycoords="axes fraction", textcoords="offset points",
                  fontsize=11.5, fontweight="bold", va="bottom", annotation_clip=False)  # fmt: skip
    axes.annotate(subtitle, (0, 1), xytext=(0, 10), xycoords="axes fraction", textcoords="offset points",
                  fontsize=9, color=theme.bound, va="bottom", annotation_clip=False)  # fmt: skip


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions of labels: ordered by value, `gap` apart, as near to their values as possible within [low, high]."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(values, kind="stable")
    gap = min(gap, (high - low) / max(len(order) - 1, 1))
    steps = gap * np.arange(len(order))
    shifted = np.asarray(values, dtype=np.float64)[order] - steps
    places = np.empty(len(order))
    places[order] = np.clip(isotonic_regression(shifted).x, low, high - steps[-1]) + steps
    return [float(place) for place in places]


def end_labels(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Labels (x, y, text, colour) in a column right of the axes, connected by thin lines, without overlaps.

    The axes must have the height from `height_for` and their final limits.
    """
    inches = axes.get_position().height * axes.figure.get_figheight()  # type: ignore[union-attr]
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    heights = [(y - low) / (high - low) for _, y, _, _ in ends]
    for (x, y, text, colour), place in zip(ends, spread(heights, LABEL_INCHES / inches, 0.0, 1.0), strict=True):
        axes.annotate("", (x, y), xytext=(1.035, place), textcoords="axes fraction", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "alpha": 0.6,
                                  "shrinkA": 0, "shrinkB": 3})  # fmt: skip
        axes.annotate(text, (1.045, place), xycoords="axes fraction", color=colour, va="center", annotation_clip=False)


def log_x(axes: Axes, low: float, high: float, *, linear_below: float | None = None) -> None:
    """A logarithmic x axis for values from `low` to `high`, with plain numbers; linear below `linear_below`, so that 0
    can be shown."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if linear_below is None:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=linear_below)
    if linear_below is None:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 60 else (1.0,), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def height_for(rows: int, least: float = 3.6) -> float:
    """Height in inches of axes with labels for this many rows."""
    return max(least, rows * LABEL_INCHES * 1.15)


def scale(theme: Theme) -> Colormap:
    """The heat map's scale: one hue, lighter to darker (on dark paper the other way round)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("clbench", [theme.low, theme.high])


def contrasting(colour: Sequence[float]) -> str:
    """Black or white, whichever is easier to read on a colour (r, g, b, ... in [0, 1])."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return "#101418" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 else "#ffffff"


def save(figure: Figure, path: Path, theme: Theme, title: str, description: str) -> None:
    """Write a figure as SVG or PNG (by the suffix), atomically, without dates and with fixed ids: the same bytes for
    the same data and version of matplotlib.

    Raises `StorageError` if it cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    texts: dict[str, str | None] = {"Title": title, "Description": description}
    metadata = texts | ({"Date": None, "Creator": None} if kind == "svg" else {"Software": None})
    paper = {"transparent": True} if theme.paper is None else {"facecolor": theme.paper}
    content, box = io.BytesIO(), _extent(figure) if kind == "svg" else "tight"
    figure.savefig(content, format=kind, dpi=160, bbox_inches=box, pad_inches=_MARGIN, metadata=metadata, **paper)
    write_bytes(path, content.getvalue(), durable=False)  # hundreds of figures would wait for the disk, each twice


def _extent(figure: Figure) -> Bbox:
    """The box of "tight" for an SVG, in inches; "tight" itself draws the figure first, a third of the time."""
    from matplotlib.backends.backend_svg import RendererSVG

    before, figure.dpi = figure.dpi, _SVG_DPI
    width, height = figure.get_size_inches() * _SVG_DPI
    renderer = RendererSVG(width, height, io.StringIO())
    box = figure.get_tightbbox(renderer).padded(_MARGIN)
    figure.dpi = before
    return box
