"""Published numbers with their protocol and source, and whether a run may be compared with them.

`published.toml` holds the numbers and explains its keys. No number is from memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cl.errors import ContractError
from cl.records.matrix import main_split
from cl.records.metrics import METRICS
from cl.tables import read_record, record, records, refuse_unknown

FILE = Path(__file__).with_name("published.toml")
TAGS = {
    "read": "read in the paper, or in a log or file of the authors' repository",
    "secondary": "read in a text by others",
}
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(?: ± (\d+(?:\.\d+)?))?")
_FULL = ("train_per_class", "test_per_class")
"""Options of a stream that leave images out."""


@dataclass(frozen=True)
class Number:
    """A published mean and its standard deviation, as fractions; `text` as printed, in percent."""

    mean: float
    std: float | None
    text: str

    @classmethod
    def parse(cls, text: str) -> Number:
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise ContractError(f"{FILE.name}: '{text}' is no number of the form '91.53' or '91.53 ± 0.28'.")
        mean, std = match.groups()
        return cls(round(float(mean) / 100, 8), round(float(std) / 100, 8) if std else None, text)


@dataclass(frozen=True)
class Benchmark:
    """The stream of a published number: names of streams that match; classes of the first and later tasks, if known."""

    id: str
    text: str
    streams: tuple[str, ...]
    sizes: tuple[int, int] | None = None
    shots: int | None = None

    def holds(self, stream: Mapping[str, Any]) -> bool:
        """Whether a record's stream matches."""
        if stream["name"] not in self.streams or stream["options"].get("shots") != self.shots:
            return False
        if self.sizes is None:
            return True
        first, *later = [len(group["classes"]) for group in stream["groups"]]
        *middle, last = later or [0]
        return first == self.sizes[0] and {*middle} <= {self.sizes[1]} and last <= self.sizes[1]


@dataclass(frozen=True)
class Weights:
    """A backbone as its source calls it, and its names in clbench."""

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """One published row.

    `values` are by metric id, whose `_task` or `_sample` says how tasks were averaged; `rule` is the prediction rule;
    `preset` and `options` repeat the row in clbench (preset "": any); `unlike` says why clbench has no run with its
    protocol. `why_not` is the result of a comparison with a run, empty if they are comparable.
    """

    strategy: str
    benchmark: Benchmark
    weights: Weights
    rule: str
    values: Mapping[str, Number]
    source: str
    tag: str
    preset: str = "default"
    options: Mapping[str, Any] = field(default_factory=dict)
    unlike: str = ""
    note: str = ""
    why_not: str = "not compared with a run"

    @property
    def matches(self) -> bool:
        """Whether weights and protocol match the run of the comparison."""
        return not self.why_not

    def number(self, result: Mapping[str, Any], metric: str) -> Number | None:
        """The row's value of a metric.

        Means over tasks and over images are equal if all groups have equally many test images.
        """
        stem, _, average = metric.rpartition("_")
        twin = {"task": f"{stem}_sample", "sample": f"{stem}_task"}.get(average)
        names = [metric, twin] if twin and len(set(result["count"])) == 1 else [metric]
        return next((self.values[name] for name in names if name in self.values), None)

    @property
    def variant(self) -> str:
        """Preset, options and note in words."""
        words = [f"preset {self.preset}"] if self.preset not in ("", "default") else []
        words += [f"{key}={value}" for key, value in self.options.items()]
        return ", ".join([*words, *([self.note] if self.note else [])])


@dataclass(frozen=True)
class _Row:
    """One row of a source, without its values; None: as its source says."""

    strategy: str
    on: str
    weights: str | None = None
    rule: str | None = None
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    unlike: str | None = None
    note: str = ""


@dataclass(frozen=True)
class _Source:
    """One source: where its numbers were read, defaults of its rows, and the rows with their values."""

    source: str
    tag: str
    rows: tuple[Mapping[str, Any], ...]
    weights: str = ""
    rule: str = "cil_seen"
    preset: str = "default"
    unlike: str = ""


