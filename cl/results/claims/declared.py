"""The declaration of claims: a TOML file as dataclasses, and the plan of every row that a claim needs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl.errors import UsageError, did_you_mean
from cl.plan.run_options import RunOptions
from cl.protocol import RULES, split_rule
from cl.records.metrics import METRICS
from cl.tables import read_toml, record, records, refuse_unknown

if TYPE_CHECKING:
    from cl.plan.plan import Plan

FILE = Path(__file__).with_name("claims.toml")

KINDS = ("greater", "not-worse", "equal", "best-of", "gap", "correlation", "exact", "steady")
COSTS = {
    "trained-parameters": "parameters that are trained",
    "tflops": "TFLOP of the whole run, as if nothing were memoised",
    "stored": "bytes kept between tasks, after the last one",
    "stored-growth": "bytes kept after the last task as a multiple of those after the first",
}
"""Quantities of a record that are not metrics; `report.NAME` is a number that the strategy reports itself."""

RELATIONS = ("equals", "below", "above")


@dataclass(frozen=True)
class Board:
    """A stream, a backbone and seeds on which rows are compared; `results` is the folder of its records."""

    name: str
    about: str
    stream: str
    seeds: tuple[int, ...]
    results: str
    backbone: str | None = None
    precision: str = RunOptions.precision
    options: Mapping[str, Any] = field(default_factory=dict)
    probe: str = ""
    """Dataset of the probe of every run, measured after the last task only; empty: none."""
    minutes: float = 5.0
    """CPU-minutes of a typical run, from the records of this board."""


@dataclass(frozen=True)
class Row:
    """One configuration of a strategy.

    `config` pins the config hash of a row that was measured under earlier defaults or presets; its command would give
    other options today. `minutes`: CPU-minutes of a run, if unlike those of its board. `backbone`: the network, if
    unlike that of its board: rows that differ in it on purpose.
    """

    name: str
    strategy: str
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    minutes: float = 0.0
    backbone: str | None = None

    def words(self) -> str:
        """The row in words: `finetune --preset small lr=0.003`."""
        preset = f" --preset {self.preset}" if self.preset else ""
        preset += f" on {self.backbone}" if self.backbone else ""
        return f"{self.strategy}{preset}" + "".join(f" {key}={value}" for key, value in self.options.items())


@dataclass(frozen=True)
class Part:
    """One comparison. A claim holds if all of its parts hold.

    kind: `greater` (by `size` points where one is claimed), `not-worse` (than by `margin` points), `equal` (within
    `tolerance` points), `gap` (the gain over `second` is at least the share `value` of what the bound, the one row in
    `rows`, gains over it), `best-of` (greater than each of `others`, Holm over the comparisons), `correlation` (of
    `quantity` with `with_quantity`, or with the `published` values, over `rows`, by ranks within every seed), `exact`
    (`quantity` of `first` `relation` `value`, or `factor` times that of `second`; `value` is in the unit of the
    quantity, a fraction for an accuracy), `steady` (the largest and the smallest value over seeds differ by at most
    `tolerance` points). `needs` says what is
    not at hand; such a part has no rows to run.
    """

    name: str
    kind: str
    board: str
    first: str = ""
    second: str = ""
    others: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    second_board: str = ""
    quantity: str = "A_last_sample"
    with_quantity: str = ""
    published: tuple[float, ...] = ()
    rule: str | None = None
    second_rule: str | None = None
    """The prediction rule of `second` if it is not `rule`: two answers of one row can be compared."""
    size: float = 0.0
    margin: float = 0.0
    tolerance: float = 0.0
    relation: str = "equals"
    value: float | None = None
    factor: float = 1.0
    needs: str = ""
    command: str = ""
    """The command that would decide a part whose `needs` is not empty."""

    @property
    def sides(self) -> tuple[tuple[str, str], ...]:
        """Every (row, board) of the comparison; none if the part needs what is not at hand."""
        if self.needs:
            return ()
        rows = dict.fromkeys([self.first, *self.others, *self.rows])
        found = [(row, self.board) for row in rows if row]
        if self.second:
            found.append((self.second, self.second_board or self.board))
        return tuple(found)


@dataclass(frozen=True)
class Attempt:
    """One declared way to decide a claim; kept with its verdict when another attempt follows.

    declared: the day (ISO 8601) on which kinds, rows and sizes were committed. budget: training and CPU-minutes, the
    same for all rows. trials: values of options that each side tried on training images.
    """

    declared: str
    budget: str
    trials: str
    part: tuple[Part, ...]
    why: str = ""
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, its source, and the attempts to decide it, oldest first.

    unlike: how the boards differ from those of the paper.
    """

    id: str
    paper: str
    claim: str
    source: str
    unlike: str
    attempt: tuple[Attempt, ...]


