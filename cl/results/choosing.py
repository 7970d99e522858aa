"""Which strategies fit what a user has, from declared facts, and how they compare, from records.

Facts (`cl.plan.families`, and `settings`, `rules` and `access` of the class) leave methods out. Records rank the rest,
as the leaderboard does among these alone: a row shares the first rank if the 95 % interval of the paired difference
from the best contains 0. Methods without records are not ranked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cl import registry
from cl.errors import ClbenchError, UsageError
from cl.plan.families import COMPUTE, GRADIENTS, Facts, facts
from cl.protocol import BLURRY, DOMAIN, ONLINE, TASK
from cl.results.leaderboard.entries import Run, weights_of
from cl.results.leaderboard.layout import title_of
from cl.results.leaderboard.ranking import Row, board_rows

ORACLE = "til_oracle"

_TRANSFORMERS = ("vit", "deit", "beit", "eva", "swin", "cait")


@dataclass(frozen=True)
class Answers:
    """What a user has; None where nothing was said.

    `setting`: of `cl.protocol.SETTINGS`; `memory`, `backbone`, `weights`, `compute`: of `MEMORY`, `NETWORKS`, `WEIGHTS`
    and `COMPUTE` in `cl.plan.families`; `told`: whether the task of a test image is known. Raises `UsageError` for
    answers that contradict.
    """

    setting: str | None = None
    memory: str | None = None
    backbone: str | None = None
    weights: str | None = None
    told: bool | None = None
    compute: str | None = None

    def __post_init__(self) -> None:
        if self.setting == TASK and self.told is False:
            raise UsageError(
                f"Streams of the setting {TASK} tell the task of a test image; leave --task-unknown out, or choose "
                "--setting class-incremental."
            )
        if self.backbone == "mlp" and self.weights == "pretrained":
            raise UsageError("There are no pretrained perceptrons; leave --weights out, or give --weights random.")

    @property
    def is_told(self) -> bool | None:
        """As `told`; streams of the setting task-incremental tell it."""
        return True if self.setting == TASK else self.told

    @property
    def random(self) -> bool | None:
        """Whether weights are random ones, as those of perceptrons are."""
        return self.weights == "random" if self.weights else True if self.backbone == "mlp" else None


@dataclass(frozen=True)
class Choice:
    """Methods that fit, ranked where a board has them; why the others do not fit; where the numbers come from.

    `ranked`: the best row of each method on the largest board that fits, with its `family`, `configurations` (rows of
    the method there), `best_on` and `boards` (on how many boards that fit it ties with the best, and is); `unranked`:
    names that fit and are not on it; `excluded`: names by reason; `undeclared`: names that fit as far as is known;
    `board`: title of the board, None without one; `boards`: how many fit; `runs`: records on them.
    """

    ranked: list[Row] = field(default_factory=list)
    unranked: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, list[str]] = field(default_factory=dict)
    undeclared: list[str] = field(default_factory=list)
    board: str | None = None
    boards: int = 0
    runs: int = 0

    @property
    def tied(self) -> list[Row]:
        """The best row, and those that cannot be told apart from it."""
        return [row for row in self.ranked if row["rank"] == 1]


def choose(answers: Answers, runs: Sequence[Run] = (), *, metric: str = "A_last_sample") -> Choice:
    """Strategies that fit the answers, ranked by the runs; raises `UsageError` for an unknown metric."""
    fitting: dict[str, str] = {}
    excluded: dict[str, list[str]] = {}
    undeclared = []
    for name in registry.strategies:
        try:
            known, method = facts(name), registry.strategies.declared(name, "settings", "rules", "access")
        except ClbenchError:
            excluded.setdefault("cannot be read: see clbench list strategies", []).append(name)
            continue
        reason = why_not(answers, known, method)
        if reason:
            excluded.setdefault(reason, []).append(name)
            continue
        fitting[name] = known.family
        undeclared += [name] if known.networks is None else []
    boards = _boards(answers, fitting, runs, metric)
    if not boards:
        return Choice([], fitting, excluded, undeclared)
    on = Counter(row["strategy"] for board in boards for row in _best_rows(board))
    first = Counter(row["strategy"] for board in boards for row in _best_rows(board) if row["rank"] == 1)
    rows = Counter(row["strategy"] for row in boards[0] if row["rank"] is not None)
    ranked = [
        {
            **row,
            "family": fitting[row["strategy"]],
            "configurations": rows[row["strategy"]],
            "best_on": first[row["strategy"]],
            "boards": on[row["strategy"]],
        }
        for row in _best_rows(boards[0])
    ]
    names = {row["strategy"] for row in ranked}
    unranked = {name: family for name, family in fitting.items() if name not in names}
    seen = sum(row["n_seeds"] for board in boards for row in board)
    return Choice(ranked, unranked, excluded, undeclared, title_of(boards[0][0]), len(boards), seen)


def why_not(answers: Answers, known: Facts, method: Any) -> str:
    """Why a method does not fit, for the first reason in the order below; "" if it fits as far as is known."""
    if method.access == "past":
        return "read all earlier data, so they are bounds"
    if answers.setting is not None and answers.setting not in method.settings:
        return f"do not support the setting {answers.setting}"
    if answers.is_told is False and answers.setting != DOMAIN and set(method.rules) == {ORACLE}:
        return "must be told the task of a test image"
    if answers.memory == "none" and known.keeps_images:
        return "keep training images by default"
    if answers.backbone is not None and known.networks is not None and answers.backbone not in known.networks:
        return f"do not fit a backbone of the kind {answers.backbone}"
    if answers.random and known.random is False:
        return "need pretrained weights"
    allowed = GRADIENTS[: len(GRADIENTS) if answers.compute is None else COMPUTE.index(answers.compute) + 1]
    if known.gradients is not None and known.gradients not in allowed:
        return f"train more of the backbone than '{answers.compute}'"
    return ""


def kind_of(backbone: Mapping[str, Any]) -> str:
    """The kind of a record's backbone, of `NETWORKS`, from its name."""
    name = str(backbone["name"]).lower()
    if name.startswith("open_clip"):
        return "clip"
    if name.startswith("mlp"):
        return "mlp"
    arch = name.partition("@")[0]
    return "vit" if any(word in arch for word in _TRANSFORMERS) else "cnn"


