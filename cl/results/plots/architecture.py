"""Accuracy and forgetting of one configuration on many networks: against parameters, and against width, depth, pooling.

Networks whose names differ in one number (`cnn_x1_32`, `cnn_x4_32`) are a series over that number; networks whose names
differ in a last word (`cnn_x4_32`, `cnn_x4_32_gap`) are variants of one another.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cl.results.plots import style
from cl.results.plots.curves import interval, percents
from cl.results.plots.rows import Board, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {"accuracy": "A_last_sample", "forgetting": "F_chaudhry", "learning": "LA"}
"""The metrics of a network; `learning` is the accuracy on each task right after it was learned."""

LEAST = 3
"""Networks that make a study; a pair is shown by the other figures."""

MATCHED = 1.2
"""Networks are matched if the larger one has at most so many times the parameters of the smaller one."""


def groups(boards: Iterable[Board]) -> Iterator[tuple[str, list[tuple[Board, Row]]]]:
    """Each row label with its boards on at least `LEAST` networks; boards differ in nothing but the network."""
    found: dict[tuple[Any, ...], list[tuple[Board, Row]]] = defaultdict(list)
    for board in boards:
        for row in board.rows:
            found[board.stream, board.rule, board.limited, row.label].append((board, row))
    for key, places in found.items():
        if len({board.backbone for board, _ in places}) >= LEAST:
            yield key[-1], places


def data(label: str, places: Sequence[tuple[Board, Row]]) -> dict[str, Any]:
    """Networks by parameters, with percent per metric; series over a number of the name; variants; matched networks."""
    networks = [_network(board, row) for board, row in places]
    networks.sort(key=lambda network: (network["parameters"], network["name"]))
    names = {network["name"] for network in networks}
    return {
        "title": f"{label} on {places[0][0].stream}",
        "subtitle": places[0][0].subtitle,
        "rows": networks,
        "series": _series(names),
        "variants": _variants(names),
        "matched": _matched(networks),
    }


def _network(board: Board, row: Row) -> dict[str, Any]:
    about = board.result["backbone"]
    found = {"name": board.backbone.partition("@")[0], "backbone": board.backbone, "seeds": len(row.records)}
    found |= {"parameters": about["parameters"], "dim": about["dim"]}
    for name, metric in METRICS.items():
        mean = row.mean(metric)
        low, high = interval(row.values(metric))
        found[name], found[f"{name}_low"], found[f"{name}_high"] = percents([mean, low, high])
    return found


def _series(names: Iterable[str]) -> list[dict[str, Any]]:
    """Names that differ in one number: the pattern with * in its place, and the numbers with their names, ascending."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        for match in re.finditer(r"\d+", name):
            found[f"{name[: match.start()]}*{name[match.end() :]}"][int(match[0])] = name
    return [
        {"pattern": pattern, "points": [[number, members[number]] for number in sorted(members)]}
        for pattern, members in sorted(found.items())
        if len(members) > 1
    ]


def _variants(names: set[str]) -> list[list[str]]:
    """Each network that has variants, followed by them: the same name and one more word."""
    found = {
        name: sorted(other for other in names if re.fullmatch(rf"{re.escape(name)}_[a-z]+", other)) for name in names
    }
    return [[name, *others] for name, others in sorted(found.items()) if others]


def _matched(networks: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Runs of networks, in the order of their parameters, whose largest is matched with their smallest."""
    found: list[list[str]] = []
    for start, first in enumerate(networks):
        group = [each["name"] for each in networks[start:] if each["parameters"] <= MATCHED * first["parameters"]]
        if len(group) > 1 and not (found and set(group) <= set(found[-1])):
            found.append(group)
    return found


def draw(data: dict[str, Any], theme: style.Theme) -> Figure:
    """Columns of two panels, accuracy above forgetting: all networks by parameters, series by number, variants."""
    rows = {row["name"]: row for row in data["rows"]}
    columns = [_by_parameters(data)]
    columns += [_by_number(data, rows)] if data["series"] else []
    columns += [_by_variant(data, rows)] if data["variants"] else []
    each = style.height_for(max(len(column["lines"]) for column in columns), 2.4)
    figure = style.new_figure(3.4 * len(columns), 2.3 * each)
    first: Axes | None = None
    for place, column in enumerate(columns):
        for line, metric in enumerate(("accuracy", "forgetting")):
            axes = figure.add_axes(
                (1.8 * place / len(columns), 0.0 if line else 1.3 / 2.3, 0.95 / len(columns), 1 / 2.3)
            )
            first = first or axes
            _panel(axes, column, metric, theme)
            axes.set_ylabel("forgetting, %" if line else "last accuracy, %")
    assert first is not None
    style.heading(first, data["title"], data["subtitle"], theme)
    return figure


Line = tuple[str, list[tuple[float, dict[str, Any]]]]


def _by_parameters(data: dict[str, Any]) -> dict[str, Any]:
    lines: list[Line] = [(row["name"], [(row["parameters"] / 1e6, row)]) for row in data["rows"]]
    return {"lines": lines, "words": "parameters, millions", "log": True}


def _by_number(data: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A line for each series."""
    lines: list[Line] = [(s["pattern"], [(number, rows[name]) for number, name in s["points"]]) for s in data["series"]]
    return {"lines": lines, "words": "the number * in the name: width or depth", "log": True}


def _by_variant(data: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A line from each network to each of its variants."""
    lines: list[Line] = [
        (other, [(0, rows[names[0]]), (1, rows[other])]) for names in data["variants"] for other in names[1:]
    ]
    return {"lines": lines, "words": "a network, and its variants", "log": False}


def _panel(axes: Axes, column: dict[str, Any], metric: str, theme: style.Theme) -> None:
    lines = column["lines"]
    if column["log"]:
        numbers = [x for _, points in lines for x, _ in points]
        style.log_x(axes, min(numbers), max(numbers))
    else:
        axes.set_xticks([0, 1], ["plain", "variant"])
    axes.set_xlabel(column["words"])
    ends, rest = [], 0
    for (label, points), look in zip(lines, style.looks([False] * len(lines), theme), strict=True):
        known = [(x, row) for x, row in points if row[metric] is not None]
        if look.rest:
            style.draw_rest(axes, [x for x, _ in known], [row[metric] for _, row in known], look)
            rest += 1
            continue
        for x, row in known:
            if row[f"{metric}_low"] is not None:
                axes.plot([x] * 2, [row[f"{metric}_low"], row[f"{metric}_high"]], color=look.colour, lw=1.0, alpha=0.7)
        if known:
            xs, ys = [x for x, _ in known], [row[metric] for _, row in known]
            axes.plot(xs, ys, color=look.colour, ls=look.line, marker=look.marker, ms=4.5)
            ends.append((xs[-1], ys[-1], f"{label}  {ys[-1]:.1f}", look))
    axes.margins(0.08)
    if ends:
        style.end_labels(axes, ends, theme, rest)