@dataclass(frozen=True)
class Claims:
    """A file of claims: boards and rows by name, and the claims."""

    boards: Mapping[str, Board]
    rows: Mapping[str, Row]
    claims: tuple[Claim, ...]

    def plan(self, row: Row, board: Board, seed: int, **how: Any) -> Plan:
        """The plan of one run of a row; `how` are arguments of `make_plan` that do not change the numbers."""
        from cl.plan.plan import make_plan

        return make_plan(
            row.strategy, board.stream, row.backbone or board.backbone, preset=row.preset, precision=board.precision,
            seed=seed, options={**board.options, **row.options}, origin="claims", probe=board.probe or None,
            probe_last=bool(board.probe), **how,
        )  # fmt: skip

    def config_hash(self, row: Row, board: Board) -> str:
        """The config hash that the runs of a row have on a board; raises `UsageError` with both for a wrong option."""
        try:
            return row.config or self.plan(row, board, board.seeds[0]).config_hash
        except UsageError as error:
            raise UsageError(f"claims: row '{row.name}' on board '{board.name}': {error}") from error

    def placed(self, folders: Sequence[Path]) -> Claims:
        """The same claims, whose commands write into `folders`, those that records are read from.

        A board's `results` is a path from the folder that holds the whole of them, which need not be the current one:
        of `/elsewhere/results/reference`, the board of `results/reference/wsn` is `/elsewhere/results/reference/wsn`.
        A folder that is no part of such a path takes the runs of all boards.
        """
        boards = {name: replace(each, results=_placed(each.results, folders)) for name, each in self.boards.items()}
        return replace(self, boards=boards)

    def command(self, row: Row, board: Board, seeds: Sequence[int]) -> str:
        """The command that runs a row for some seeds."""
        words = ["clbench", "run", "-s", row.strategy, "--stream", board.stream]
        backbone = row.backbone or board.backbone
        words += ["--backbone", backbone] if backbone else []
        words += ["--preset", row.preset] if row.preset else []
        for key, value in {**board.options, **row.options}.items():
            words += ["--set", f"{key}={_value(value)}"]
        words += ["--probe", board.probe, "--probe-last"] if board.probe else []
        words += ["--precision", board.precision] if board.precision != RunOptions.precision else []
        words += ["--threads", "1", "--seed", ",".join(map(str, seeds)), "--results", board.results]
        return shlex.join(words)


def _placed(results: str, folders: Sequence[Path]) -> str:
    wanted = Path(results).parts
    for length in range(len(wanted), 0, -1):
        for folder in folders:
            if folder.resolve().parts[-length:] == wanted[:length]:
                return str(folder.joinpath(*wanted[length:]))
    return str(folders[0])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


@lru_cache(maxsize=4)
def read_claims(file: Path = FILE) -> Claims:
    """Read and check a file of claims.

    Raises `UsageError` with the place of a mistake: an unknown kind, row, board or quantity, or a missing side.
    """
    table = read_toml(file)
    refuse_unknown(table, ("board", "row", "claim"), str(file))
    boards = records(Board, table.get("board", {}), f"{file}, board", "name")
    rows = records(Row, table.get("row", {}), f"{file}, row", "name")
    listed = [
        record(Claim, each, f"{file}, claim {each.get('id', number)}")
        for number, each in enumerate(table.get("claim", []), 1)
    ]
    claims = Claims(boards, rows, tuple(listed))
    for board in boards.values():
        if not board.seeds or len(set(board.seeds)) < len(board.seeds):
            raise UsageError(f"{file}, board, {board.name}: seeds must name at least one seed, and each only once.")
    for claim in claims.claims:
        _check_claim(claim, claims, f"{file}, claim {claim.id}")
    return claims