@dataclass(frozen=True)
class _File:
    """The file of published numbers."""

    benchmarks: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, Weights]
    absent: Mapping[str, str] = field(default_factory=dict)
    table: tuple[_Source, ...] = ()


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All rows of the file, in order; raises `UsageError` or `ContractError` with the place of a mistake."""
    file = read_record(FILE, _File)
    benchmarks = records(Benchmark, file.benchmarks, FILE.name, "id")
    return tuple(row for source in file.table for row in _rows(source, benchmarks, file.weights))


def absent() -> Mapping[str, str]:
    """Strategies without a published number, and why."""
    return read_record(FILE, _File).absent


def published_for(result: Mapping[str, Any]) -> list[Published]:
    """The published rows of a record's strategy on its stream, each with `matches` and `why_not`; best fit first."""
    name, stream = result["strategy"]["name"], result["stream"]["name"]
    rows = [row for row in published() if row.strategy == name and stream in row.benchmark.streams]
    compared = [replace(row, why_not="; ".join(_reasons(row, result))) for row in rows]
    return sorted(compared, key=lambda row: row.why_not.count(";") + bool(row.why_not))


def _reasons(row: Published, result: Mapping[str, Any]) -> Iterator[str]:
    """The reasons why a run is not comparable with a published number."""
    if row.unlike:
        yield row.unlike
    if result["limited"]:
        yield "this run is limited"
    if result.get("continues"):
        yield "this run continues another"
    if not row.benchmark.holds(result["stream"]):
        yield f"published for {row.benchmark.text}"
    if any(result["stream"]["options"].get(key) is not None for key in _FULL):
        yield "this run has only part of the images"
    if main_split(result) != "test":
        yield "this run was not evaluated on the test images"
    if result["stream"]["options"].get("split") == "seeded":
        yield "this run splits the images as no paper does"
    if result["backbone"]["name"] not in row.weights.names:
        yield f"published with {row.weights.text}"
    preset = result["strategy"]["preset"]
    if row.preset and row.preset != preset:
        yield "this run has no preset" if preset is None else f"published with preset {row.preset}"
    config = result["config"]
    for key, value in row.options.items():
        if key not in config or config[key]["value"] != value:
            yield f"published with {key}={value}"
    by_hand = sorted(key for key, entry in config.items() if _by_hand(key, entry) and key not in row.options)
    if by_hand:
        yield f"set by hand here: {', '.join(by_hand)}"
    if row.rule not in result["accuracy"]:
        yield f"published under rule {row.rule}"


def _by_hand(key: str, entry: Mapping[str, Any]) -> bool:
    """Whether an option of the method or the backbone comes from no default, preset or shipped configuration."""
    shipped = ("default", "preset", "strategy", "configuration")
    return not key.startswith("stream.") and entry["origin"].partition(" ")[0] not in shipped


def _rows(source: _Source, benchmarks: Mapping[str, Benchmark], weights: Mapping[str, Weights]) -> Iterator[Published]:
    place = f"{FILE.name}, {source.source}"
    if source.tag not in TAGS:
        raise ContractError(f"{place}: tag must be one of {', '.join(TAGS)}, not '{source.tag}'.")
    for number, table in enumerate(source.rows, 1):
        refuse_unknown(table, [*(each.name for each in fields(_Row)), *METRICS], f"{place}, row {number}")
        row = record(_Row, {key: v for key, v in table.items() if key not in METRICS}, f"{place}, row {number}")
        trained = source.weights if row.weights is None else row.weights
        if row.on not in benchmarks or trained not in weights:
            raise ContractError(f"{place}, row {number} names an unknown benchmark or unknown weights.")
        yield Published(
            strategy=row.strategy,
            benchmark=benchmarks[row.on],
            weights=weights[trained],
            rule=source.rule if row.rule is None else row.rule,
            values={key: Number.parse(value) for key, value in table.items() if key in METRICS},
            source=source.source,
            tag=source.tag,
            preset=source.preset if row.preset is None else row.preset,
            options=row.options,
            unlike=source.unlike if row.unlike is None else row.unlike,
            note=row.note,
        )
