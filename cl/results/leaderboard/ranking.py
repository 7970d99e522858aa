"""The leaderboard: strategies ranked per stream, rule and backbone, averaged over seeds, with confidence intervals.

Ranks come from differences paired over common seeds and test images (`cl.results.leaderboard.statistics`). A row with
marks is shown but never ranked. Everything is a pure function of records and predictions, except `is_stale`, which
depends on the installed code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError, did_you_mean
from cl.protocol import default_rule
from cl.records.flops import counted_by
from cl.records.metrics import ANYTIME_SHOWN, FEW_SHOT_SHOWN, FORGETTING, METRICS, TOLD_SHOWN
from cl.records.record import Record, precision_of
from cl.registry import strategies
from cl.results.collecting import without_collecting
from cl.results.leaderboard.continued import EARLIER, continued, continues
from cl.results.leaderboard.differences import Resamples, difference, interval_of
from cl.results.leaderboard.entries import (
    Entry,
    Run,
    Usual,
    complete,
    distinct,
    entries_of,
    environment_text,
    options_text,
    packages_of,
    weights_of,
)
from cl.results.leaderboard.filters import checked, passes
from cl.results.leaderboard.kept_boards import keep_rows, key_of, read_rows
from cl.results.leaderboard.published import published_for
from cl.results.leaderboard.stored_record import release

if TYPE_CHECKING:
    import pandas as pd

SECONDARY = tuple(dict.fromkeys((*FORGETTING, *FEW_SHOT_SHOWN, *ANYTIME_SHOWN, *TOLD_SHOWN)))
"""Metrics shown in addition to the chosen one, as means over seeds; a board shows the metrics of its setting."""

COLUMNS = {
    "rank": "1 is best; shared if the paired interval against the first row of the rank contains 0; empty: unranked",
    "strategy": "name",
    "options": "options set by neither a default nor a preset, without the stream's",
    "strategy_version": "version",
    "preset": "preset used, empty for none",
    "config_hash": "eight digits in the path of its run folders, joined by spaces if they differ",
    "access": "past: a bound that may read earlier data",
    "marks": "reasons why it is unranked: bound, limited, other-version, legacy, batch-dependent, saw-later-images",
    "rule": "prediction rule",
    "metric": "id of the metric that ranks",
    "n_seeds": "number of runs",
    "seeds": "their seeds, order/init/data if these differ",
    "mean": "mean of the metric over seeds, fraction",
    "ci_low": "lower end of the 95 % bootstrap interval of the mean; empty if nothing can be resampled",
    "ci_high": "upper end",
    "std": "standard deviation over seeds (n - 1), fraction; empty for one seed",
    "drawn": "what the interval resamples: seeds x images, images (one seed), seeds (no predictions, or mAP)",
    **{name: "mean over seeds, fraction" for name in FORGETTING},
    "reported": "published value of the metric, fraction",
    "delta": "mean minus reported; empty unless weights and protocol are the same",
    "reported_in": "source of the published value",
    "reported_unlike": "why it must not be compared: other weights, other protocol",
    "train_seconds": "mean seconds of learning",
    "tflops": "mean FLOPs in 1e12, as if nothing had been memoised",
    "peak_mb": "largest peak memory, 1e6 bytes: of the accelerator, else of the process",
    "stream": "name@version",
    "stream_options": "the stream's options set by neither a default nor a preset, without seeds",
    "stream_id": "stream.id of the runs, joined by spaces",
    "backbone": "name",
    "backbone_sha256": "weights, empty for random ones",
    "precision": "of training",
    "source_sha256": "hash of the code that the strategy computes with, joined by spaces if it changed between runs",
    "board": "number of the board from 1: rows of different boards must not be compared",
    "note": "remarks that limit the comparison",
    "setting": "class-incremental, few-shot class-incremental, ...",
    **{name: "mean over seeds, fraction; on streams of its setting" for name in SECONDARY if name not in FORGETTING},
    "measured_with": "versions, device, threads and precision that its costs depend on, joined by `; ` if they differ",
}
"""Columns of the leaderboard and of its CSV file, in this order, with their meaning."""

UNTUNED = "untuned"
"""First word of the note on a row without a preset."""

Row = dict[str, Any]
"""The `COLUMNS`, `measured_with` as a list; `stds`: the standard deviations over seeds of the secondary metrics;
`continued`: that its runs continue others, in words, "" if they do not."""


def leaderboard(
    records: Iterable[Record],
    *,
    metric: str = "A_last_sample",
    rule: str | None = None,
    folders: Iterable[Path | None] | None = None,
    filters: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """`board_rows` as a data frame; columns `COLUMNS`, metrics as fractions.

    `folders`, one per record, hold the predictions; without them only seeds are resampled.
    """
    import pandas as pd

    given = list(records)
    places = [None] * len(given) if folders is None else list(folders)
    runs = [Run(record, place) for record, place in zip(given, places, strict=True)]
    frame = pd.DataFrame(board_rows(runs, metric=metric, rule=rule, filters=filters), columns=list(COLUMNS))
    return frame.astype({"rank": "Int64"})


def board_rows(
    runs: Iterable[Run],
    *,
    metric: str = "A_last_sample",
    rule: str | None = None,
    filters: Mapping[str, Sequence[str]] | None = None,
) -> list[Row]:
    """Rank strategies, one board per stream definition, backbone and rule: rows with `COLUMNS`, boards in order.

    One row per (strategy, version, preset, precision, configuration) of complete runs; copies of a run count once.
    `rule` None makes a board of the strictest rule of every run (the first of `cl.protocol.RULES`), "all" one of every
    rule. On a board of `til_oracle`, a run without that rule is shown under `til_masked`. There is no board of a rule
    that none of its runs has, see `unanswered`. `filters` keep rows whose column matches one of the patterns (`*`,
    `?`), and rank among these. Raises `UsageError` for an unknown metric or filter, if no run is left, and for a rule
    that no run has.
    """
    if metric not in METRICS:
        hint = did_you_mean(metric, list(METRICS)) or f" Choose one of: {', '.join(METRICS)}."
        raise UsageError(f"There is no metric {metric!r}.{hint}")
    boards = _runs_of_boards(runs, filters)
    if not boards:
        raise UsageError("No complete run passes the filter; `clbench leaderboard` without it shows all rows.")
    asked: list[tuple[str, list[Run]]] = []
    for key in sorted(boards):
        for each in _rules(boards[key], rule):
            if answer := _answering(boards[key], each):
                asked.append((each, answer if rule in (None, "all") else boards[key]))
    if not asked:
        there = sorted({name for each in boards.values() for run in each for name in run.summary.rules})
        raise UsageError(f"No run here has the prediction rule {rule!r}; they have: {', '.join(there)}.")
    keys = [key_of(those, each, metric) for each, those in asked]
    kept_rows, rows = read_rows(keys), []
    for number, (known, (each, those)) in enumerate(zip(keys, asked, strict=True), 1):
        board = kept_rows.get(known or "")
        if board is None:
            with without_collecting():
                board = _board(entries_of(those, each, metric, SECONDARY), number)
                keep_rows(known, board, those)
                release(those)
        rows += [{**row, "board": number} for row in board]
    return rows


def unanswered(runs: Iterable[Run], rule: str | None, filters: Mapping[str, Sequence[str]] | None = None) -> list[Run]:
    """The runs that `board_rows` leaves out because no run of their board has the rule."""
    if rule in (None, "all"):
        return []
    boards = _runs_of_boards(runs, filters).values()
    return [run for board in boards if not _answering(board, rule) for run in board]


def _runs_of_boards(
    runs: Iterable[Run], filters: Mapping[str, Sequence[str]] | None
) -> dict[tuple[str, ...], list[Run]]:
    """The complete runs that pass the filters, each once, by the key of their board."""
    wanted = checked(filters or {})
    boards: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in distinct(complete(list(runs)))[0]:
        if passes(run, wanted):
            boards[run.summary.board].append(run)
    return boards


def _answering(runs: Iterable[Run], rule: str) -> list[Run]:
    return [run for run in runs if run.rule_for(rule) in run.summary.rules]


def _rules(runs: Sequence[Run], rule: str | None) -> list[str]:
    """The rules that get a board; see `board_rows`."""
    if rule == "all":
        return sorted({name for run in runs for name in run.summary.rules})
    return [rule] if rule else sorted({default_rule(run.summary.rules) for run in runs})


def _board(entries: Iterable[Entry], number: int) -> list[Row]:
    """The rows of one board, ranked ones first."""
    ordered = sorted(entries, key=_sort_key)
    resamples = Resamples(ordered)
    ranked = [entry for entry in ordered if entry.ranked]
    ranks, pairing = _ranks(ranked, resamples)
    usual = Usual.of(ordered)
    rows = []
    for index, entry in enumerate(ordered):
        notes = _differences(entry, usual) + (pairing[index] if entry.ranked else [])
        rows.append(_row(entry, ranks[index] if entry.ranked else None, number, notes, resamples))
    return rows


def _sort_key(entry: Entry) -> tuple[bool, float, str, str]:
    sign = -1.0 if METRICS[entry.metric].higher_is_better else 1.0
    score = np.inf if entry.score is None else sign * entry.score
    return not entry.ranked, score, entry.name, entry.config_hash


def _ranks(entries: Sequence[Entry], resamples: Resamples) -> tuple[list[int], list[list[str]]]:
    """Ranks of entries sorted from best to worst, each led by its best row, and notes on each comparison."""
    ranks: list[int] = []
    notes: list[list[str]] = []
    leader = 0
    for index, entry in enumerate(entries):
        note = []
        if index:
            against = entries[leader]
            found = difference(entry, against, resamples)
            if found.interval is None:
                note = [f"not tested against {against.label}: {_some(len(found.keys), 'common seed')}"]
            elif len(found.keys) == 1:
                note = [f"tested against {against.label} on one seed only"]
            elif found.drawn == "seeds" and resamples.of(entry):
                note = [f"tested against {against.label} over seeds only: it has no predictions"]
            if entry.score != against.score and (found.interval is None or found.tells):
                leader = index
        ranks.append(leader + 1)
        notes.append(note)
    return ranks, notes


def _differences(entry: Entry, usual: Usual) -> list[str]:
    """Notes on remarks that limit the comparison of one row with the rest of its board."""
    sentences = {"bound": "bound: may read earlier data", "limited": "limited: only part of the images or tasks"}
    sentences["other-version"] = f"version {entry.result['strategy']['version']}: runs of a newer version exist"
    notes = [sentences.get(mark, f"{mark}: unranked") for mark in entry.marks]
    notes += [f"{told}: {EARLIER}"] if (told := continues(run.result for run in entry.runs)) else []
    own = entry.runs[0].rule_for(entry.rule)
    if own != entry.rule:
        notes.append(f"shown under {own}: it is not told the task")
    if own not in entry.result["accuracy"]:
        notes.append(f"has no rule {entry.rule}")
    elif len(defined := entry.values(entry.metric)) < len(entry.runs):
        notes.append(f"{entry.metric} undefined in {_some(len(entry.runs) - len(defined), 'run')}")
    notes += _tuned(entry)
    if damaged := sum(run.has_damaged_predictions for run in entry.runs):
        notes.append(f"predictions of {_some(damaged, 'run')} are damaged and not used")
    if entry.replaced:
        notes.append(f"{_some(entry.replaced, 'older run')} of the same seeds left out")
    packages = [packages_of(run.record) for run in entry.runs]
    for package, version in sorted(usual.versions.items()):
        mine = sorted({versions[package] for versions in packages if package in versions})
        if mine and mine != [version]:
            notes.append(f"{package} {', '.join(mine)} (usual here: {version})")
    if others := sorted({counted_by(run.record) for run in entry.runs} - {usual.counted_by}):
        notes.append(f"do not compare FLOPs: counted by {' and '.join(others)} (usual here: {usual.counted_by})")
    if len(usual.sources[entry.name]) > 1:
        notes.append("the code of the strategy differs between its runs")
    return notes


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _row(entry: Entry, rank: int | None, board: int, notes: Sequence[str], resamples: Resamples) -> Row:
    result = entry.result
    strategy, stream = result["strategy"], result["stream"]
    measured = [run.record["measurement"] for run in entry.runs]
    interval, drawn = interval_of(entry.values(entry.metric), resamples.of(entry))
    peaks = [m["memory"]["peak_device"] or m["memory"]["peak_rss"] for m in measured]
    sources = {run.result["strategy"]["source_sha256"] for run in entry.runs}
    return {
        "rank": rank,
        "strategy": entry.name,
        "options": options_text(result),
        "strategy_version": strategy["version"],
        "preset": strategy["preset"],
        "config_hash": entry.config_hash,
        "access": strategy["access"],
        "marks": " ".join(entry.marks),
        "rule": entry.rule,
        "metric": entry.metric,
        "n_seeds": len(entry.runs),
        "seeds": " ".join(run.seeds for run in entry.runs),
        "mean": entry.score,
        "ci_low": None if interval is None else interval[0],
        "ci_high": None if interval is None else interval[1],
        "std": _std(entry, entry.metric),
        "drawn": drawn,
        **{name: entry.mean(name) for name in SECONDARY},
        **_reported(entry),
        "train_seconds": _average([m["seconds"]["train"] for m in measured], 1.0),
        "tflops": _average([m["flops"]["uncached"] for m in measured], 1e12),
        "peak_mb": max((peak / 1e6 for peak in peaks if peak is not None), default=None),
        "stream": f"{stream['name']}@{stream['version']}",
        "stream_options": options_text(result, stream=True),
        "stream_id": " ".join(sorted({run.result["stream"]["id"] for run in entry.runs})),
        "backbone": result["backbone"]["name"],
        "backbone_sha256": weights_of(result["backbone"]),
        "precision": precision_of(result),
        "source_sha256": " ".join(sorted(filter(None, sources))),
        "board": board,
        "note": "; ".join(notes),
        "setting": stream["setting"],
        "measured_with": sorted({environment_text(run.record) for run in entry.runs}),
        "continued": continued(result),
        "stds": {name: _std(entry, name) for name in SECONDARY},
    }


def _std(entry: Entry, metric: str) -> float | None:
    values = list(entry.values(metric).values())
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _is_untuned(entry: Entry) -> bool:
    """Whether a row has options that neither a preset nor a search chose."""
    options = any(not key.startswith(("stream.", "backbone.")) for key in entry.result["config"])
    searched = any(run.record["measurement"].get("tuning") for run in entry.runs)
    return options and not searched and entry.result["strategy"]["preset"] is None


def _tuned(entry: Entry) -> list[str]:
    """Whether a row is untuned, or what searches of `clbench tune` for its options cost, in addition to its FLOPs."""
    if _is_untuned(entry):
        return [f"{UNTUNED}: no preset is meant for this stream and backbone"]
    told = {each["study"]: each for run in entry.runs if (each := run.record["measurement"].get("tuning"))}
    return [
        f"+ {each['flops']['uncached'] / 1e12:.4g} TFLOPs of tuning in {_some(each['trials'], 'trial')}"
        for each in told.values()
    ]


def _reported(entry: Entry) -> dict[str, Any]:
    """The best-matching published value of the metric under this rule, and the difference if it is comparable."""
    for row in published_for(entry.result):
        number = row.number(entry.result, entry.metric)
        if row.rule == entry.rule and number is not None:
            delta = entry.score - number.mean if row.matches and entry.score is not None else None
            return {"reported": number.mean, "delta": delta, "reported_in": row.source, "reported_unlike": row.why_not}
    return {}


def _average(values: Iterable[float | None], unit: float) -> float | None:
    known = [value / unit for value in values if value is not None]
    return float(np.mean(known)) if known else None


def sorted_rows(rows: Sequence[Row], column: str) -> list[Row]:
    """Rows ordered by a column within their boards, ascending, or descending with "-" before the name.

    Unknown values are last. Raises `UsageError` for an unknown column.
    """
    name = column.removeprefix("-")
    if name not in COLUMNS:
        hint = did_you_mean(name, list(COLUMNS)) or f" Choose one of: {', '.join(COLUMNS)}."
        raise UsageError(f"There is no column '{name}' to sort by.{hint}")
    known = [row for row in rows if row.get(name) is not None]
    ordered = sorted(known, key=lambda row: row[name], reverse=column.startswith("-"))
    unknown = [row for row in rows if row.get(name) is None]
    return sorted([*ordered, *unknown], key=lambda row: int(row["board"]))


def is_stale(row: Mapping[str, Any]) -> bool:
    """Whether the installed code of the row's strategy differs from the code of one of its runs.

    False if that is unknown: the strategy is not installed, or the record has no source hash.
    """
    source = _installed(str(row["strategy"]))
    return source is not None and any(digest != source for digest in str(row["source_sha256"] or "").split())


@lru_cache(maxsize=1024)
def _installed(name: str) -> str | None:
    try:
        return strategies.source_sha256(name) if name in strategies else None
    except UsageError:  # two distributions register the name
        return None