def _check_claim(claim: Claim, claims: Claims, place: str) -> None:
    if sum(claim.id == other.id for other in claims.claims) > 1:
        raise UsageError(f"{place}: two claims have this id; give each its own.")
    if not claim.attempt or not all(attempt.part for attempt in claim.attempt):
        raise UsageError(f"{place}: it needs an attempt, and each attempt a part.")
    for attempt in claim.attempt:
        try:
            date.fromisoformat(attempt.declared)
        except ValueError as error:
            raise UsageError(
                f"{place}: declared must be a day such as 2026-01-31, not '{attempt.declared}'."
            ) from error
        for part in attempt.part:
            _check(part, claims, f"{place}, part '{part.name}'")


_USES = {
    "greater": ("first", "second", "second_board", "second_rule", "size"),
    "not-worse": ("first", "second", "second_board", "second_rule", "margin"),
    "equal": ("first", "second", "second_board", "second_rule", "tolerance"),
    "best-of": ("first", "others"),
    "gap": ("first", "second", "rows", "value"),
    "correlation": ("rows", "with_quantity", "published", "relation"),
    "exact": ("first", "second", "second_board", "relation", "value", "factor"),
    "steady": ("first", "tolerance"),
}
"""Keys of a part that its kind reads, in addition to those that all kinds read."""

_EVERY = ("name", "kind", "board", "quantity", "rule", "needs", "command")


def _check_keys(part: Part, claims: Claims, place: str) -> None:
    """Refuse what a kind would ignore, and values that no verdict can come from."""
    for key in fields(Part):
        if key.name not in (*_EVERY, *_USES[part.kind]) and getattr(part, key.name) != key.default:
            raise UsageError(f"{place}: a part of kind '{part.kind}' does not read '{key.name}'; leave it out.")
    if min(part.size, part.margin, part.tolerance) < 0 or part.factor <= 0:
        raise UsageError(f"{place}: size, margin and tolerance are 0 or more, and factor is above 0.")
    for rule in filter(None, (part.rule, part.second_rule)):
        _known(split_rule(rule)[0], RULES, f"{place}: rule")
    if part.second_rule and part.rule in (None, part.second_rule):
        raise UsageError(f"{place}: second_rule is for another answer than that of `rule`; give both, and unlike.")
    if part.kind not in ("exact", "correlation") and part.quantity not in METRICS:
        raise UsageError(f"{place}: '{part.quantity}' is no metric; compare it by kind 'exact' or 'correlation'.")
    named = sum(map(bool, (part.first, part.second, *part.others, *part.rows)))
    if part.sides and len(set(part.sides)) < named and not part.second_rule:
        raise UsageError(f"{place}: it compares a row with itself on one board; name another row or `second_board`.")
    if len({claims.boards[board].seeds for _, board in part.sides}) > 1:
        raise UsageError(f"{place}: its two boards have other seeds, so no runs can be paired; give them the same.")


def _check(part: Part, claims: Claims, place: str) -> None:
    _known(part.kind, KINDS, f"{place}: kind")
    for quantity in filter(None, (part.quantity, part.with_quantity)):
        if not quantity.startswith("report."):
            _known(quantity, [*METRICS, *COSTS], f"{place}: quantity")
    for row, board in part.sides:
        _known(row, list(claims.rows), f"{place}: row")
        _known(board, list(claims.boards), f"{place}: board")
    wanted = {
        "best-of": bool(part.first and part.others),
        "gap": bool(part.first and part.second and part.value) and len(part.rows) == 1,
        "correlation": len(part.rows) > 3 and bool(part.with_quantity) != (len(part.published) == len(part.rows)),
        "exact": bool(part.first) and bool(part.second) != (part.value is not None),
        "steady": bool(part.first and part.tolerance),
    }.get(part.kind, bool(part.first and part.second))
    if not wanted and not part.needs:
        raise UsageError(f"{place}: a part of kind '{part.kind}' lacks a row or a value that it compares.")
    _known(part.relation, RELATIONS, f"{place}: relation")
    _check_keys(part, claims, place)


def _known(value: str, known: Sequence[str], place: str) -> None:
    if value not in known:
        hint = did_you_mean(value, list(known)) or f" Known: {', '.join(known)}."
        raise UsageError(f"{place} '{value}' is unknown.{hint}")
