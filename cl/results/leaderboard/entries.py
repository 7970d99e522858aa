"""Which runs form a row of a leaderboard, and which rows form a board.

A board holds one stream definition (name, version, setting, options, images) and one backbone. The class order, which a
seed draws, is part of `stream.id` and not of the board; comparisons pair runs with the same seeds and `stream.id`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cl.errors import UsageError
from cl.protocol import ANYTIME, answering, belongs
from cl.records.flops import COUNTED_BY, counted_by
from cl.records.metric import STORED
from cl.records.metrics import METRICS, metrics_of_rule
from cl.records.record import Record, config_hash, precision_of
from cl.results.leaderboard.image_shares import PREDICTIONS, answers, damage_of

_PACKAGES = ("python", "torch", "timm", "numpy", "clbench", "avalanche-lib")


class Summary(NamedTuple):
    """What decides on which boards a run is: kept in an index, so that not every record has to be read.

    `board`: the key of its boards; `rules`: its own prediction rules; `shown`: by column of a filter, the texts that a
    pattern may match; `content`: SHA-256 of the file of the record, None for a record in memory.
    """

    status: str
    run_id: str
    result_sha256: str
    config_hash: str
    board: tuple[str, ...]
    rules: tuple[str, ...]
    shown: Mapping[str, Sequence[str]]
    content: str | None = None

    @classmethod
    def of(cls, record: Record, content: str | None = None) -> Summary:
        result = record["result"]
        strategy, stream = result["strategy"], result["stream"]
        shown = {
            "strategy": (strategy["name"],),
            "stream": (stream["name"], f"{stream['name']}@{stream['version']}"),
            "backbone": (result["backbone"]["name"],),
            "preset": (strategy["preset"] or "",),
            "options": (options_text(result),),
            "config_hash": (config_hash(record),),
            "setting": (stream["setting"],),
            "precision": (str(precision_of(result)),),
        }
        named = (record["status"], record["run_id"], record["result_sha256"], config_hash(record))
        return cls(*named, board_key(result), tuple(result["accuracy"]), shown, content)


@dataclass(frozen=True)
class Run:
    """A record, and the folder of its predictions, None if they are not available."""

    record: Record
    folder: Path | None = None
    known: Summary | None = field(default=None, compare=False, repr=False)

    @cached_property
    def summary(self) -> Summary:
        """What decides on which boards it is: `known`, or found in the record."""
        return self.known or Summary.of(self.record)

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = self.record["result"]
        return result

    @property
    def has_predictions(self) -> bool:
        return self.folder is not None and (self.folder / PREDICTIONS).is_file()

    @property
    def has_damaged_predictions(self) -> bool:
        """Whether its predictions were read and found damaged or of another run, so that they count as missing."""
        return damage_of(self.result, self.folder) is not None

    def rule_for(self, rule: str) -> str:
        """The run's own rule that answers `rule`; see `cl.protocol.answering`."""
        return answering(self.summary.rules, rule)

    def metrics(self, rule: str, names: Sequence[str] | None = None) -> dict[str, float | None]:
        """Metrics under one of its own rules, with its predictions if a metric needs them and they are sound."""
        needed = {need for name in names or METRICS for need in METRICS[name].needs}
        stored = answers(self.result, self.folder, rule) if needed & STORED else None
        return metrics_of_rule(self.result, rule, names, predictions=stored)

    @cached_property
    def key(self) -> Hashable:
        """The key that paired runs share: the class order and all seeds."""
        seeds = self.result["seeds"]
        return self.result["stream"]["id"], seeds["order"], seeds["init"], seeds["data"]

    @property
    def seeds(self) -> str:
        """One number if all seeds are equal, else order/init/data."""
        seeds = [str(self.result["seeds"][name]) for name in ("order", "init", "data")]
        return seeds[0] if len(set(seeds)) == 1 else "/".join(seeds)


def text_of(value: Any) -> str:
    """A value as a hashable key."""
    return json.dumps(value, sort_keys=True)


