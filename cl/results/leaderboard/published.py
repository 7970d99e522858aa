"""What others published: numbers with their protocol and how they were read, and whether a run may stand beside them.

`published.toml` holds them and says what each of its keys means. Nothing in it is from memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cl.errors import ContractError
from cl.files import toml_load
from cl.records.matrix import main_split
from cl.records.metrics import METRICS

FILE = Path(__file__).with_name("published.toml")
TAGS = {
    "read": "read in the paper, or in a log or file of the authors' repository",
    "secondary": "read in somebody else's text",
}
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(?: ± (\d+(?:\.\d+)?))?")
_TABLE = {"source", "tag", "weights", "rule", "preset", "unlike", "rows"}
_ROW = {"strategy", "on", "weights", "rule", "preset", "settings", "unlike", "note"}
_FULL = ("train_per_class", "test_per_class")
"""Options of a stream that leave images out."""


@dataclass(frozen=True)
class Number:
    """A published mean and its standard deviation, both as fractions; `text` as it was printed, in percent."""

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
    """The stream of a published number: names that may hold it; classes of the first and of later tasks, if known."""

    id: str
    text: str
    streams: tuple[str, ...]
    sizes: tuple[int, int] | None = None
    shots: int | None = None

    def holds(self, stream: Mapping[str, Any]) -> bool:
        """Whether a record's stream has these tasks."""
        if stream["name"] not in self.streams or stream["options"].get("shots") != self.shots:
            return False
        if self.sizes is None:
            return True
        first, *later = [len(group["classes"]) for group in stream["groups"]]
        *middle, last = later or [0]
        return first == self.sizes[0] and {*middle} <= {self.sizes[1]} and last <= self.sizes[1]


@dataclass(frozen=True)
class Weights:
    """A backbone as the source calls it, and its names here."""

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """One published row.

    `values` are by metric id, whose `_task` and `_sample` say how tasks were averaged; `rule` is the prediction rule;
    `preset` and `settings` are what repeats the row here (a preset of "" stands for any); `unlike` says why nothing
    here has its protocol. `why_not` is the result of a comparison with a run, and empty where the run may stand beside
    the number.
    """

    strategy: str
    benchmark: Benchmark
    weights: Weights
    rule: str
    values: Mapping[str, Number]
    source: str
    tag: str
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    unlike: str = ""
    note: str = ""
    why_not: str = "not compared with a run"

    @property
    def matches(self) -> bool:
        """Whether weights and protocol are those of the run it was compared with."""
        return not self.why_not

    def number(self, result: Mapping[str, Any], metric: str) -> Number | None:
        """The row's value of a metric.

        Means over tasks and over images are the same number where all groups have equally many test images.
        """
        stem, _, average = metric.rpartition("_")
        twin = {"task": f"{stem}_sample", "sample": f"{stem}_task"}.get(average)
        names = [metric, twin] if twin and len(set(result["count"])) == 1 else [metric]
        return next((self.values[name] for name in names if name in self.values), None)

    @property
    def variant(self) -> str:
        """Preset, settings and note in words."""
        words = [f"preset {self.preset}"] if self.preset not in ("", "default") else []
        words += [f"{key}={value}" for key, value in self.settings.items()]
        return ", ".join([*words, *([self.note] if self.note else [])])


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All rows of the file, in its order; raises `ContractError` naming what is wrong in it."""
    content = toml_load(FILE)
    benchmarks = {
        name: Benchmark(
            name, each["text"], tuple(each["streams"]),
            (each["sizes"][0], each["sizes"][1]) if "sizes" in each else None, each.get("shots"),
        )
        for name, each in content["benchmarks"].items()
    }  # fmt: skip
    weights = {name: Weights(each["text"], tuple(each["names"])) for name, each in content["weights"].items()}
    return tuple(row for table in content["table"] for row in _rows(table, benchmarks, weights))


def absent() -> Mapping[str, str]:
    """Strategies of which no published number was read, and why."""
    return dict(toml_load(FILE)["absent"])


def published_for(result: Mapping[str, Any]) -> list[Published]:
    """The published rows of a record's strategy on its stream, each with `matches` and `why_not`; best fit first."""
    name, stream = result["strategy"]["name"], result["stream"]["name"]
    rows = [row for row in published() if row.strategy == name and stream in row.benchmark.streams]
    compared = [replace(row, why_not="; ".join(_reasons(row, result))) for row in rows]
    return sorted(compared, key=lambda row: row.why_not.count(";") + bool(row.why_not))


def _reasons(row: Published, result: Mapping[str, Any]) -> Iterator[str]:
    """Why a run may not stand beside a published number."""
    if row.unlike:
        yield row.unlike
    if result["limited"]:
        yield "this run is limited"
    if not row.benchmark.holds(result["stream"]):
        yield f"published for {row.benchmark.text}"
    if any(result["stream"]["options"].get(key) is not None for key in _FULL):
        yield "this run has a part of the images"
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
    for key, value in row.settings.items():
        if key not in config or config[key]["value"] != value:
            yield f"published with {key}={value}"
    by_hand = sorted(key for key, entry in config.items() if _by_hand(key, entry) and key not in row.settings)
    if by_hand:
        yield f"set by hand here: {', '.join(by_hand)}"
    if row.rule not in result["accuracy"]:
        yield f"published by the rule {row.rule}"


def _by_hand(key: str, entry: Mapping[str, Any]) -> bool:
    """Whether an option of the method or the backbone comes from no default, preset or shipped configuration."""
    shipped = ("default", "preset", "strategy", "configuration")
    return not key.startswith("stream.") and entry["origin"].partition(" ")[0] not in shipped


def _rows(
    table: Mapping[str, Any], benchmarks: Mapping[str, Benchmark], weights: Mapping[str, Weights]
) -> Iterator[Published]:
    source = table["source"]
    if table["tag"] not in TAGS or set(table) - _TABLE:
        raise ContractError(f"{FILE.name}, {source}: an unknown tag or key among {', '.join(sorted(table))}.")
    for row in table["rows"]:
        unknown = set(row) - _ROW - set(METRICS)
        if unknown:
            raise ContractError(f"{FILE.name}, {source}: '{min(unknown)}' is neither a key of a row nor a metric.")
        given = {**{key: value for key, value in table.items() if key in _ROW}, **row}
        if given["on"] not in benchmarks or given.get("weights") not in weights:
            raise ContractError(f"{FILE.name}, {source}: {row} names an unknown benchmark or unknown weights.")
        yield Published(
            strategy=given["strategy"],
            benchmark=benchmarks[given["on"]],
            weights=weights[given["weights"]],
            rule=given.get("rule", "cil_seen"),
            values={key: Number.parse(value) for key, value in row.items() if key in METRICS},
            source=source,
            tag=table["tag"],
            preset=given.get("preset", "default"),
            settings=given.get("settings", {}),
            unlike=given.get("unlike", ""),
            note=given.get("note", ""),
        )
