"""Common style of all figures: colours, fonts, axes, labels that never overlap, and deterministic files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError
from cl.files import write_bytes
from cl.results.plots.fonts import families
from cl.results.plots.page import Page, current, in_lines, is_narrow, on, scaled, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


@dataclass(frozen=True)
class Theme:
    """Colours of one variant, all as "#rrggbb".

    paper: background, None for transparent; ink: text and axes; faint: grid; series: lines and points, at contrast 3:1
    to the paper; bound: rows that are not ranked; low, high: ends of the heat map's scale. Any two of series and bound
    differ by 12 or more (CIEDE2000) with normal vision and with protanopia, deuteranopia and tritanopia; a test
    simulates them.
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
            ("#0944b5", "#d77d21", "#3ea57b", "#bc0758", "#8f72da", "#876200", "#034b25", "#730660"),
            "#68727e",
            "#eef4fa",
            "#08519c",
        ),
        Theme(
            "dark",
            "#12171e",
            "#d6dde6",
            "#323c48",
            ("#7093fd", "#ed7f57", "#bfe4b0", "#b72d71", "#24f2ff", "#eade49", "#1a750a", "#5b63ca"),
            "#99a3b0",
            "#1b2633",
            "#7cc4ff",
        ),
        Theme(
            "transparent",
            None,
            "#717a88",
            "#a9b0ba",
            ("#2789ff", "#a64805", "#009f6a", "#ac87ba", "#643dff", "#a88705", "#197b4a", "#8c3793"),
            "#717a88",
            "#dbe7f3",
            "#2166ac",
        ),
    )
}
"""The variants; `transparent` is readable on white and on black."""

FORMATS = ("svg", "png", "pdf")
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (7, 2, 1.2, 2)))
MARKERS = "osD^vP*"
BOUND_MARKERS = "x+1234|"
_MARGIN = 0.12
"""Inches around a figure."""
_NARROWEST = 0.7
"""Least width of axes, in inches."""
_SMALLEST = 3.5
"""Least size of the numbers in a heat map, in points; smaller ones are left out."""
_LEAST_HEADING = 4.0
"""Least width of a line of title and subtitle, in inches, however narrow the figure is."""
_SVG_DPI = 72
"""Units of an SVG per inch."""
LABEL_INCHES = 0.19
"""Height of one line of a label at the usual size of type."""
MOST = 12
"""Most rows with a look of their own; what follows is thin and pale, and a label counts it."""
MOST_BANDS = 6
"""Most rows with bands."""


@dataclass(frozen=True)
class Look:
    """Style of one row: colour, line style and marker all differ from row to row. `rest`: it has no label."""

    colour: str
    line: Any
    marker: str
    rest: bool = False


def looks(bounds: Sequence[bool], theme: Theme) -> list[Look]:
    """The style of every row; bounds are grey, rows after the first `MOST` thin and grey."""
    found, ranked = [], 0
    for place, bound in enumerate(bounds):
        if place >= MOST:
            found.append(Look(theme.bound, "-", "", rest=True))
        elif bound:
            grey = place - ranked
            found.append(Look(theme.bound, LINES[(grey + 1) % len(LINES)], BOUND_MARKERS[grey % len(BOUND_MARKERS)]))
        else:
            colour = theme.series[ranked % len(theme.series)]
            found.append(Look(colour, LINES[ranked % len(LINES)], MARKERS[ranked % len(MARKERS)]))
        ranked += not bound
    return found


def draw_interval(axes: Axes, x: Any, low: Any, high: Any, look: Look, rows: int) -> None:
    """A band from low to high; of more than `MOST_BANDS` rows a bar at the end, because bands hide one another."""
    if rows <= MOST_BANDS:
        axes.fill_between(x, low, high, color=look.colour, alpha=0.18, lw=0)
    elif np.isfinite(low[-1]):
        axes.plot([x[-1]] * 2, [low[-1], high[-1]], color=look.colour, lw=1.4, alpha=0.6)


_REST: dict[str, Any] = {"lw": 0.6, "ms": 3, "alpha": 0.45}
"""What rows without a label look like: a thin line, or points, paler than bounds."""


def draw_rest(axes: Axes, x: Any, y: Any, look: Look) -> None:
    """A thin line for a row without a label, or a point."""
    point = "o" if np.ndim(x) == 0 else ""
    axes.plot(x, y, color=look.colour, marker=point, zorder=1, **_REST)


