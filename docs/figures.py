"""The tables and the figure that READMEs show: pure functions of the records in results/reference.

`python docs/figures.py` rewrites the tables between the two marks in README.md and in the README of the runs on 100
images per class, and docs/assets/accuracy.svg.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cl.results import load_results, metrics_of
from cl.results.formulas import accuracy_by_sample
from cl.results.matrix import default_rule, matrix_of
from cl.results.record import config_hash
from cl.results.tables import percent

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "results" / "reference"
FIGURE = ROOT / "docs" / "assets" / "accuracy.svg"
README = ROOT / "README.md"
SMALL = RECORDS / "split-cifar100-small" / "README.md"
TABLES: dict[Path, int | None] = {README: None, SMALL: 100}
"""Where a table stands, and the training images per class of its runs (None: all)."""
MARKS = ("<!-- table: python docs/figures.py -->", "<!-- end of table -->")
STREAM, BACKBONE = "split-cifar100", "vit_micro_patch4_32.tinyimagenet_distill"

Record = dict[str, Any]

# After Okabe & Ito, for any colour vision; these and the grey are readable on white and on black.
_COLOURS = (
    "#2f8fd8",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6bb1",
    "#999933",
    "#c44e7a",
    "#44aa99",
)
_INK = "#717a88"


def groups(records: Sequence[Record], images: int | None = None) -> list[list[Record]]:
    """The complete runs on `STREAM` with `BACKBONE` and that many training images per class, one list per
    configuration, the best last accuracy first."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        result = record["result"]
        whole = record["status"] == "complete" and not result["limited"]
        meant = result["stream"]["options"]["train_per_class"] == images
        if whole and meant and (result["stream"]["name"], result["backbone"]["name"]) == (STREAM, BACKBONE):
            found[result["strategy"]["name"], config_hash(record)].append(record)
    runs = [sorted(each, key=lambda record: record["result"]["seeds"]["order"]) for each in found.values()]
    return sorted(runs, key=lambda each: -_mean(each, "A_last_sample"))


def _rule(record: Record) -> str:
    return default_rule(record["result"]["accuracy"])


def _values(runs: Sequence[Record], metric: str, rule: str | None = None) -> list[float]:
    """The metric of every run; NaN where it is undefined."""
    found = [metrics_of(run["result"]).get(rule or _rule(run), {}).get(metric) for run in runs]
    return [np.nan if value is None else value for value in found]


def _mean(runs: Sequence[Record], metric: str, rule: str | None = None) -> float:
    return float(np.mean(_values(runs, metric, rule)))


def label(runs: Sequence[Record]) -> str:
    """The strategy's name, and the settings of the command line, those of the stream apart."""
    result = runs[0]["result"]
    given = {key: entry["value"] for key, entry in result["config"].items() if entry["origin"] == "command line"}
    words = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in given.items()]
    return " ".join([str(result["strategy"]["name"]), *(word for word in words if not word.startswith("stream."))])


def is_bound(runs: Sequence[Record]) -> bool:
    return bool(runs[0]["result"]["strategy"]["access"] == "past")


def table(records: Sequence[Record], images: int | None = None) -> str:
    """Percent per strategy, means over class orders, as a Markdown table; `images` as for `groups`."""
    chosen = groups(records, images)
    orders = sorted({run["result"]["seeds"]["order"] for runs in chosen for run in runs})
    head = ["strategy", "last accuracy", f"order {', '.join(map(str, orders))}", "average incremental", "forgetting"]
    head += ["last, task told", "TFLOP"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for runs in chosen:
        name = f"`{label(runs)}`" + (" (bound)" if is_bound(runs) else "")
        flops = float(np.mean([run["measurement"]["flops"]["uncached"] for run in runs])) / 1e12
        cells = [
            name,
            percent(_mean(runs, "A_last_sample")),
            ", ".join(map(percent, _values(runs, "A_last_sample"))),
            percent(_mean(runs, "A_inc_sample")),
            percent(_mean(runs, "F_chaudhry")),
            percent(_mean(runs, "A_last_sample", "til_masked")),
            f"{flops:.1f}",
        ]
        lines.append("| " + " | ".join("–" if cell == "-" else cell for cell in cells) + " |")  # noqa: RUF001
    return "\n".join(lines) + "\n"


def curves(records: Sequence[Record]) -> dict[str, list[list[float | None]]]:
    """Accuracy over all classes seen after every task, in percent: {label: one list per class order}."""
    found = {}
    for runs in groups(records):
        lines = [accuracy_by_sample(matrix_of(run["result"], _rule(run))) for run in runs]
        found[label(runs)] = [[None if np.isnan(v) else round(100 * float(v), 4) for v in line] for line in lines]
    return found


def digest(records: Sequence[Record]) -> str:
    """Names the data of a figure; the figure carries it, so that a test can tell whether it is current."""
    return "data " + hashlib.sha256(json.dumps(curves(records)).encode()).hexdigest()[:16]


def figure(records: Sequence[Record], path: Path) -> None:
    """Draw accuracy over tasks (mean over class orders, the band from lowest to highest) as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "clbench",
        "font.family": "sans-serif",
        "font.size": 10,
    }
    inks = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK)
    with plt.rc_context(style | inks):
        fig, axes = plt.subplots(figsize=(7.2, 3.6))
        ends = []
        data = curves(records)
        colours = itertools.cycle(_COLOURS)
        for runs, (name, lines) in zip(groups(records), data.items(), strict=True):
            colour = _INK if is_bound(runs) else next(colours)
            values = np.array(lines, dtype=float)
            tasks = np.arange(1, values.shape[1] + 1)
            mean = values.mean(axis=0)
            if np.isnan(mean[:-1]).all():  # trained once, at the end
                axes.axhline(mean[-1], color=colour, lw=1.2, ls=(0, (4, 3)))
            else:
                axes.fill_between(tasks, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0)
                axes.plot(tasks, mean, color=colour, lw=1.8, marker="o", ms=3.5)
            ends.append((float(mean[-1]), name, colour))
        axes.set(xlabel="tasks learned (10 classes each)", ylabel="accuracy on all classes seen, %")
        axes.set_xticks(tasks)
        axes.margins(x=0.02)
        axes.grid(axis="y", color=_INK, alpha=0.25, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        low, high = axes.get_ylim()
        for place, (value, name, colour) in zip(
            _spread([end[0] for end in ends], (high - low) / 17), ends, strict=True
        ):
            axes.annotate(f"{name}  {value:.1f}", (tasks[-1], place), xytext=(9, 0), textcoords="offset points",
                          color=colour, va="center", annotation_clip=False)  # fmt: skip
        fig.savefig(
            path,
            transparent=True,
            bbox_inches="tight",
            pad_inches=0.05,
            metadata={"Date": None, "Creator": None, "Title": "Accuracy over tasks", "Description": digest(records)},
        )
        plt.close(fig)


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """The values, highest first, moved down where two would stand closer than `gap`."""
    places: list[float] = []
    for value in values:
        places.append(value if not places else min(value, places[-1] - gap))
    return places


def with_table(text: str, new: str) -> str:
    """`text` with the table between the marks replaced; raises `ValueError` where they are missing."""
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise ValueError(f"a README with a table needs the marks {MARKS[0]} and {MARKS[1]}")
    return f"{before}{begin}\n\n{new}\n{end}{after}"


def main() -> None:
    records = load_results(RECORDS).records
    for readme, images in TABLES.items():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(with_table(text, table(records, images)), encoding="utf-8")
    figure(records, FIGURE)


if __name__ == "__main__":
    main()
