"""Tables of one run: the accuracy matrix in percent, forgetting per group, and a summary line."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import printable
from cl.protocol import default_rule
from cl.records.answers import ByClass, answers_of, confusion, flips_by_step
from cl.records.arrivals import arrived
from cl.records.formulas import (
    accuracy_by_sample,
    accuracy_by_task,
    accuracy_shown,
    bwt,
    by_step,
    chaudhry,
    forgetting_per_group,
)
from cl.records.matrix import steps_of
from cl.records.metrics import metrics_of_rule, scale_of, shown
from cl.records.predictions import Predictions
from cl.records.probe import probe_of
from cl.records.record import matrix
from cl.records.stored import stored_by_task

if TYPE_CHECKING:
    from rich.table import Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNBOUNDED = 100_000
"""Characters; wider than any table, so that rich never cuts one."""


def percent(value: float | None) -> str:
    """A fraction in percent with two decimals, "-" if undefined."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def in_unit(metric: str, value: float | None) -> str:
    """A value of a metric with two decimals: a fraction in percent, another in its unit; "-" if undefined."""
    return percent(None if value is None else value * scale_of(metric) / 100)


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file: text that a spreadsheet would take for a formula begins with an apostrophe.

    As OWASP recommends (https://owasp.org/www-community/attacks/CSV_Injection): text, not numbers, that begins with
    = + - @ TAB or CR.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _rule(record: Mapping[str, Any], rule: str | None) -> str:
    return default_rule(record["result"]["accuracy"]) if rule is None else rule


def summary_line(record: Mapping[str, Any], rule: str | None = None) -> str:
    """Metrics in percent (see `shown`), seconds, GFLOPs executed and peak memory (1e6 bytes).

    Metrics are computed from the counts. `rule` None takes the default rule; raises `UsageError` for a missing rule.
    """
    rule = _rule(record, rule)
    matrix(record, rule)
    names = shown(record["result"]["stream"]["setting"])
    values = metrics_of_rule(record["result"], rule, names)
    measurement = record["measurement"]
    seconds, flops = measurement["seconds"]["total"], measurement["flops"]["executed"]
    peak = measurement["memory"]["peak_device"] or measurement["memory"]["peak_rss"]
    parts = [f"{name} {percent(values[name])}" for name in names]
    parts.append("time -" if seconds is None else f"time {seconds:.1f} s")
    parts.append("GFLOP -" if flops is None else f"GFLOP {flops / 1e9:.6g}")
    if tuning := measurement.get("tuning"):
        parts.append(f"tuning GFLOP {tuning['flops']['executed'] / 1e9:.6g}")
    parts.append("peak MB -" if peak is None else f"peak MB {peak / 1e6:.0f}")
    return "  ".join(parts)


def _title(record: Mapping[str, Any], rule: str) -> str:
    result = record["result"]
    limited = ", limited" if result["limited"] else ""
    state = "" if record["status"] == "complete" else f", {record['status']}"
    names = f"{result['strategy']['name']} on {result['stream']['name']} with {result['backbone']['name']}"
    marked = _marked(record)
    measure = "accuracy" if not any(marked) else "mean average precision (mAP)"
    mixed = "" if all(marked) or not any(marked) else " where it says so, else accuracy"
    return printable(f"{names}, {measure}{mixed} in percent, rule {rule}{limited}{state}")


def _marked(record: Mapping[str, Any]) -> list[bool]:
    """Which groups are measured by mean average precision."""
    return ["measure" in group for group in record["result"]["stream"]["groups"]]


def forgetting_table(
    record: Mapping[str, Any], rule: str | None = None, *, groups: Sequence[int] | None = None
) -> Table:
    """The lower-triangular accuracy matrix in percent as a rich table, with the summary as caption.

    One row per evaluated task (counted from 1; on an online stream, the number of images that had arrived) and one
    column per group, "mAP" in the heads of those that are measured
    by mean average precision; then A_t over all images seen, or over tasks
    if some are measured by mean average precision; the last row is the forgetting of each group and their mean
    (F_chaudhry). `groups` selects columns. Raises `UsageError` for a
    rule that the run does not have.
    """
    from rich import box
    from rich.table import Table

    rule = _rule(record, rule)
    counts = matrix(record, rule)
    chosen = list(range(len(counts.count)) if groups is None else groups)
    entries = np.where(counts.evaluated(), counts.accuracy, np.nan)
    curve, marked = accuracy_shown(counts), _marked(record)
    table = Table(
        title=_title(record, rule), caption=summary_line(record, rule), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    images = arrived(record)
    table.add_column("after task" if images is None else "images", justify="right", no_wrap=True)
    for group in chosen:
        table.add_column(f"{group + 1}{' mAP' * marked[group]}", justify="right", no_wrap=True)
    table.add_column("A_t", justify="right", no_wrap=True)
    for step, task in enumerate(steps_of(record["result"])):
        cells = ["" if math.isnan(entries[step, group]) else percent(entries[step, group]) for group in chosen]
        table.add_row(str(task + 1) if images is None else f"{images[step]:,}", *cells, percent(curve[step]))
    forgetting = forgetting_per_group(counts)
    mean = metrics_of_rule(record["result"], rule, ["F_chaudhry"])["F_chaudhry"]
    table.add_row("forgetting", *[percent(forgetting[group]) for group in chosen], percent(mean))
    return table


def render(table: Table) -> str:
    """A rich table as plain text (a Markdown table, no colours) at its full width; ends in a newline."""
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement

    table.box = box.MARKDOWN
    probe = Console(width=_UNBOUNDED, force_jupyter=False)
    needed = Measurement.get(probe, probe.options, table).maximum
    text = io.StringIO()
    # in a notebook rich would display the table instead of writing it
    console = Console(
        file=text, width=needed, color_system=None, force_terminal=False, force_jupyter=False, legacy_windows=False
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().split("\n")).strip("\n") + "\n"


def aligned(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = (), colon: str = ""
) -> list[str]:
    """The lines of a Markdown table of plain cells; columns are right-aligned except those in `left`.

    `colon` ":" marks the alignment for Markdown too. Rich is not used: it takes a second for a few hundred rows.
    """
    columns, rows = [printable(name) for name in columns], [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    sides = ["<" if name in left else ">" for name in columns]

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(f'{c:{side}{w}}' for c, side, w in zip(cells, sides, widths, strict=True))} |"

    dashes = ["-" * (width + 2) for width in widths]
    rules = [dash if side == "<" else dash[len(colon) :] + colon for dash, side in zip(dashes, sides, strict=True)]
    return [line(columns), f"|{'|'.join(rules)}|", *map(line, rows)]


def forgetting_text(record: Mapping[str, Any], rule: str | None = None, *, width: int | None = None) -> str:
    """`forgetting_table` as plain text for a pipe or a log; no number is ever cut.

    With `width` (characters) the groups are split over several tables, one below the other.
    """
    rule = _rule(record, rule)
    groups = list(range(len(matrix(record, rule).count)))
    # A cell holds at most "100.00" or "-12.34" and a border; the rest is the first and the last column.
    cell = 10 if any(_marked(record)) else 9
    block = max(len(groups), 1) if width is None else max((width - 24) // cell, 1)
    texts = [_title(record, rule)]
    for start in range(0, max(len(groups), 1), block):
        table = forgetting_table(record, rule, groups=groups[start : start + block])
        table.title = table.caption = None
        texts.append(render(table))
    return "\n".join([*texts, summary_line(record, rule)]) + "\n"


CURVE = ("task", "A_t", "A_t_task", "forgetting", "BWT", "NFR", "PFR")
"""Columns of `curve_rows`: accuracy over images and over tasks, F_chaudhry and BWT as if the run had ended there, and
the flips since the step before."""

PROBE, STORED = "F_pretraining", "stored"
"""Columns of `curve_rows` of records that have them: forgetting of the pretraining, and bytes kept between tasks."""


def curve_rows(
    record: Mapping[str, Any], rule: str | None = None, predictions: Predictions | None = None
) -> list[dict[str, float | int | None]]:
    """One row per step with the columns `CURVE`: fractions, None if undefined. Flips need the stored predictions.

    The columns `PROBE` and `STORED` follow if the record has a probe, and bytes by task.

    Raises `UsageError` for a rule that the run does not have.
    """
    rule = _rule(record, rule)
    counts, result = matrix(record, rule), record["result"]
    curves = [accuracy_by_sample(counts), accuracy_by_task(counts), by_step(chaudhry, counts), by_step(bwt, counts)]
    flips = np.full((counts.steps, 2), np.nan)
    if predictions is not None and rule in predictions.prediction and counts.steps:
        flips[1:] = flips_by_step(counts, answers_of(result, predictions, rule))
    rows: list[dict[str, float | int | None]] = []
    for step, task in enumerate(steps_of(result)):
        values = [*(curve[step] for curve in curves), *flips[step]]
        fractions = [None if math.isnan(value) else float(value) for value in values]
        rows.append(dict(zip(CURVE, (task + 1, *fractions), strict=True)))
    if (probe := probe_of(result)) is not None:
        for row, value in zip(rows, probe.forgetting, strict=True):
            row[PROBE] = None if math.isnan(value) else float(value)
    if kept := stored_by_task(record):
        for row, task in zip(rows, steps_of(result), strict=True):
            row[STORED] = sum(kept[task].values()) if task in kept else None
    return rows


def confusion_table(
    record: Mapping[str, Any], predictions: Predictions, rule: str | None = None
) -> tuple[list[str], list[list[int]]]:
    """Class names, and images by class (rows) and answer (columns) after the last step; last column: no class.

    Raises `UsageError` for a rule that the run does not have.
    """
    rule = _rule(record, rule)
    counts, stream = matrix(record, rule), record["result"]["stream"]
    table = confusion(counts, answers_of(record["result"], predictions, rule), stream["n_classes"])
    return list(stream["class_names"]), table.tolist()


CLASSES = ("class", "task", "images", "precision", "recall", "F1")
"""Columns of `class_rows`."""


def class_rows(
    record: Mapping[str, Any], predictions: Predictions, rule: str | None = None
) -> list[dict[str, str | float | int | None]]:
    """One row per class that was tested after the last step, with the columns `CLASSES`, in the order of learning.

    Fractions, None if undefined: no image was answered with the class. `task` counts from 1. Raises `UsageError` for a
    rule that the run does not have.
    """
    names, table = confusion_table(record, predictions, rule)
    found = ByClass.of(np.array(table, dtype=np.int64))
    first: dict[int, int] = {}
    for group in record["result"]["stream"]["groups"]:
        for place in group["classes"]:
            if group.get("task") is not None:
                first[place] = min(group["task"] + 1, first.get(place, group["task"] + 1))
    rows: list[dict[str, str | float | int | None]] = []
    for place in np.flatnonzero(found.images > 0).tolist():
        values = (float(each[place]) for each in (found.precision, found.recall, found.f1))
        fractions = [None if math.isnan(value) else value for value in values]
        cells = (names[place], first.get(place), int(found.images[place]), *fractions)
        rows.append(dict(zip(CLASSES, cells, strict=True)))
    return rows
