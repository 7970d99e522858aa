"""The leaderboard: strategies ranked on one stream and one backbone, seeds averaged, with confidence intervals.

A board holds one stream definition (name, version, setting, options, images) and one backbone. The class order drawn
from a seed is part of `stream.id`; two methods are tested against each other only over runs with the same seeds and the
same `stream.id`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError
from cl.files import write_text
from cl.results.matrix import default_rule
from cl.results.metrics import (
    ANYTIME,
    ANYTIME_SHOWN,
    FEW_SHOT_SHOWN,
    FORGETTING,
    METRICS,
    TOLD_SHOWN,
    belongs,
    metrics_of,
    shown,
)
from cl.results.record import Record, config_hash
from cl.results.tables import percent, render

if TYPE_CHECKING:
    import pandas as pd

SECONDARY = tuple(dict.fromkeys((*FORGETTING, *FEW_SHOT_SHOWN, *ANYTIME_SHOWN, *TOLD_SHOWN)))
"""Metrics beside the chosen one, means over seeds; a board shows those of its setting."""

COLUMNS = {
    "rank": "1 is best; shared where the paired interval against the first of the rank contains 0; empty: unranked",
    "strategy": "name",
    "strategy_version": "version",
    "preset": "preset used, empty for none",
    "config_hash": "eight digits in the path of the folders of its runs, joined by spaces where these differ",
    "access": "past: a bound that may read earlier data, unranked",
    "rule": "prediction rule",
    "metric": "id of the metric that ranks",
    "n_seeds": "number of runs",
    "seeds": "their seeds, order/init/data where these differ",
    "mean": "mean of the metric over seeds, fraction",
    "ci_low": "lower end of the 95 % bootstrap interval of the mean over seeds; empty below 2 seeds",
    "ci_high": "upper end",
    **{name: "mean over seeds, fraction" for name in FORGETTING},
    "train_seconds": "mean seconds of learning",
    "tflops": "mean 1e12 FLOPs as if nothing had been memoised",
    "peak_mb": "largest peak memory, 1e6 bytes: of the accelerator, else of the process",
    "stream": "name@version",
    "stream_id": "stream.id of the runs, joined by spaces",
    "backbone": "name",
    "backbone_sha256": "weights, empty for random ones",
    "board": "number of the board from 1: rows of different boards must not be compared",
    "note": "what limits the comparison",
    "setting": "class-incremental, few-shot class-incremental, ...",
    **{name: "mean over seeds, fraction; on streams of its setting" for name in SECONDARY if name not in FORGETTING},
}
"""Columns of the leaderboard and of its CSV file, in this order, with their meaning."""

_RESAMPLES = 9999
_PACKAGES = ("python", "torch", "timm", "numpy", "clbench", "avalanche-lib")


def confidence_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean (scipy.stats.bootstrap, fixed seed); None below 2 values.

    With the few seeds that are usual it is too narrow rather than too wide. Efron 1979.
    """
    if len(values) < 2:
        return None
    from scipy import stats

    sample = np.sort(np.asarray(values, dtype=np.float64))  # so that the order of files cannot matter
    options = {"n_resamples": _RESAMPLES, "method": "percentile", "random_state": np.random.default_rng(0)}
    interval = stats.bootstrap((sample,), np.mean, confidence_level=level, **options).confidence_interval
    return float(interval.low), float(interval.high)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _board_key(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Stream definition and backbone; the class order is left to the comparison by seed."""
    stream, backbone = result["stream"], result["backbone"]
    keys: tuple[str, ...] = ("name", "version", "setting", "options", "n_tasks", "n_classes", "fingerprints")
    sizes = [len(group["classes"]) for group in stream["groups"]]
    if belongs(ANYTIME, stream["setting"]):  # chunks, and classes dealt at random: a seed decides how many there are
        keys, sizes = tuple(key for key in keys if key != "n_tasks"), []
    return (*(_text(stream[key]) for key in keys), _text(sizes), backbone["name"], _weights(backbone) or "random")


def _weights(backbone: Mapping[str, Any]) -> str | None:
    """Hash of the weights; None for random ones, which a run's seed draws as it draws everything else."""
    weights = backbone["weights_sha256"]
    return None if weights is None or weights.startswith("random-") else str(weights)


def _settings(result: Mapping[str, Any]) -> str:
    """What runs of one row share: version, precision and option values; seeds among the options do not enter."""
    values = {key: entry["value"] for key, entry in result["config"].items() if "seed" not in key.rpartition(".")[2]}
    return _text([result["strategy"]["version"], result["precision"].get("dtype"), values])


def _packages(record: Record) -> dict[str, str]:
    environment = record["measurement"]["environment"]
    packages = environment.get("packages")
    chosen = packages if isinstance(packages, dict) else environment
    return {name: str(chosen[name]) for name in _PACKAGES if name in chosen}


@dataclass(frozen=True)
class _Entry:
    """One row of a board: the runs of one strategy, preset and configuration."""

    records: tuple[Record, ...]
    rule: str
    metric: str
    replaced: int

    @property
    def result(self) -> dict[str, Any]:
        return self.records[0]["result"]

    @property
    def config_hash(self) -> str:
        return " ".join(sorted({config_hash(record) for record in self.records}))

    @cached_property
    def metrics(self) -> list[dict[str, float | None]]:
        return [metrics_of(record["result"]).get(self.rule, {}) for record in self.records]

    def values(self, metric: str) -> dict[Hashable, float]:
        """Defined values by (stream id, seeds)."""
        pairs = zip(self.records, self.metrics, strict=True)
        found = {_pair_key(record): values.get(metric) for record, values in pairs}
        return {key: value for key, value in found.items() if value is not None}

    def mean(self, metric: str) -> float | None:
        values = list(self.values(metric).values())
        return float(np.mean(values)) if values else None

    @property
    def score(self) -> float | None:
        return self.mean(self.metric)

    @property
    def ranked(self) -> bool:
        strategy = self.result["strategy"]
        return self.score is not None and strategy["access"] != "past" and not strategy.get("marks")


def _pair_key(record: Record) -> Hashable:
    seeds = record["result"]["seeds"]
    return record["result"]["stream"]["id"], seeds["order"], seeds["init"], seeds["data"]


def _seed_text(record: Record) -> str:
    seeds = [str(record["result"]["seeds"][key]) for key in ("order", "init", "data")]
    return seeds[0] if len(set(seeds)) == 1 else "/".join(seeds)


def _tied(entry: _Entry, leader: _Entry) -> bool:
    """No difference can be told: equal means, or a paired interval over common seeds that contains 0."""
    mine, theirs = entry.values(entry.metric), leader.values(leader.metric)
    if entry.score == leader.score:
        return True
    interval = confidence_interval([mine[key] - theirs[key] for key in mine.keys() & theirs.keys()])
    return interval is not None and interval[0] <= 0 <= interval[1]


def _ranks(entries: Sequence[_Entry]) -> list[int]:
    """Ranks of entries sorted from best to worst; each rank is led by its best row."""
    ranks: list[int] = []
    leader = 0
    for index, entry in enumerate(entries):
        if index and not _tied(entry, entries[leader]):
            leader = index
        ranks.append(leader + 1)
    return ranks


@dataclass(frozen=True)
class _Usual:
    """What most runs of a board share: package versions; and every source hash of each strategy."""

    versions: Mapping[str, str]
    sources: Mapping[str, set[str | None]]

    @classmethod
    def of(cls, board: Iterable[_Entry]) -> _Usual:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        sources: dict[str, set[str | None]] = defaultdict(set)
        for record in (record for entry in board for record in entry.records):
            strategy = record["result"]["strategy"]
            sources[strategy["name"]].add(strategy["source_sha256"])
            for package, version in _packages(record).items():
                counts[package][version] += 1
        return cls({package: min(count, key=lambda v: (-count[v], v)) for package, count in counts.items()}, sources)


def _differences(entry: _Entry, usual: _Usual) -> list[str]:
    """What limits the comparison of one row with the rest of its board."""
    notes = []
    if entry.result["strategy"]["access"] == "past":
        notes.append("bound: may read earlier data")
    notes += [f"{mark}: unranked" for mark in entry.result["strategy"].get("marks", ())]
    if entry.rule not in entry.result["accuracy"]:
        notes.append(f"has no rule {entry.rule}")
    elif len(undefined := entry.values(entry.metric)) < len(entry.records):
        notes.append(f"{entry.metric} undefined in {len(entry.records) - len(undefined)} runs")
    if entry.replaced:
        notes.append(f"{entry.replaced} older runs of the same seeds left out")
    packages = [_packages(record) for record in entry.records]
    for package, version in sorted(usual.versions.items()):
        mine = sorted({versions[package] for versions in packages if package in versions})
        if mine and mine != [version]:
            notes.append(f"{package} {', '.join(mine)} (usual here: {version})")
    if len(usual.sources[entry.result["strategy"]["name"]]) > 1:
        notes.append("source of the strategy differs between its runs")
    return notes


def _pairing(entry: _Entry, leader: _Entry) -> list[str]:
    common = entry.values(entry.metric).keys() & leader.values(leader.metric).keys()
    few = entry is not leader and len(common) < 2
    name = leader.result["strategy"]["name"]
    return [f"not tested against {name}: {len(common)} seeds in common"] if few else []


def _row(entry: _Entry, rank: int | None, board: int, notes: Sequence[str]) -> dict[str, Any]:
    result = entry.result
    strategy, stream = result["strategy"], result["stream"]
    measured = [record["measurement"] for record in entry.records]
    interval = confidence_interval(list(entry.values(entry.metric).values())) or (None, None)
    peaks = [m["memory"]["peak_device"] or m["memory"]["peak_rss"] for m in measured]
    return {
        "rank": rank,
        "strategy": strategy["name"],
        "strategy_version": strategy["version"],
        "preset": strategy["preset"],
        "config_hash": entry.config_hash,
        "access": strategy["access"],
        "rule": entry.rule,
        "metric": entry.metric,
        "n_seeds": len(entry.records),
        "seeds": " ".join(_seed_text(record) for record in entry.records),
        "mean": entry.score,
        "ci_low": interval[0],
        "ci_high": interval[1],
        **{name: entry.mean(name) for name in SECONDARY},
        "train_seconds": _average([m["seconds"]["train"] for m in measured], 1.0),
        "tflops": _average([m["flops"]["uncached"] for m in measured], 1e12),
        "peak_mb": max((peak / 1e6 for peak in peaks if peak is not None), default=None),
        "stream": f"{stream['name']}@{stream['version']}",
        "stream_id": " ".join(sorted({record["result"]["stream"]["id"] for record in entry.records})),
        "backbone": result["backbone"]["name"],
        "backbone_sha256": _weights(result["backbone"]),
        "board": board,
        "note": "; ".join(notes),
        "setting": stream["setting"],
    }


def _average(values: Iterable[float | None], unit: float) -> float | None:
    known = [value / unit for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _entries(records: Sequence[Record], metric: str, rule: str | None) -> list[_Entry]:
    """Rows of one board, in no order; where a configuration ran twice with the same seeds the newest run counts."""
    offered = {name for record in records for name in record["result"]["accuracy"]}
    chosen = rule or default_rule(offered)
    groups: dict[Hashable, list[Record]] = defaultdict(list)
    for record in records:
        strategy = record["result"]["strategy"]
        groups[strategy["name"], strategy["preset"], _settings(record["result"])].append(record)
    entries = []
    for runs in groups.values():
        newest = {_pair_key(run): run for run in sorted(runs, key=lambda run: run["measurement"]["created"])}
        ordered = sorted(
            newest.values(), key=lambda run: [run["result"]["seeds"][k] for k in ("order", "init", "data")]
        )
        entries.append(_Entry(tuple(ordered), chosen, metric, len(runs) - len(newest)))
    return entries


def _sort_key(entry: _Entry) -> tuple[bool, float, str, str]:
    score = entry.score
    sign = -1.0 if METRICS[entry.metric].higher_is_better else 1.0
    name = entry.result["strategy"]["name"]
    return not entry.ranked, np.inf if score is None else sign * score, name, entry.config_hash


def leaderboard(records: Iterable[Record], *, metric: str = "A_last_sample", rule: str | None = None) -> pd.DataFrame:
    """Rank strategies, one board per stream definition and backbone; columns `COLUMNS`, metrics as fractions.

    Only complete, unlimited runs enter; one row per (strategy, preset, configuration). `rule` None takes on each board
    the first of `cl.results.matrix.RULES` that a run has. Raises `UsageError` for an unknown metric, and where no run
    can enter.
    """
    import pandas as pd

    if metric not in METRICS:
        raise UsageError(f"There is no metric {metric!r}; choose one of: {', '.join(METRICS)}.")
    given = list(records)
    if not given:
        raise UsageError("There are no records here; make one with clbench run, or name another folder with --results.")
    usable = [record for record in given if record["status"] == "complete" and not record["result"]["limited"]]
    if not usable:
        raise UsageError(
            f"None of the {len(given)} runs here is complete and unlimited; run the same command again to finish them, "
            "without --limit and --max-tasks."
        )
    boards: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in usable:
        boards[_board_key(record["result"])].append(record)
    rows = []
    for number, key in enumerate(sorted(boards), start=1):
        entries = sorted(_entries(boards[key], metric, rule), key=_sort_key)
        ranked = [entry for entry in entries if entry.ranked]
        ranks = _ranks(ranked)
        usual = _Usual.of(entries)
        for index, entry in enumerate(entries):
            notes = _differences(entry, usual)
            rank = ranks[index] if entry.ranked else None
            if rank is not None:
                above = ranks[index - 1] if rank == index + 1 and index else rank
                notes += _pairing(entry, ranked[above - 1])
            rows.append(_row(entry, rank, number, notes))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"rank": "Int64"})