def weights_of(backbone: Mapping[str, Any]) -> str | None:
    """Hash of the weights; None for random weights, which the run's seed draws."""
    weights = backbone["weights_sha256"]
    return None if weights is None or weights.startswith("random-") else str(weights)


BOARD = (
    *("stream", "version of the stream", "setting", "options of the stream", "tasks", "classes", "images"),
    *("classes per task", "backbone", "weights"),
)
"""Names of the parts of a `board_key`."""


def board_key(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Stream definition and backbone: runs with equal keys may be compared."""
    stream, backbone = result["stream"], result["backbone"]
    keys = ("version", "setting", "options", "n_tasks", "n_classes", "fingerprints")
    parts = {"name": stream.get("family", stream["name"]), **{key: stream[key] for key in keys}}
    parts["sizes"] = [len(group["classes"]) for group in stream["groups"]]
    if belongs(ANYTIME, stream["setting"]):  # their number depends on the seed: chunks, and classes assigned at random
        parts["n_tasks"] = parts["sizes"] = None
    return (*map(text_of, parts.values()), backbone["name"], weights_of(backbone) or "random")


def row_key(result: Mapping[str, Any]) -> Hashable:
    """The key that runs of one row share: method, version, precision, probe, values of options except seeds."""
    method = (result["strategy"][key] for key in ("name", "version", "preset"))
    values = {key: entry["value"] for key, entry in result["config"].items() if "seed" not in key.rpartition(".")[2]}
    cut = (result["limited"], len(result["rows"]))
    return *method, precision_of(result), cut, result.get("probe", {}).get("dataset"), text_of(values)


def options_text(result: Mapping[str, Any], *, stream: bool = False) -> str:
    """Options set by neither a default nor a preset, without the stream's: `loss=bce reg=5`.

    With `stream`, the stream's alone, without its seeds: `tasks=20`.
    """
    words = []
    for key, entry in result["config"].items():
        value, given = entry["value"], not entry["origin"].startswith(("default", "preset", "strategy"))
        if given and value is not None and key.startswith("stream.") == stream and not (stream and "seed" in key):
            words.append(f"{key.removeprefix('stream.')}={value_text(value)}")
    return " ".join(words)


def value_text(value: Any) -> str:
    """An option's value as in tables: `0.001`, `bce`, `true`."""
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else text_of(value)


@dataclass(frozen=True)
class Entry:
    """One row: the runs of one configuration of one strategy, one per choice of seeds, in order."""

    runs: tuple[Run, ...]
    rule: str
    metric: str
    secondary: tuple[str, ...] = ()
    replaced: int = 0
    outdated: bool = False

    @property
    def result(self) -> dict[str, Any]:
        return self.runs[0].result

    @property
    def name(self) -> str:
        return str(self.result["strategy"]["name"])

    @property
    def label(self) -> str:
        """The strategy and the options that differ from its preset."""
        return f"{self.name} {options_text(self.result)}".rstrip()

    @cached_property
    def config_hash(self) -> str:
        return " ".join(sorted({config_hash(run.record) for run in self.runs}))

    @cached_property
    def metrics(self) -> list[dict[str, float | None]]:
        wanted = tuple(dict.fromkeys((self.metric, *self.secondary)))
        own = self.runs[0].rule_for(self.rule)
        return [run.metrics(own, wanted) if own in run.result["accuracy"] else {} for run in self.runs]

    def values(self, metric: str) -> dict[Hashable, float]:
        """Defined values by `Run.key`."""
        pairs = zip(self.runs, self.metrics, strict=True)
        found = {run.key: values.get(metric) for run, values in pairs}
        return {key: value for key, value in found.items() if value is not None}

    def mean(self, metric: str) -> float | None:
        values = list(self.values(metric).values())
        return float(np.mean(values)) if values else None

    @cached_property
    def score(self) -> float | None:
        return self.mean(self.metric)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """The reasons that keep the row out of the ranking."""
        strategy = self.result["strategy"]
        found = ["bound"] if strategy["access"] == "past" else []
        found += strategy.get("marks", ())
        found += ["limited"] if self.result["limited"] else []
        return (*found, "other-version") if self.outdated else tuple(found)

    @property
    def ranked(self) -> bool:
        return self.score is not None and not self.marks


def entries_of(runs: Iterable[Run], rule: str, metric: str, secondary: tuple[str, ...] = ()) -> list[Entry]:
    """Rows of one board, unordered; of runs with the same configuration and seeds the newest counts."""
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        groups[row_key(run.result)].append(run)
    newest: dict[str, _Version] = {}
    for found in groups.values():
        strategy = found[0].result["strategy"]
        version = _version(strategy["version"])
        newest[strategy["name"]] = max(version, newest.get(strategy["name"], version))
    return [_entry(found, rule, metric, secondary, newest) for found in groups.values()]


_Version = tuple[tuple[int, str], ...]


def _version(text: str) -> _Version:
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in text.split("."))


