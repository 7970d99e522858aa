"""A study of `clbench tune`: parallel coordinates of its trials, and the importance of each option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.results.plots import page, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 1.7
"""Inches between two axes of the parallel coordinates."""


def data(
    title: str, scales: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], importances: Mapping[str, float]
) -> dict[str, Any]:
    """What is drawn. `scales` are `cl.scales.Scale`s by option; trials have options, value (a fraction), state."""
    axes = [{"key": key, "kind": scale.kind, "ends": _ends(scale)} for key, scale in scales.items()]
    shown = [
        {"at": [_place(scales[key], trial["options"][key]) for key in scales], "percent": 100 * trial["value"],
         "complete": trial["state"] == "complete"}
        for trial in trials
    ]  # fmt: skip
    complete = sum(trial["complete"] for trial in shown)
    left = len(shown) - complete
    subtitle = f"{complete} complete trials" + (f", {left} pruned or diverged (dashed)" if left else "")
    shares = sorted(importances.items(), key=lambda item: (-item[1], item[0]))
    return {"title": title, "subtitle": subtitle, "axes": axes, "trials": shown, "shares": shares}


def draw_parallel(data: Mapping[str, Any], theme: style.Theme) -> Figure:
    """A line per trial through its values and its accuracy; the better it is, the stronger its colour."""
    names = [axis["key"] for axis in data["axes"]]
    trials = sorted(data["trials"], key=lambda trial: (trial["complete"], trial["percent"]))
    values = np.array([trial["percent"] for trial in trials if trial["complete"]] or [0.0, 100.0])
    low, high = (values.min(), values.max()) if np.ptp(values) else (values.min() - 1, values.max() + 1)
    figure = style.new_figure(_WIDTH * len(names), 3.2)
    axes = figure.add_axes((0, 0, 1, 1))
    colours = style.scale(theme)
    for trial in trials:
        share = float(np.clip((trial["percent"] - low) / (high - low), 0, 1))
        colour = colours(0.25 + 0.75 * share) if trial["complete"] else theme.bound
        axes.plot(
            range(len(names) + 1), [*trial["at"], share], color=colour, lw=1.0 + 1.4 * share * trial["complete"],
            ls="-" if trial["complete"] else style.LINES[1], alpha=0.9 if trial["complete"] else 0.55, zorder=2 + share,
        )  # fmt: skip
    ends = [axis["ends"] for axis in data["axes"]] + [[(0.0, f"{low:.1f}"), (1.0, f"{high:.1f}")]]
    paper = {"fc": theme.paper or "none", "ec": "none", "pad": 0.6, "alpha": 0.8}
    for place, marks in enumerate(ends):
        axes.axvline(place, color=theme.ink, lw=0.9, zorder=1)
        for height, text in marks:
            axes.annotate(text, (place, height), xytext=(4, 0), textcoords="offset points", fontsize=page.scaled(8),
                          va="center", zorder=6, bbox=paper)  # fmt: skip
    logs = {axis["key"] for axis in data["axes"] if axis["kind"] == "log"}
    labels = [f"{name}\n(log)" if name in logs else name for name in names] + ["accuracy\npercent"]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks([])
    axes.set_xlim(-0.05, len(names) + 0.3)
    axes.set_ylim(-0.06, 1.06)
    axes.grid(visible=False)
    axes.tick_params(axis="x", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure


def draw_importances(data: Mapping[str, Any], theme: style.Theme) -> Figure:
    """Bars: the share of each option in the variance of the accuracy."""
    shares = data["shares"]
    figure = style.new_figure(4.6, max(0.32 * len(shares), 0.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.barh(range(len(shares)), [100 * share for _, share in shares], height=0.66, color=theme.series[0])
    for place, (_, share) in enumerate(shares):
        axes.annotate(f"{100 * share:.0f}", (100 * share, place), xytext=(5, 0), textcoords="offset points",
                      va="center", fontsize=page.scaled(9), annotation_clip=False)  # fmt: skip
    axes.set_yticks(range(len(shares)), [key for key, _ in shares])
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("share in the variance of the accuracy (fANOVA), percent")
    style.heading(axes, data["title"], data["subtitle"], theme)
    return figure


def save_figures(data: Mapping[str, Any], folder: Path, suffixes: Sequence[str], themes: Sequence[str]) -> list[Path]:
    """Write both figures; importances are left out if they are not known. Returns the files."""
    kinds = {"tuning-parallel": draw_parallel, **({"tuning-importance": draw_importances} if data["shares"] else {})}
    written = []
    for name, draw in kinds.items():
        for theme in (style.THEMES[each] for each in themes):
            for suffix in suffixes:
                ending = "" if theme.name == themes[0] else f"-{theme.name}"
                path = folder / f"{name}{ending}.{suffix}"
                with style.styled(theme):
                    style.save(draw(data, theme), path, theme, data["title"], data["subtitle"])
                written.append(path)
    return written


def _place(scale: Any, value: Any) -> float:
    """The height of a value on its axis, from 0 to 1."""
    if scale.kind == "among":
        return list(scale.values).index(value) / (len(scale.values) - 1)
    low, high, at = (np.log(each) if scale.kind == "log" else each for each in (scale.low, scale.high, value))
    return float((at - low) / (high - low))


def _ends(scale: Any) -> list[tuple[float, str]]:
    """The marks of an axis: all values of a choice, else both ends."""
    if scale.kind == "among":
        texts = [",".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in scale.values]
        return [(place / (len(texts) - 1), text or "none") for place, text in enumerate(texts)]
    return [(0.0, f"{scale.low:g}"), (1.0, f"{scale.high:g}")]
