"""Every metric under one name, with its formula and its source: pure functions of a matrix of counts.

Notation: R[t,i] is the accuracy on group i after step t, both counted from 1; T is the last step; n_i is the number of
test images of group i. In a class-incremental stream group i is learned at step i and the formulas are those of the
papers; elsewhere "i < T" reads "groups learned before step T", R[i,i] "the accuracy on group i at the step that learned
it", and a mean over tasks is a mean over such groups. Accuracies and metrics are fractions. What cannot be computed is
None: never 0, never NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.results.matrix import AccuracyMatrix, Floats, baseline_of, matrix_of

FEW_SHOT = "few-shot class-incremental"
"""The setting of streams whose classes after the first task have a few training images each."""


def _mean(values: Floats) -> float:
    """Mean; NaN (undefined) of nothing, and of anything undefined."""
    return float(np.mean(values)) if values.size else np.nan


def accuracy_by_task(matrix: AccuracyMatrix) -> Floats:
    """A_t, the mean of R[t,i] over groups learned by t and evaluated then, [T]; NaN for an empty row. GEM 2017."""
    mask = matrix.evaluated()
    number = mask.sum(axis=1)
    total = np.where(mask, matrix.accuracy, 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(matrix.steps, np.nan), where=number > 0)


def accuracy_by_sample(matrix: AccuracyMatrix) -> Floats:
    """A_t over the images of groups learned by t and evaluated then, [T]; NaN for an empty row. PyCIL, PILOT."""
    mask = matrix.evaluated()
    number = np.where(mask, matrix.count[None, :], 0).sum(axis=1)
    total = np.where(mask, matrix.correct, 0.0).sum(axis=1)
    return np.divide(total, number, out=np.full(matrix.steps, np.nan), where=number > 0)


def forgetting_per_group(matrix: AccuracyMatrix, *, include_last: bool = False) -> Floats:
    """f_i = max_l R[l,i] - R[T,i] over l < T (l <= T with `include_last`), [G]; Chaudhry et al. 2018.

    NaN for groups that are not old, and where a row since the group was learned is missing: the maximum of the rest
    would only be a bound.
    """
    values = np.full(len(matrix.count), np.nan)
    if matrix.steps == 0:
        return values
    rows = np.arange(matrix.steps)[:, None]
    # Before a group is learned it need not be evaluated; afterwards a missing entry leaves NaN, which max() passes on.
    absent = np.isnan(matrix.accuracy) & (rows < matrix.learned[None, :])
    table = np.where(absent, -np.inf, matrix.accuracy)
    old = np.flatnonzero(matrix.old)
    best = table[: matrix.steps if include_last else matrix.steps - 1, old]
    if old.size:
        values[old] = best.max(axis=0) - table[-1, old]
    return values


def _base(matrix: AccuracyMatrix) -> float:
    return _of_groups(matrix, matrix.learned == 0)


def _novel(matrix: AccuracyMatrix) -> float:
    return _of_groups(matrix, (matrix.learned > 0) & (matrix.learned < matrix.steps))


def _harmonic(matrix: AccuracyMatrix) -> float:
    base, novel = _base(matrix), _novel(matrix)
    return 2 * base * novel / (base + novel) if base + novel != 0 else 0.0  # NaN stays NaN


def _of_groups(matrix: AccuracyMatrix, chosen: NDArray[np.bool_]) -> float:
    """Accuracy over the images of some groups after the last step; NaN where one of them was not evaluated then."""
    if not matrix.steps or not matrix.count[chosen].any():
        return np.nan
    return float(matrix.correct[-1, chosen].sum() / matrix.count[chosen].sum())


def _drop(matrix: AccuracyMatrix) -> float:
    curve = accuracy_by_sample(matrix)
    return float(curve[0] - curve[-1]) if len(curve) > 1 else np.nan


def _last(curve: Floats) -> float:
    return float(curve[-1]) if curve.size else np.nan


def _pilot(matrix: AccuracyMatrix) -> float:
    return _mean(np.around(accuracy_by_sample(matrix) * 100, decimals=2)) / 100


def _chaudhry(matrix: AccuracyMatrix) -> float:
    return _mean(forgetting_per_group(matrix)[matrix.old])


def _max_all(matrix: AccuracyMatrix) -> float:
    return _mean(forgetting_per_group(matrix, include_last=True)[matrix.old])


def _bwt(matrix: AccuracyMatrix) -> float:
    old = np.flatnonzero(matrix.old)
    accuracy = matrix.accuracy
    return _mean(accuracy[-1, old] - accuracy[matrix.learned[old], old]) if old.size else np.nan


def _avalanche(matrix: AccuracyMatrix) -> float:
    return 0.0 - _bwt(matrix)  # not -x, which would write -0.0


def _stepwise(matrix: AccuracyMatrix) -> float:
    accuracy = matrix.accuracy
    drops = []
    for step in range(1, matrix.steps):
        before = (matrix.learned >= 0) & (matrix.learned < step)
        if before.any():
            drops.append(_mean(accuracy[step - 1, before] - accuracy[step, before]))
    return _mean(np.array(drops))


def _global_rf(matrix: AccuracyMatrix) -> float:
    accuracy = matrix.accuracy
    terms = []
    for step in range(1, matrix.steps):
        before = np.flatnonzero((matrix.learned >= 0) & (matrix.learned < step))
        if before.size:
            known = (matrix.learned >= 0) & (matrix.learned <= step)
            drop = accuracy[matrix.learned[before], before] - accuracy[step, before]
            terms.append(float(matrix.sizes[before] @ drop / matrix.sizes[known].sum()))
    return _mean(np.array(terms))


def _local_rf(matrix: AccuracyMatrix, local: AccuracyMatrix) -> float:
    return _bwt(local)


def _fwt(matrix: AccuracyMatrix, baseline: Floats) -> float:
    later = np.flatnonzero((matrix.learned >= 1) & (matrix.learned < matrix.steps))
    return _mean(matrix.accuracy[matrix.learned[later] - 1, later] - baseline[later]) if later.size else np.nan


def _intransigence(matrix: AccuracyMatrix, reference: Floats) -> float:
    groups, own = matrix.own()
    return _mean(reference[groups] - own)


def _intransigence_last(matrix: AccuracyMatrix, reference: Floats) -> float:
    groups, own = matrix.own()
    final = matrix.learned[groups] == matrix.steps - 1
    return _mean((reference[groups] - own)[final])


def _learning(matrix: AccuracyMatrix) -> float:
    return _mean(matrix.own()[1])


def _stability(matrix: AccuracyMatrix) -> float:
    return _mean(matrix.accuracy[-1, matrix.old]) if matrix.steps else np.nan


@dataclass(frozen=True)
class Metric:
    """One metric: `compute(matrix, **needs)` gives a fraction, NaN where it is undefined.

    `needs` names what it takes beside the matrix: "baseline" (accuracy per group of the untrained model), "reference"
    (per group, accuracy of a jointly trained model at the group's step) or "local" (the matrix of the task-incremental
    rule). Values lie between `lowest`, 0 for accuracies and -1 for differences of them, and 1. One with a `setting`
    stands in the records of streams of that setting alone.
    """

    id: str
    title: str
    formula: str
    source: str
    higher_is_better: bool
    compute: Callable[..., float]
    needs: tuple[str, ...] = ()
    lowest: float = 0.0
    setting: str = ""


_GEM = "Lopez-Paz & Ranzato 2017 (GEM)"
_RWALK = "Chaudhry et al. 2018 (RWalk)"
_ICARL = "Rebuffi et al. 2017 (iCaRL)"
_RF = "Smith et al. 2023 (rehearsal-free)"
_AT = "A_t = (1/t) sum_{i<=t} R[t,i]"
_AW = "A_t = sum_{i<=t} n_i R[t,i] / sum_{i<=t} n_i"
_TOPIC = "Tao et al. 2020 (TOPIC)"
_CEC = "Zhang et al. 2021 (CEC), performance dropping rate"
_ALICE = "Peng et al. 2022 (ALICE)"
_RTL = "R[l,i] - R[T,i]"

_ALL = (
    Metric(
        "A_last_task",
        "last accuracy, mean over tasks",
        f"A_T, {_AT}",
        f"{_GEM}; L2P, DualPrompt, HiDe, CODA-Prompt, RanPAC",
        True,
        lambda m: _last(accuracy_by_task(m)),
    ),
    Metric(
        "A_last_sample",
        "last accuracy, mean over images",
        f"A_T, {_AW}",
        "PyCIL, PILOT, SLCA, EASE, MOS",
        True,
        lambda m: _last(accuracy_by_sample(m)),
    ),
    Metric(
        "A_inc_task",
        "average incremental accuracy, mean over tasks",
        f"(1/T) sum_t A_t, {_AT}",
        f"{_ICARL}; HiDe, NoRGa (CAA)",
        True,
        lambda m: _mean(accuracy_by_task(m)),
    ),
    Metric(
        "A_inc_sample",
        "average incremental accuracy, mean over images",
        f"(1/T) sum_t A_t, {_AW}",
        f"{_ICARL}; SLCA, EASE, MOS",
        True,
        lambda m: _mean(accuracy_by_sample(m)),
    ),
    Metric(
        "A_inc_task_excl_first",
        "average incremental accuracy without the first step, mean over tasks",
        f"1/(T-1) sum_{{t>=2}} A_t, {_AT}",
        f"{_ICARL}, the original convention",
        True,
        lambda m: _mean(accuracy_by_task(m)[1:]),
    ),
    Metric(
        "A_inc_sample_excl_first",
        "average incremental accuracy without the first step, mean over images",
        f"1/(T-1) sum_{{t>=2}} A_t, {_AW}",
        f"{_ICARL}, the original convention",
        True,
        lambda m: _mean(accuracy_by_sample(m)[1:]),
    ),
    Metric(
        "A_inc_sample_pilot",
        "average incremental accuracy as PILOT prints it",
        f"(1/T) sum_t round(100 A_t, 2) / 100, {_AW}",
        "PILOT (np.around before averaging)",
        True,
        _pilot,
    ),
    Metric(
        "F_chaudhry",
        "forgetting, best step before the last",
        f"1/(T-1) sum_{{i<T}} max_{{l<T}} ({_RTL})",
        _RWALK,
        False,
        _chaudhry,
        lowest=-1.0,
    ),
    Metric(
        "F_max_all",
        "forgetting, best step including the last",
        f"1/(T-1) sum_{{i<T}} max_{{l<=T}} ({_RTL})",
        "L2P official, HiDe, NoRGa, LayerNorm tuning, PILOT, mammoth",
        False,
        _max_all,
    ),
    Metric(
        "F_avalanche",
        "forgetting, first minus last value",
        "1/(T-1) sum_{i<T} (R[i,i] - R[T,i]) = -BWT",
        "Avalanche",
        False,
        _avalanche,
        lowest=-1.0,
    ),
    Metric(
        "F_stepwise",
        "forgetting, mean drop from one step to the next",
        "1/(T-1) sum_{t>=2} 1/(t-1) sum_{i<t} (R[t-1,i] - R[t,i])",
        "GT-RIPL, Smith et al. 2023 (CODA-Prompt code)",
        False,
        _stepwise,
        lowest=-1.0,
    ),
    Metric(
        "F_global_rf",
        "global forgetting of the rehearsal-free paper",
        "1/(T-1) sum_{t>=2} sum_{i<t} (c_i / sum_{j<=t} c_j) (R[i,i] - R[t,i]), c_i = classes of task i",
        _RF,
        False,
        _global_rf,
        lowest=-1.0,
    ),
    Metric(
        "F_local_rf",
        "local forgetting of the rehearsal-free paper (negative where it forgets)",
        "1/(T-1) sum_{i<T} (L[T,i] - L[i,i]), L = matrix with the task given",
        f"{_RF}, sign as printed",
        True,
        _local_rf,
        ("local",),
        lowest=-1.0,
    ),
    Metric("BWT", "backward transfer", "1/(T-1) sum_{i<T} (R[T,i] - R[i,i])", _GEM, True, _bwt, lowest=-1.0),
    Metric(
        "FWT",
        "forward transfer",
        "1/(T-1) sum_{i>=2} (R[i-1,i] - r_i), r = untrained model",
        _GEM,
        True,
        _fwt,
        ("baseline",),
        lowest=-1.0,
    ),
    Metric("LA", "learning accuracy", "(1/T) sum_t R[t,t]", "Riemer et al. 2019 (MER)", True, _learning),
    Metric(
        "I_mean",
        "intransigence, mean over steps",
        "(1/T) sum_t (a_t - R[t,t]), a_t = joint model on task t",
        _RWALK,
        False,
        _intransigence,
        ("reference",),
        lowest=-1.0,
    ),
    Metric(
        "I_last",
        "intransigence at the last step",
        "a_T - R[T,T], a_T = joint model on task T",
        _RWALK,
        False,
        _intransigence_last,
        ("reference",),
        lowest=-1.0,
    ),
    Metric(
        "A_base",
        "few-shot streams: last accuracy on the classes of the first task",
        "R[T,1]",
        f"{_TOPIC}, the setting; {_ALICE}",
        True,
        _base,
        setting=FEW_SHOT,
    ),
    Metric(
        "A_novel",
        "few-shot streams: last accuracy on the classes of later tasks, mean over images",
        "sum_{i>1} n_i R[T,i] / sum_{i>1} n_i",
        f"{_TOPIC}, the setting; {_ALICE}",
        True,
        _novel,
        setting=FEW_SHOT,
    ),
    Metric(
        "A_harmonic",
        "few-shot streams: harmonic mean of A_base and A_novel",
        "2 A_base A_novel / (A_base + A_novel), 0 where both are 0",
        _ALICE,
        True,
        _harmonic,
        setting=FEW_SHOT,
    ),
    Metric(
        "PD",
        "few-shot streams: performance drop from the first to the last step",
        f"A_1 - A_T, {_AW}",
        _CEC,
        False,
        _drop,
        lowest=-1.0,
        setting=FEW_SHOT,
    ),
    Metric("plasticity", "plasticity", "(1/T) sum_t R[t,t] = LA", "convention; definitions vary", True, _learning),
    Metric("stability", "stability", "1/(T-1) sum_{i<T} R[T,i]", "convention; definitions vary", True, _stability),
)

METRICS: dict[str, Metric] = {metric.id: metric for metric in _ALL}
"""Every metric by id."""


FORGETTING = ("A_last_sample", "A_inc_sample", "F_chaudhry", "BWT")
"""What summaries and leaderboards show of a run."""

FEW_SHOT_SHOWN = ("A_last_sample", "A_inc_sample", "A_base", "A_novel", "A_harmonic", "PD")
"""The same on few-shot streams, where the base classes outweigh what forgetting would tell."""


def shown(setting: str) -> tuple[str, ...]:
    """The metrics that summaries and leaderboards show of a run on a stream of this setting."""
    return FEW_SHOT_SHOWN if setting == FEW_SHOT else FORGETTING


def _per_group(values: Sequence[float | None] | Floats | None, groups: int, name: str) -> Floats | None:
    if values is None:
        return None
    if len(values) != groups:
        raise ValueError(f"{name} needs {groups} entries, one per group; it has {len(values)}")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def compute_all(
    matrix: AccuracyMatrix,
    *,
    baseline: Sequence[float | None] | Floats | None = None,
    reference: Sequence[float | None] | Floats | None = None,
    local: AccuracyMatrix | None = None,
    setting: str = "",
) -> dict[str, float | None]:
    """Every metric of one matrix, as fractions; None where it is undefined or its extra input is missing.

    Metrics that belong to another `setting` are left out. baseline, reference: [G] fractions, None for an unknown
    entry; local: see `Metric`. Raises `ValueError` for wrong lengths.
    """
    groups = len(matrix.count)
    extra = {
        "baseline": _per_group(baseline, groups, "baseline"),
        "reference": _per_group(reference, groups, "reference"),
        "local": local,
    }
    values: dict[str, float | None] = {}
    for metric in METRICS.values():
        if metric.setting not in ("", setting):
            continue
        needed = {name: extra[name] for name in metric.needs}
        missing = any(value is None for value in needed.values())
        value = np.nan if missing else float(metric.compute(matrix, **needed))
        values[metric.id] = value if np.isfinite(value) else None
    return values


def metrics_of(result: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Metrics per rule on the test split of a record's result section: {rule: {metric id: fraction or None}}.

    "local" is the matrix of `til_masked`, else of `til_oracle`. Intransigence needs another run, so it is None here.
    """
    setting = result["stream"].get("setting", "")
    rules = list(result["accuracy"])
    given = next((rule for rule in ("til_masked", "til_oracle") if rule in rules), None)
    values = {}
    for rule in rules:
        local_rule = rule if rule.startswith("til_") else given
        local = None if local_rule is None else matrix_of(result, local_rule)
        baseline = baseline_of(result, rule)
        values[rule] = compute_all(matrix_of(result, rule), baseline=baseline, local=local, setting=setting)
    return values
