"""The runs that decide a part of a claim, and the values of a quantity in them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cl.errors import UsageError
from cl.protocol import RULES, default_rule
from cl.records.metrics import METRICS
from cl.records.record import config_hash
from cl.records.stored import growth
from cl.results.claims.declared import Attempt, Board, Claims, Part, Row
from cl.results.leaderboard.differences import Difference, Resamples, difference, interval_of
from cl.results.leaderboard.entries import BOARD, Entry, Run, board_key, distinct


@dataclass(frozen=True)
class Side:
    """One row on one board: the runs that are there, by seed, and the seeds that are not."""

    row: Row
    board: Board
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> list[int]:
        return [seed_of(run) for run in self.runs]

    @property
    def missing(self) -> list[int]:
        """Seeds to run. A row of earlier options is as complete as it was then."""
        return [] if self.row.config else [seed for seed in self.board.seeds if seed not in self.seeds]

    @property
    def codes(self) -> set[Any]:
        """Versions and hashes of the strategy's code in its runs."""
        methods = [run.result["strategy"] for run in self.runs]
        return {(method["version"], method["source_sha256"]) for method in methods}

    @property
    def wanted(self) -> int:
        return len(self.runs) + len(self.missing)


def seed_of(run: Run) -> int:
    return int(run.result["seeds"]["order"])


class Evidence:
    """The complete runs of some records, found by strategy, config hash and seed."""

    def __init__(self, claims: Claims, runs: Iterable[Run]) -> None:
        self.claims = claims
        self._hashes: dict[tuple[str, str], str] = {}
        self._runs: dict[tuple[str, str], dict[int, Run]] = {}
        complete = [run for run in distinct(runs)[0] if run.record["status"] == "complete"]
        for run in sorted(complete, key=lambda run: str(run.record["measurement"]["created"])):
            seeds = run.result["seeds"]
            if len(set(seeds.values())) == 1:
                key = (str(run.result["strategy"]["name"]), config_hash(run.record))
                self._runs.setdefault(key, {})[seed_of(run)] = run

    def side(self, row: str, board: str) -> Side:
        """A row on a board; of two runs with the same seed the newer counts."""
        known_row, known_board = self.claims.rows[row], self.claims.boards[board]
        found = self._runs.get((known_row.strategy, self._hash(row, board)), {})
        return Side(known_row, known_board, tuple(found[seed] for seed in known_board.seeds if seed in found))

    def _hash(self, row: str, board: str) -> str:
        if (row, board) not in self._hashes:
            claims = self.claims
            self._hashes[row, board] = claims.config_hash(claims.rows[row], claims.boards[board])
        return self._hashes[row, board]

    def sides(self, part: Part) -> list[Side]:
        """Every row of a part once: one of two compared answers has no runs of its own."""
        return [self.side(row, board) for row, board in dict.fromkeys(part.sides)]

    def rule(self, part: Part) -> str:
        """The prediction rule of a part, else the strictest that all runs of all its rows answer.

        Empty for a part without a metric. Raises `UsageError` if the rows have no rule in common.
        """
        if part.quantity not in METRICS and part.with_quantity not in METRICS:
            return ""
        common = set(RULES if part.rule is None else [part.rule])
        for side in self.sides(part):
            for run in side.runs:
                answers = run.result["accuracy"]
                common = {
                    rule for rule in common
                    if all(run.rule_for(each) in answers for each in rules_of(part, side, rule))
                }  # fmt: skip
        if not common:
            raise UsageError(
                f"claims: part '{part.name}': its rows share no prediction rule; give them a rule in common."
            )
        return part.rule or default_rule(common)

    def of_attempt(self, attempt: Attempt) -> list[Side]:
        """Every row of an attempt once."""
        pairs = dict.fromkeys(pair for part in attempt.part for pair in part.sides)
        return [self.side(row, board) for row, board in pairs]


def rules_of(part: Part, side: Side, rule: str) -> set[str]:
    """The prediction rules by which a part reads a side; two if it compares two answers of one row."""
    second = (part.second_rule or rule) if side.row.name == part.second else rule
    return {second, rule} if side.row.name == part.first else {second}


def unlike(sides: Iterable[Side]) -> str:
    """In what two runs of one board and seed differ, so that they are no pair; empty if all are alike.

    Networks that rows name themselves differ on purpose.
    """
    known: dict[tuple[str, int], tuple[Row, Run]] = {}
    for side in sides:
        for run in side.runs:
            row, first = known.setdefault((side.board.name, seed_of(run)), (side.row, run))
            meant = ("backbone", "weights") if row.backbone != side.row.backbone else ()
            keys = zip(BOARD, board_key(first.result), board_key(run.result), strict=True)
            parts = [what for what, one, two in keys if one != two and what not in meant]
            if not parts and first.result["stream"]["id"] != run.result["stream"]["id"]:
                parts = ["class order"]
            if parts:
                names = f"{row.name} and {side.row.name}"
                return f"the runs of {names} differ in their {', '.join(parts)}; run one of them again"
    return ""


def paired(first: Side, second: Side, quantity: str, rule: str, second_rule: str | None = None) -> Difference | None:
    """The paired difference of a metric, first minus second; None if the sides share no seed or no value.

    `second_rule`: the prediction rule of the second side, if it is another one.
    """
    if not first.runs or not second.runs:
        return None
    if first.board.name != second.board.name:
        return _across(first, second, quantity, (rule, second_rule or rule))
    one, two = entry_of(first, rule, quantity), entry_of(second, second_rule or rule, quantity)
    found = difference(one, two, Resamples([one, two]))
    return found if found.keys else None


def _across(first: Side, second: Side, quantity: str, rules: tuple[str, str]) -> Difference | None:
    """The difference of rows on two streams, paired by seed alone: their tasks differ, so images are not paired."""
    mine, theirs = values_of(first, quantity, rules[0]), values_of(second, quantity, rules[1])
    values: dict[Hashable, float] = {seed: mine[seed] - theirs[seed] for seed in mine if seed in theirs}
    if not values:
        return None
    interval, drawn = interval_of(values, {})
    return Difference(tuple(values), tuple(values.values()), interval, drawn)


def entry_of(side: Side, rule: str, metric: str) -> Entry:
    """All runs of a side as one row: their config hash is the same, whatever their presets are called."""
    return Entry(side.runs, rule, metric)


def values_of(side: Side, quantity: str, rule: str) -> dict[int, float]:
    """The defined values of a quantity by seed: a metric, a cost, or a number that the strategy reports."""
    if quantity in METRICS and side.runs:
        entry = entry_of(side, rule, quantity)
        defined = entry.values(quantity)
        return {seed_of(run): defined[run.key] for run in entry.runs if run.key in defined}
    measured = {seed_of(run): _measured(run.record, quantity) for run in side.runs}
    return {seed: value for seed, value in measured.items() if value is not None}


def _measured(record: Mapping[str, Any], quantity: str) -> float | None:
    measurement = record["measurement"]
    if quantity == "trained-parameters":
        return _number(measurement["parameters"]["trainable"])
    if quantity == "tflops":
        value = _number(measurement["flops"]["uncached"])
        return None if value is None else value / 1e12
    if quantity == "stored":
        sizes = [_number(size) for size in measurement["stored"].values()]
        return None if None in sizes else sum(size for size in sizes if size is not None)
    if quantity == "stored-growth":
        return growth(record)
    return _number(measurement.get("report", {}).get(quantity.removeprefix("report.")))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
