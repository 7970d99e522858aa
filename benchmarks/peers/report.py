"""Files of a comparison: one CSV row per run and side, figures with their targets, a page and a plot."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import FIGURE_COLUMNS, Figure, median_interval, table
from benchmarks.peers.work import Job, Measured

Row = Mapping[str, Any]

WORK = (
    "method",
    "stream",
    "tasks",
    "train_per_class",
    "test_per_class",
    "epochs",
    "batch_size",
    "precision",
    "threads",
)
"""Columns that name a comparison."""

TARGETS: dict[tuple[str, str, str, int | None], float] = {
    ("naive", "fp32", "learn", None): 1.00,
    ("naive", "fp32", "evaluation", 50): 0.85,
    ("naive", "fp32", "evaluation", 4): 0.90,
    ("replay", "fp32", "whole", None): 0.92,
    ("lwf", "fp32", "whole", None): 0.92,
    ("ewc", "fp32", "whole", None): 0.80,
    ("naive", "bf16", "whole", None): 0.52,
}
"""Upper bounds by method, precision of clbench, part, and test images per class; None: any number of them."""
FIXED = {"stream": "split-cifar100", "epochs": "1", "batch_size": "20", "threads": "1"}
"""The work for which the bounds hold, with any number of training images."""
TASKS = "10"
"""Tasks for which the bounds of a whole run hold; the share of evaluation grows with tasks."""


def rows_of(job: Job, pair: int, measured: Mapping[str, Measured], about: Mapping[str, str]) -> list[dict[str, Any]]:
    """The CSV rows of a pair."""
    rows = []
    for side, found in measured.items():
        row: dict[str, Any] = {name: getattr(job, name) for name in WORK}
        row |= {"pair": pair, "side": side}
        for part in ("learn", "evaluation", "whole"):
            clock = getattr(found, part)
            row |= {f"{part}_cpu": round(clock.cpu, 4), f"{part}_wall": round(clock.wall, 4)}
        row |= {"peak_mb": found.peak >> 20, "accuracy": round(found.accuracy[-1], 4), "steps": sum(found.steps)}
        rows.append({**row, "images_evaluated": sum(found.evaluated), **about})
    return rows


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows as CSV; rows of earlier programs may lack columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def key(row: Row) -> tuple[str, ...]:
    """The comparison that a row belongs to."""
    return tuple(str(row[name]) for name in WORK)


def ratios(rows: Iterable[Row], column: str) -> list[float]:
    """Ours / theirs of each pair of one comparison."""
    by_pair: dict[str, dict[str, float]] = {}
    for row in rows:
        by_pair.setdefault(str(row["pair"]), {})[str(row["side"])] = float(row[column])
    return [pair["ours"] / pair["theirs"] for pair in by_pair.values() if len(pair) == 2]


def figures(rows: Sequence[Row], clock: str = "cpu") -> list[Figure]:
    """Learn, evaluation and whole of every comparison, with the targets of CPU seconds."""
    found = []
    for each in dict.fromkeys(map(key, rows)):
        mine = [row for row in rows if key(row) == each]
        named = dict(zip(WORK, each, strict=True))
        for part in ("learn", "evaluation", "whole"):
            values = ratios(mine, f"{part}_{clock}")
            if not values:
                continue
            target = _target(named, part) if clock == "cpu" else None
            precision = "" if named["precision"] == "fp32" else f" ({named['precision']})"
            sizes = f"{named['tasks']} tasks, {named['train_per_class']} / {named['test_per_class']} images per class"
            name = f"{named['method']}{precision} {part}, {sizes}"
            found.append(Figure(name, median_interval(values), target))
    return found


def _target(named: Mapping[str, str], part: str) -> float | None:
    """The upper bound of a part of a comparison; None if it has none, or if the work is another."""
    if any(named[name] != value for name, value in FIXED.items()) or (part == "whole" and named["tasks"] != TASKS):
        return None
    kind = named["method"], named["precision"], part
    return TARGETS.get((*kind, int(named["test_per_class"])), TARGETS.get((*kind, None)))


def page(rows: Sequence[Row], growth: Sequence[Row]) -> str:
    """README.md of the results, in Markdown."""
    parts = ["# Speed next to Avalanche\n\nWritten by `python -m benchmarks.peers` ([what it measures]"
             "(../../../benchmarks/README.md)). Do not edit it.\n"]  # fmt: skip
    if rows:
        machines = list(dict.fromkeys(map(_about, rows)))
        parts.append("\n".join(machines) + "\n")
        parts.append("## CPU seconds, clbench / Avalanche\n\nImages per class are for training / testing. "
                     f"{_sizes(rows)}\n")  # fmt: skip
        parts.append(table(FIGURE_COLUMNS, [figure.row() for figure in figures(rows)]) + "\n")
        parts.append("The interval contains the true median with a probability of at least 90 % (two order statistics; "
                     "for five pairs the whole range, 94 %). A figure is met if its whole interval is at or below "
                     "the bound, missed if it is above it, and open otherwise.\n")  # fmt: skip
        wall = table(FIGURE_COLUMNS[:4], [figure.row()[:4] for figure in figures(rows, "wall")])
        parts.append(f"## Wall seconds, clbench / Avalanche\n\n{wall}\n")
        parts.append(f"## Medians of both sides\n\n{_sides(rows)}\n")
    if growth:
        parts.append(f"## Growth\n\n{_about(growth[0])} One run of each side per size, each in its own processes; CPU "
                     f"seconds.\n\n{_growth(growth)}\n")  # fmt: skip
    return "\n".join(parts)


def _about(row: Row) -> str:
    return (
        f"{row['CPU']}, {row['threads']} thread(s), bf16 {row['bf16']}; Python {row['Python']}, torch {row['torch']}, "
        f"timm {row['timm']}, avalanche-lib {row['avalanche-lib']}; load before the run "
        f"{row.get('load before', 'unknown')}; {row['date']}."
    )


def _sizes(rows: Sequence[Row]) -> str:
    found = dict.fromkeys((row["stream"], row["epochs"], row["batch_size"]) for row in rows)
    return "; ".join(f"{stream}, {epochs} epoch(s), batches of {size}" for stream, epochs, size in found) + "."


def _middle(rows: Sequence[Row], column: str) -> float:
    return median_interval([float(row[column]) for row in rows]).median


def _sides(rows: Sequence[Row]) -> str:
    lines = []
    for each in dict.fromkeys((key(row), row["side"]) for row in rows):
        mine = [row for row in rows if (key(row), row["side"]) == each]
        seconds = [f"{_middle(mine, f'{part}_cpu'):.1f}" for part in ("learn", "evaluation", "whole")]
        first = mine[0]
        sizes = f"{first['train_per_class']} / {first['test_per_class']}"
        lines.append((first["method"], first["precision"], first["tasks"], sizes, each[1], *seconds,
                      f"{_middle(mine, 'peak_mb'):.0f}", f"{_middle(mine, 'accuracy'):.3f}"))  # fmt: skip
    names = (
        "method",
        "precision",
        "tasks",
        "images",
        "side",
        "learn s",
        "evaluation s",
        "whole s",
        "peak MB",
        "accuracy",
    )
    return table(names, lines)


def _growth(rows: Sequence[Row]) -> str:
    lines = [
        (row["method"], row["tasks"], row["images"], row["side"], row["learn_cpu"], row["evaluation_cpu"],
         row["whole_cpu"], row["peak_mb"])
        for row in rows
    ]  # fmt: skip
    names = ("method", "tasks", "training images", "side", "learn s", "evaluation s", "whole s", "peak MB")
    return table(names, lines)


def plot(path: Path, rows: Sequence[Row]) -> bool:
    """Ratios of all pairs with medians and targets; False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = figures(rows)[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(found) + 1.2))
    for height, each in enumerate(found):
        axes.plot([each.found.low, each.found.high], [height, height], color="tab:blue", linewidth=3, alpha=0.5)
        axes.plot(each.found.median, height, "o", color="tab:blue")
        if each.target is not None:
            axes.plot(each.target, height, "|", color="tab:red", markersize=14, markeredgewidth=2)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(found)), [each.name for each in found], fontsize=8)
    axes.set_xlabel("CPU seconds, clbench / Avalanche: median, interval, upper bound (red)")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True