def _boards(answers: Answers, fitting: Mapping[str, str], runs: Sequence[Run], metric: str) -> list[list[Row]]:
    """Boards of runs that fit, on which two or more methods are ranked, the one with most methods first."""
    kept = [run for run in runs if run.summary.status == "complete" and _fits(answers, fitting, run)]
    if not kept:
        return []
    told = answers.is_told is True and answers.setting != DOMAIN
    if told and not any(run.rule_for(ORACLE) in run.summary.rules for run in kept):
        return []
    found: dict[int, list[Row]] = {}
    for row in board_rows(kept, metric=metric, rule=ORACLE if told else None):
        found.setdefault(row["board"], []).append(row)
    usable = [rows for rows in found.values() if len(_best_rows(rows)) > 1]
    return sorted(usable, key=lambda rows: (-len(_best_rows(rows)), -len(rows), rows[0]["board"]))


def _fits(answers: Answers, fitting: Mapping[str, str], run: Run) -> bool:
    """Whether a run was made with what the user has; its record is read last."""
    if not set(run.summary.shown["strategy"]) & set(fitting):
        return False
    if answers.setting is not None and not _is_setting(run.summary.shown["setting"][0], answers.setting):
        return False
    backbone = run.result["backbone"]
    if answers.backbone is not None and kind_of(backbone) != answers.backbone:
        return False
    if answers.random is not None and (weights_of(backbone) is None) != answers.random:
        return False
    return answers.memory != "none" or not run.record["measurement"]["stored"]["samples"]


def _is_setting(found: str, asked: str) -> bool:
    return asked in found if asked in (ONLINE, BLURRY) else found == asked


def _best_rows(board: Sequence[Row]) -> list[Row]:
    """The best ranked row of every method, in order."""
    best: dict[str, Row] = {}
    for row in board:
        if row["rank"] is not None:
            best.setdefault(row["strategy"], row)
    return list(best.values())
