"""Shipped configurations of runs: our measurements, published values, and a verdict on a new run.

`reproduce.toml` holds the configurations, `expected.json` the values from the records of results/reference. The
expected interval is the 95 % prediction interval (Student's t) for the mean of the new runs. They have our seeds, so
only rounding differs. If our runs were repeated on other kernels (benchmarks/other-kernels), the interval comes from
the spread of these repetitions; else it comes from the spread over seeds, which is wide if the class order matters.
Loads without torch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from cl.errors import ContractError, UsageError, counted, did_you_mean
from cl.plan.run_options import RunOptions
from cl.protocol import default_rule
from cl.records.metrics import METRICS, metrics_of
from cl.records.record import Record, config_hash
from cl.results.leaderboard.published import Published, published
from cl.tables import read_toml, records

if TYPE_CHECKING:
    from cl.plan.plan import Plan

FILE = Path(__file__).with_name("reproduce.toml")
EXPECTED = Path(__file__).with_name("expected.json")
FLOOR = 0.005
"""Smallest half-width of an interval, half a point: rounding on another processor changes single images."""


@dataclass(frozen=True)
class Configuration:
    """The options of `clbench run`, the seeds, and the metric that is compared."""

    name: str
    about: str
    strategy: str
    stream: str
    seeds: tuple[int, ...]
    backbone: str | None = None
    preset: str | None = None
    precision: str = RunOptions.precision
    options: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "A_last_sample"
    benchmark: str = ""
    needs: str = ""

    @property
    def command(self) -> str:
        """The command of the same run without the comparison."""
        words = ["clbench run", f"-s {self.strategy}", f"--stream {self.stream}"]
        words += [f"--backbone {self.backbone}"] if self.backbone else []
        words += [f"--preset {self.preset}"] if self.preset else []
        words += [f"--set {key}={value}" for key, value in self.options.items()]
        words += [f"--precision {self.precision}"] if self.precision != RunOptions.precision else []
        return " ".join([*words, f"--seed {','.join(map(str, self.seeds))}"])

    def plans(self, seeds: Sequence[int] = (), **how: Any) -> list[Plan]:
        """A plan per seed; `how` are arguments of `make_plan` that do not change the numbers (results, device, ...)."""
        from cl.plan.plan import make_plan

        if os.environ.get("CLBENCH_SET", "").strip():
            raise UsageError("CLBENCH_SET would change the configuration that is reproduced; unset it.")
        return [
            make_plan(
                self.strategy, self.stream, self.backbone, seed=seed, preset=self.preset, precision=self.precision,
                options=self.options, origin=f"configuration {self.name}", **how,
            )
            for seed in seeds or self.seeds
        ]  # fmt: skip

    def reported(self) -> list[Published]:
        """The published rows that the configuration reproduces."""
        return [
            row
            for row in published()
            if (row.strategy, row.benchmark.id) == (self.strategy, self.benchmark)
            and self.backbone in row.weights.names
            and row.preset in ("", self.preset or "default")
            and all(self.options.get(key) == value for key, value in row.options.items())
            and not row.unlike
        ]


@dataclass(frozen=True)
class Expected:
    """Our own measurement of a configuration: the metric per seed as fractions, and the hardware.

    `repeats`: per seed, the values of the same runs with other processor instructions or numbers of threads.
    """

    config_hash: str
    rule: str
    values: Mapping[int, float]
    hardware: str
    source_sha256: tuple[str, ...]
    repeats: Mapping[int, Sequence[float]] = field(default_factory=dict)

    def mean(self, seeds: Iterable[int] = ()) -> float:
        """Our mean over the given seeds that we have, or over all our seeds."""
        return fmean([self.values[seed] for seed in seeds if seed in self.values] or self.values.values())

    @property
    def noise(self) -> tuple[float, int] | None:
        """Standard deviation within a seed, pooled over seeds, and its degrees of freedom."""
        groups = [[self.values[seed], *found] for seed, found in self.repeats.items() if seed in self.values]
        freedom = sum(len(group) - 1 for group in groups)
        squares = sum((value - fmean(group)) ** 2 for group in groups for value in group)
        return (math.sqrt(squares / freedom), freedom) if freedom else None

    def interval(self, seeds: Collection[int]) -> tuple[float, float] | None:
        """The expected interval of the mean over these seeds, as fractions; None if we have a single run."""
        from scipy import stats

        if self.noise and all(seed in self.values for seed in seeds):
            deviation, freedom = self.noise
            centre, scale = self.mean(seeds), math.sqrt(2 / len(seeds))
        elif len(self.values) > 1:
            deviation, freedom = stdev(self.values.values()), len(self.values) - 1
            centre, scale = self.mean(), math.sqrt(1 / len(self.values) + 1 / len(seeds))
        else:
            return None
        half = max(FLOOR, float(stats.t.ppf(0.975, freedom)) * deviation * scale)
        return max(0.0, centre - half), min(1.0, centre + half)

    def source(self, seeds: Collection[int]) -> str:
        """The origin of the interval for these seeds, in words."""
        if self.noise and all(seed in self.values for seed in seeds):
            return f"{counted(sum(map(len, self.repeats.values())), 'repetition')} with the same seeds"
        return f"{len(self.values)} seeds"


@dataclass(frozen=True)
class Verdict:
    """Measured values per seed with the expected interval; `inside` is None if there is no expectation."""

    configuration: Configuration
    rule: str
    values: Mapping[int, float]
    expected: Expected | None

    @property
    def mean(self) -> float:
        return fmean(self.values.values())

    @property
    def interval(self) -> tuple[float, float] | None:
        return self.expected.interval(self.values) if self.expected else None

    @property
    def inside(self) -> bool | None:
        interval = self.interval
        return None if interval is None else interval[0] <= self.mean <= interval[1]

    @property
    def drift(self) -> float | None:
        """The largest difference from our value at the same seed, 0 if the bits repeat; None without a common seed."""
        ours = self.expected.values if self.expected else {}
        return max((abs(value - ours[seed]) for seed, value in self.values.items() if seed in ours), default=None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        wanted, interval = self.configuration, self.interval
        rows = [(row, row.values[wanted.metric]) for row in wanted.reported() if wanted.metric in row.values]
        return {
            "name": wanted.name,
            "metric": wanted.metric,
            "rule": self.rule,
            "measured": {"mean": self.mean, "seeds": {str(seed): value for seed, value in self.values.items()}},
            "expected": self.expected
            and {
                "mean": self.expected.mean(self.values),
                "low": interval and interval[0],
                "high": interval and interval[1],
                "seeds": {str(seed): value for seed, value in self.expected.values.items()},
                "from": self.expected.source(self.values),
                "hardware": self.expected.hardware,
                "same_seed_difference": self.drift,
            },
            "reported": [
                {"mean": n.mean, "std": n.std, "delta": self.mean - n.mean, "source": row.source, "tag": row.tag}
                for row, n in rows
            ],
            "verdict": {None: "no expected interval", True: "inside", False: "outside"}[self.inside],
        }


@lru_cache(maxsize=1)
def configurations() -> dict[str, Configuration]:
    """All shipped configurations by name, in file order; raises an error with the place of a mistake."""
    found = records(Configuration, read_toml(FILE), FILE.name, "name")
    for configuration in found.values():
        if configuration.metric not in METRICS:
            raise ContractError(f"{FILE.name}, {configuration.name}: there is no metric {configuration.metric}.")
    return found


def find(name: str) -> Configuration:
    """The configuration of that name; raises `UsageError` for an unknown one."""
    known = configurations()
    if name not in known:
        raise UsageError(
            f"There is no configuration '{name}'; clbench reproduce --list shows them.{did_you_mean(name, list(known))}"
        )
    return known[name]


@lru_cache(maxsize=1)
def expectations() -> dict[str, Expected]:
    """Our measurements by configuration, from expected.json."""
    content = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return {
        name: Expected(
            each["config_hash"], each["rule"], {int(seed): value for seed, value in each["values"].items()},
            each["hardware"], tuple(each["source_sha256"]),
            {int(seed): values for seed, values in each.get("repeats", {}).items()},
        )
        for name, each in content.items()
    }  # fmt: skip


def judge(configuration: Configuration, records: Iterable[Mapping[str, Any]]) -> Verdict:
    """Compare complete records of a configuration with its expectation."""
    found = {record["result"]["seeds"]["order"]: record["result"] for record in records}
    expected = expectations().get(configuration.name)
    rule = default_rule(next(iter(found.values()))["accuracy"])
    values = {seed: metrics_of(result)[rule][configuration.metric] for seed, result in found.items()}
    undefined = [seed for seed, value in values.items() if value is None]
    if undefined:
        raise ContractError(f"{configuration.name}: {configuration.metric} is undefined for seed {undefined[0]}.")
    return Verdict(configuration, rule, {seed: float(value or 0.0) for seed, value in values.items()}, expected)


def measure(records: Sequence[Record], repeated: Sequence[Record] = ()) -> dict[str, dict[str, Any]]:
    """The content of expected.json: the values of every configuration that the complete records contain.

    `repeated`: the same runs on other kernels.
    """
    found = {}
    for name, configuration in configurations().items():
        digest = configuration.plans()[0].config_hash
        runs = sorted((record for record in records if _is(record, configuration, digest)), key=_seed)
        if not runs:
            continue
        verdict = judge(configuration, runs)
        found[name] = {
            "config_hash": digest,
            "rule": verdict.rule,
            "values": {str(seed): value for seed, value in verdict.values.items()},
            "hardware": "; ".join(sorted({hardware(record) for record in runs})),
            "source_sha256": sorted({record["result"]["strategy"]["source_sha256"] for record in runs}),
        }
        repeats: dict[str, list[float]] = {}
        for record in repeated:
            if _is(record, configuration, digest):
                repeats.setdefault(str(_seed(record)), []).extend(judge(configuration, [record]).values.values())
        found[name] |= (
            {"repeats": {seed: sorted(values) for seed, values in sorted(repeats.items())}} if repeats else {}
        )
    return found


def _is(record: Record, configuration: Configuration, digest: str) -> bool:
    seeds = record["result"]["seeds"]
    return bool(
        record["status"] == "complete"
        and record["result"]["strategy"]["name"] == configuration.strategy
        and config_hash(record) == digest
        and set(seeds.values()) == {seeds["order"]}
        and seeds["order"] in configuration.seeds
    )


def _seed(record: Record) -> int:
    return int(record["result"]["seeds"]["order"])


def hardware(record: Record) -> str:
    """Processor with its threads or accelerator, precision and the version of PyTorch, in words."""
    about = record["measurement"]["environment"]
    name, threads = about.get("device", "an unknown device"), about.get("threads")
    if name == "cpu":
        name = str(about.get("processor") or "an unknown processor")
        name += f", {threads} thread{'s' if threads != 1 else ''}" if threads else ""
    torch = about.get("packages", {}).get("torch", "of an unknown version")
    return f"{name}, {record['result']['precision']['dtype']}, PyTorch {torch}"
