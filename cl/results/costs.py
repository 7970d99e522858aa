"""What runs cost, one row per configuration on each board, and what the costs were measured with.

Counted costs (FLOPs, parameters, bytes kept) depend on the code alone. Times, peak memory and energy depend on the
machine: rows of different letters in `measured_with` must not be compared by these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl.records.flops import counted_by
from cl.results.leaderboard.continued import EARLIER, continued, continues
from cl.results.leaderboard.entries import (
    Entry,
    Run,
    complete,
    distinct,
    entries_of,
    environment_text,
    options_text,
)
from cl.results.leaderboard.filters import checked, passes

COLUMNS = {
    "strategy": "name",
    "options": "options set by neither a default nor a preset, without the stream's",
    "preset": "preset used, None for none",
    "continues": "the run that it continues, by the start of its result_sha256, and after how many tasks; empty: none",
    "n_runs": "number of runs",
    "tflops": "mean FLOPs in 1e12, as if nothing had been memoised: the number to compare methods by",
    "tflops_executed": "mean FLOPs in 1e12 that the runs executed",
    "tuning_tflops": "FLOPs in 1e12 of `clbench tune` before, uncached; None without",
    "trained": "most parameters that one fit trained, mean",
    "parameters": "all parameters of the learner, mean",
    "kept_samples": "mean bytes of training images kept after the last task",
    "kept_statistics": "mean bytes of statistics kept",
    "kept_parameters": "mean bytes of parameters kept besides the backbone as it was loaded",
    "peak_rss": "largest peak memory of the process, bytes",
    "peak_device": "largest peak memory of the accelerator, bytes; None without one",
    "learning_seconds": "mean seconds of learning",
    "total_seconds": "mean seconds of the run",
    "processor_joules": "mean energy of the processors' packages, other processes included; None: not measured",
    "accelerator_joules": "mean energy of the GPU, other processes included; None: not measured",
    "measured_with": "letters of `Costs.environments`, one for each environment of its runs",
}
"""Columns of the rows of `Costs`. A mean is None if a run does not know the value."""


@dataclass(frozen=True)
class Costs:
    """The costs on one board: its title, its rows, and by letter the versions and devices that they were measured with.

    `counted_by`: the names of the counting rules of FLOPs; only FLOPs of one rule can be compared.
    """

    board: str
    rows: list[dict[str, Any]]
    environments: dict[str, str]
    counted_by: tuple[str, ...]


def costs(runs: Iterable[Run], filters: Mapping[str, Sequence[str]] | None = None) -> list[Costs]:
    """The costs of complete runs, one `Costs` per stream definition and backbone.

    Raises `UsageError` for an unknown column of a filter, and if there is no complete run.
    """
    wanted = checked(filters or {})
    boards: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in distinct(complete(list(runs)))[0]:
        if passes(run, wanted):
            boards[run.summary.board].append(run)
    return [_costs(boards[key]) for key in sorted(boards)]


def letters(environments: Iterable[str]) -> dict[str, str]:
    """A letter for each distinct environment, in order of their first occurrence: A to Z, then A1, B1, ..."""
    found: dict[str, str] = {}
    for text in environments:
        turn, place = divmod(len(found), 26)
        found.setdefault(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] + (str(turn) if turn else ""))
    return found


def _costs(runs: Sequence[Run]) -> Costs:
    entries = sorted(entries_of(runs, "", "A_last_sample"), key=lambda entry: (_flops(entry), entry.label))
    texts = {id(run): environment_text(run.record) for entry in entries for run in entry.runs}
    names = letters(texts.values())
    stream, backbone = runs[0].result["stream"], runs[0].result["backbone"]
    options = options_text(runs[0].result, stream=True)
    title = f"{stream['name']}@{stream['version']} {options}".rstrip()
    if told := continued(runs[0].result):
        title += f", {told} ({EARLIER}),"
    rows = [
        {**_row(entry), "measured_with": " ".join(sorted({names[texts[id(run)]] for run in entry.runs}))}
        for entry in entries
    ]
    counted = sorted({counted_by(run.record) for entry in entries for run in entry.runs})
    return Costs(
        f"{title} on {backbone['name']}", rows, {letter: text for text, letter in names.items()}, tuple(counted)
    )


def _flops(entry: Entry) -> float:
    known = _mean(run.record["measurement"]["flops"]["uncached"] for run in entry.runs)
    return float("inf") if known is None else known


def _row(entry: Entry) -> dict[str, Any]:
    measured = [run.record["measurement"] for run in entry.runs]
    strategy = entry.result["strategy"]
    tuning = [each["tuning"]["flops"]["uncached"] for each in measured if each.get("tuning")]
    peaks = {name: [each["memory"][name] for each in measured] for name in ("peak_rss", "peak_device")}
    return {
        "strategy": strategy["name"],
        "options": options_text(entry.result),
        "preset": strategy["preset"],
        "continues": continues(run.result for run in entry.runs),
        "n_runs": len(entry.runs),
        "tflops": _mean((each["flops"]["uncached"] for each in measured), 1e12),
        "tflops_executed": _mean((each["flops"]["executed"] for each in measured), 1e12),
        "tuning_tflops": _mean(tuning, 1e12) if tuning else None,
        "trained": _mean(each["parameters"]["trainable"] for each in measured),
        "parameters": _mean(each["parameters"]["total"] for each in measured),
        **{
            f"kept_{kind}": _mean(each["stored"][kind] for each in measured)
            for kind in ("samples", "statistics", "parameters")
        },
        **{name: max(filter(None, values), default=None) for name, values in peaks.items()},
        "learning_seconds": _mean(each["seconds"]["train"] for each in measured),
        "total_seconds": _mean(each["seconds"]["total"] for each in measured),
        **{
            f"{kind}_joules": _mean((each.get("energy") or {}).get(kind) for each in measured)
            for kind in ("processor", "accelerator")
        },
    }


def _mean(values: Iterable[float | None], unit: float = 1.0) -> float | None:
    """The mean; None if there is no value, or one is not known."""
    known = list(values)
    if not known or None in known:
        return None
    return float(np.mean([value for value in known if value is not None])) / unit
