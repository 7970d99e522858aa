"""The tables and the figure that READMEs show: pure functions of the records in results/reference.

`python docs/figures.py` rewrites the tables between the two marks in README.md and in the README of the runs on 100
images per class, and docs/assets/accuracy.svg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cl.results import load_results, metrics_of
from cl.results.matrix import default_rule
from cl.results.plots import THEMES, Plot, plots_of
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


def plot(records: Sequence[Record]) -> Plot:
    """Accuracy over tasks of the same runs, as `clbench plot --kind curves` draws it."""
    return plots_of([run for runs in groups(records) for run in runs], ["curves"])[0]


def digest(records: Sequence[Record]) -> str:
    """Names the data of the figure; the figure carries it, so that a test can tell whether it is current."""
    return plot(records).digest


def figure(records: Sequence[Record], path: Path) -> None:
    """Draw it as SVG for light and dark pages."""
    plot(records).save(path, THEMES["transparent"])


def with_table(text: str, new: str, marks: tuple[str, str] = MARKS) -> str:
    """`text` with what stands between the marks replaced; raises `ValueError` where they are missing."""
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"a page with a table needs the marks {marks[0]} and {marks[1]}")
    return f"{before}{begin}\n\n{new}\n{end}{after}"


def main() -> None:
    records = load_results(RECORDS).records
    for readme, images in TABLES.items():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(with_table(text, table(records, images)), encoding="utf-8")
    figure(records, FIGURE)


if __name__ == "__main__":
    main()