@contextmanager
def styled(theme: Theme, page: Page | None = None, text: str = "") -> Iterator[None]:
    """Context with matplotlib's parameters for one figure with `text` on a page; the process's own are restored."""
    import matplotlib

    page = page or Page()
    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
    settings: dict[Any, Any] = {
        **dict.fromkeys(ink, theme.ink),
        "font.family": ["sans-serif", *families(text)[1:]],
        "font.sans-serif": families(text)[:1],
        "font.size": page.font_size,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 1.1 * page.font_size,
        "axes.titlelocation": "left",
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "grid.alpha": 0.45 if theme.paper is None else 1.0,  # on black and on white
        "lines.linewidth": 1.8,
        "pdf.fonttype": 42,  # TrueType, which publishers ask for
        "svg.fonttype": "none",
        "svg.hashsalt": "clbench",
        "text.parse_math": False,  # names of classes, options and streams may contain $
        "axes.unicode_minus": True,
    }
    with on(page), matplotlib.rc_context(rc=matplotlib.rcParamsDefault | settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, size in inches; without pyplot, so no global state and no display is needed."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def heading(axes: Axes, title: str, subtitle: str, theme: Theme, above: float = 0.0) -> None:
    """Title and, in smaller type below it, a subtitle; to the left, so many points above the axes. The page may have
    its own title. Lines are no wider than what was drawn before, unless that is very narrow."""
    page = current()
    if page.title == "":
        return
    below, own = (_in_lines_of(axes, text, size, bold) for text, size, bold in (
        (subtitle, 9, False), (page.title or title, 11.5, True)
    ))  # fmt: skip
    height = above + 14 + scaled(9) * 1.25 * len(below.split("\n"))
    axes.annotate(own, (0, 1), xytext=(0, height), xycoords="axes fraction", textcoords="offset points",
                  fontsize=scaled(11.5), fontweight="bold", va="bottom", annotation_clip=False)  # fmt: skip
    axes.annotate(below, (0, 1), xytext=(0, above + 10), xycoords="axes fraction", textcoords="offset points",
                  fontsize=scaled(9), color=theme.bound, va="bottom", annotation_clip=False)  # fmt: skip


def _in_lines_of(axes: Axes, text: str, size: float, bold: bool) -> str:
    """A text in lines that fit the page, or without a width of the page what is drawn right of the axes' left edge."""
    from matplotlib.font_manager import FontProperties

    if current().width is not None:
        return wrapped(text, size, bold=bold)
    figure: Any = axes.figure
    font = FontProperties(size=scaled(size), weight="bold" if bold else "normal")
    needed = _renderer(figure).get_text_width_height_descent(text, font, False)[0] / _SVG_DPI
    left = axes.get_position().x0 * figure.get_figwidth()
    if needed <= max(figure.get_figwidth() - left, _LEAST_HEADING):
        return text
    width = max(_extent(figure).x1 - _MARGIN - left, _LEAST_HEADING)  # with labels beside the axes: it takes time
    return text if needed <= width else in_lines(text, size, width, bold=bold)


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


def end_labels(
    axes: Axes, ends: Sequence[tuple[float, float, str, Look]], theme: Theme, rest: int = 0, *, points: bool = False
) -> None:
    """Labels (x, y, text, look) in a column right of the axes, each with a piece of its line and its marker, without
    overlaps; a last one counts the `rest`, the rows without a label, which are lines or `points`. On a narrow page they
    are below the axes.

    The axes must have the height from `height_for` and their final limits.
    """
    more = f"and {rest} more" if rest else ""
    sample = {"color": theme.bound, "ls": "" if points else "-", "marker": "o" if points else "", **_REST}
    if is_narrow():
        _labels_below(axes, [(text, look) for _, _, text, look in ends], more, sample)
        return
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    figure: Any = axes.figure
    inches = axes.get_position().height * figure.get_figheight()
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    heights = [(y - low) / (high - low) for _, y, _, _ in ends] + [0.0] * bool(rest)
    places = spread(heights, scaled(LABEL_INCHES) / inches, 0.0, 1.0)
    within: Any = axes.transAxes
    start, middle, end, words = (scaled(offset) / 72 for offset in (14, 27, 40, 45))
    for (x, y, text, look), place in zip(ends, places, strict=False):
        beside = figure.dpi_scale_trans + ScaledTranslation(1, place, within)  # inches right of the axes
        axes.annotate("", (x, y), xytext=(start, 0), textcoords=beside, annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": look.colour, "lw": 0.7, "alpha": 0.6,
                                  "shrinkA": 0, "shrinkB": 3})  # fmt: skip
        axes.add_line(Line2D([start, middle, end], [0, 0, 0], transform=beside, clip_on=False, markevery=[1],
                             **_drawn(look)))  # fmt: skip
        axes.text(words, 0, text, va="center_baseline", transform=beside)
    if rest:
        beside = figure.dpi_scale_trans + ScaledTranslation(1, places[-1], within)
        axes.add_line(Line2D([start, middle, end], [0, 0, 0], transform=beside, clip_on=False, markevery=[1],
                             **sample))  # fmt: skip
        axes.text(words, 0, more, va="center_baseline", color=theme.bound, transform=beside)


def _drawn(look: Look) -> dict[str, Any]:
    """The style of the piece of a line beside its label."""
    size, width = scaled(4.5), scaled(1.6)
    return {"color": look.colour, "ls": look.line, "marker": look.marker, "ms": size, "lw": width}