def to_csv(board: pd.DataFrame, path: Path | str | None = None) -> str:
    """The leaderboard as CSV, columns `COLUMNS`, full precision; also written atomically to `path` if given."""
    text = board.to_csv(index=False, columns=list(COLUMNS), lineterminator="\n")
    if path is not None:
        write_text(Path(path), text)
    return text


def to_text(board: pd.DataFrame) -> str:
    """The leaderboard as text: one Markdown table per board, metrics in percent, notes as footnotes. Nothing is cut."""
    from rich.table import Table

    texts = []
    for _, rows in board.groupby("board", sort=True):
        notes = {note: number for number, note in enumerate(filter(None, dict.fromkeys(rows["note"])), start=1)}
        cells = [_cells(row, notes) for row in rows.to_dict("records")]
        table = Table()
        for name in cells[0]:
            left = name in ("strategy", "preset", "config")
            table.add_column(name, justify="left" if left else "right", no_wrap=True)
        for cell in cells:
            table.add_row(*cell.values())
        first = rows.iloc[0]
        setting = "" if first["setting"] == "class-incremental" else f", {first['setting']},"
        title = f"{first['stream']}{setting} on {first['backbone']}, rule {first['rule']}, ranked by {first['metric']}"
        texts.append(
            "".join([f"{title}\n{render(table)}", *(f"[{number}] {note}\n" for note, number in notes.items())])
        )
    return "\n".join(texts)


def _cells(row: Mapping[Hashable, Any], notes: Mapping[str, int]) -> dict[str, str]:
    """One row of the text table; fractions in percent."""
    interval = "" if _blank(row["ci_low"]) else f" [{percent(row['ci_low'])}, {percent(row['ci_high'])}]"
    # The metric that ranks is shown once, even where it is also a secondary one.
    others = {name: percent(row[name]) for name in shown(row["setting"]) if name != row["metric"]}
    return {
        "rank": "bound" if row["access"] == "past" else "-" if _blank(row["rank"]) else str(row["rank"]),
        "strategy": str(row["strategy"]),
        "preset": "" if _blank(row["preset"]) else str(row["preset"]),
        "config": str(row["config_hash"]),
        "seeds": str(row["n_seeds"]),
        str(row["metric"]): percent(row["mean"]) + interval,
        **others,
        "train s": "-" if _blank(row["train_seconds"]) else f"{row['train_seconds']:.1f}",
        "TFLOPs": "-" if _blank(row["tflops"]) else f"{row['tflops']:.4g}",
        "peak MB": "-" if _blank(row["peak_mb"]) else f"{row['peak_mb']:.0f}",
        "note": str(notes.get(row["note"], "")),
    }


def _blank(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