def _entry(
    runs: Sequence[Run], rule: str, metric: str, secondary: tuple[str, ...], newest: Mapping[str, _Version]
) -> Entry:
    by_age = sorted(runs, key=lambda run: str(run.record["measurement"]["created"]))
    latest = {run.key: run for run in by_age}
    ordered = sorted(latest.values(), key=lambda run: [run.result["seeds"][name] for name in ("order", "init", "data")])
    strategy = runs[0].result["strategy"]
    outdated = _version(strategy["version"]) != newest[strategy["name"]]
    return Entry(tuple(ordered), rule, metric, secondary, len(runs) - len(latest), outdated)


def packages_of(record: Record) -> dict[str, str]:
    """Versions of the packages that affect comparisons."""
    environment = record["measurement"]["environment"]
    packages = environment.get("packages")
    chosen = packages if isinstance(packages, dict) else environment
    return {name: str(chosen[name]) for name in _PACKAGES if name in chosen}


def environment_text(record: Record) -> str:
    """What times of a record were measured with: versions of clbench and torch, device, threads, precision."""
    environment, packages = record["measurement"]["environment"], packages_of(record)
    versions = [f"{name} {packages[name]}" for name in ("clbench", "torch") if name in packages]
    device = str(environment.get("device") or "unknown device")
    if device == "cpu":
        processor, threads = environment.get("processor"), environment.get("threads")
        device = str(processor or "unknown processor")
        device += f" ({threads} thread{'' if threads == 1 else 's'})" if threads else ""
    return ", ".join([*versions, device, str(precision_of(record["result"]))])


@dataclass(frozen=True)
class Usual:
    """Common values of a board's runs: package versions and FLOP counting rules; all source hashes per strategy."""

    versions: Mapping[str, str]
    counted_by: str
    sources: Mapping[str, set[str | None]]

    @classmethod
    def of(cls, board: Iterable[Entry]) -> Usual:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        rules: Counter[str] = Counter()
        sources: dict[str, set[str | None]] = defaultdict(set)
        for entry in board:
            for run in entry.runs:
                sources[entry.name].add(run.result["strategy"]["source_sha256"])
                rules[counted_by(run.record)] += 1
                for package, version in packages_of(run.record).items():
                    counts[package][version] += 1
        versions = {package: min(count, key=lambda v: (-count[v], v)) for package, count in counts.items()}
        return cls(versions, min(rules, key=lambda rule: (-rules[rule], rule != COUNTED_BY, rule)), sources)


def distinct(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Every run once, and the copies of runs that are in several folders; copies with predictions are preferred."""
    kept: dict[Hashable, Run] = {}
    copies = []
    for run in runs:
        key = run.record["run_id"], run.record["result_sha256"]
        other = kept.setdefault(key, run)
        if other is not run and run.has_predictions and not other.has_predictions:
            kept[key], run = run, other
        if kept[key] is not run:
            copies.append(run)
    return list(kept.values()), copies


def complete(runs: Sequence[Run]) -> list[Run]:
    """The complete runs; raises `UsageError` if there is none."""
    if not runs:
        raise UsageError("There are no records here; make one with clbench run, or name another folder with --results.")
    found = [run for run in runs if run.record["status"] == "complete"]
    if not found:
        raise UsageError(
            f"None of the {len(runs)} runs here is complete; run the same command again, or clbench resume, to finish."
        )
    return found