def _labels_below(axes: Axes, labels: Sequence[tuple[str, Look]], more: str, sample: dict[str, Any]) -> None:
    """Labels in columns below the figure's axes, as many columns as the page has space for."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    figure: Any = axes.figure
    words = [*(text for text, _ in labels), *([more] if more else [])]
    handles = [Line2D([], [], **_drawn(look)) for _, look in labels]
    handles += [Line2D([], [], **sample)] if more else []
    lines = max(panel.get_xlabel().count("\n") for panel in figure.axes)
    left, down = -scaled(0.42), -scaled(42 + 12 * lines) / 72  # from below the label of the y axis
    width = (current().width or 0.0) - 2 * _MARGIN
    before, figure.dpi = figure.dpi, _SVG_DPI
    for across in range(len(handles), 0, -1):
        legend = figure.legend(
            handles, ["x"] * len(words), loc="upper left", bbox_to_anchor=(0, 0), ncols=across, frameon=False,
            borderpad=0, bbox_transform=figure.transFigure + ScaledTranslation(left, down, figure.dpi_scale_trans),
            fontsize=scaled(9), borderaxespad=0, handlelength=2.6, columnspacing=1.2,
        )  # fmt: skip
        for text, word in zip(legend.get_texts(), words, strict=True):
            text.set_text(wrapped(word, 9, 0.9))  # not above: a legend leaves out labels that begin with _
        if across == 1 or legend.get_window_extent(_renderer(figure)).width <= width * _SVG_DPI:
            break
        legend.remove()
    figure.dpi = before


def _renderer(figure: Figure) -> Any:
    """What measures texts of a figure in units of `_SVG_DPI`."""
    from matplotlib.backends.backend_svg import RendererSVG

    width, height = figure.get_size_inches() * _SVG_DPI
    return RendererSVG(width, height, io.StringIO())


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
    """Height in inches of axes with labels for this many rows; `least` for a figure as wide as it likes."""
    width = current().width
    least = least if width is None else min(least, 0.6 * width)
    return least if is_narrow() else max(least, (min(rows, MOST) + (rows > MOST)) * scaled(LABEL_INCHES) * 1.15)


def scale(theme: Theme) -> Colormap:
    """The heat map's scale: one hue, lighter to darker (on dark paper the other way round)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("clbench", [theme.low, theme.high])


def contrasting(colour: Sequence[float]) -> str:
    """Black or white, whichever has the larger contrast to a colour (r, g, b, ... in [0, 1]): at least 4.5:1."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def save(figure: Figure, path: Path, theme: Theme, title: str, description: str) -> None:
    """Write a figure as SVG, PNG or PDF (by the suffix), atomically, without dates and with fixed ids: the same bytes
    for the same data and version of matplotlib.

    Raises `StorageError` if it cannot be written, and `UsageError` if the page is too narrow for it.
    """
    if (width := current().width) is not None:
        _fit(figure, width)
    kind = path.suffix.removeprefix(".")
    texts: dict[str, str | None] = {"Title": title, "Subject" if kind == "pdf" else "Description": description}
    undated = {"svg": ("Date", "Creator"), "png": ("Software",), "pdf": ("CreationDate", "Creator")}
    metadata = texts | dict.fromkeys(undated[kind])
    paper = {"transparent": True} if theme.paper is None else {"facecolor": theme.paper}
    content, box = io.BytesIO(), "tight" if kind == "png" else _extent(figure)
    figure.savefig(content, format=kind, dpi=160, bbox_inches=box, pad_inches=_MARGIN, metadata=metadata, **paper)
    write_bytes(path, content.getvalue(), durable=False)  # hundreds of figures would wait for the disk, each twice


def _extent(figure: Figure) -> Bbox:
    """The box of "tight" for an SVG, in inches; "tight" itself draws the figure first, a third of the time."""
    before, figure.dpi = figure.dpi, _SVG_DPI
    box = figure.get_tightbbox(_renderer(figure)).padded(_MARGIN)
    figure.dpi = before
    return box


def _fit(figure: Figure, width: float) -> None:
    """Make the figure so wide that it and all its labels take `width` inches; maps keep the shape of their cells."""
    from matplotlib.text import Text

    first = figure.get_figwidth()
    maps = [axes for axes in figure.axes if axes.images]
    for _ in range(12):  # a long title hides how wide the rest is
        now, height = figure.get_size_inches()
        outside = _extent(figure).width - now
        new = width - outside
        if new * min((axes.get_position().width for axes in figure.axes), default=1.0) < _NARROWEST:
            raise UsageError(
                f"Labels take {25.4 * outside:.0f} of {25.4 * width:.0f} mm and leave too little for this figure; "
                "raise --width, lower --font-size, or draw fewer rows with --top."
            )
        figure.set_size_inches(new, height * new / now if maps else height)
        if abs(new - now) < 0.005:
            break
    smaller = min(figure.get_figwidth() / first, 1.0)
    for number in (text for axes in maps for text in axes.texts if type(text) is Text):  # no annotations
        size = float(number.get_fontsize()) * smaller
        number.set_fontsize(size)
        number.set_visible(size >= _SMALLEST)
