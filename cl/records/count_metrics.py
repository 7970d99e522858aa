"""The metrics that need nothing but counts of correct answers; see `cl.records.metrics` for the notation."""

from __future__ import annotations

from cl.protocol import ANYTIME, FEW_SHOT, TASK
from cl.records import formulas
from cl.records.metric import Metric

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

COUNT_METRICS = (
    Metric(
        "A_last_task",
        "last accuracy, mean over tasks",
        f"A_T, {_AT}",
        f"{_GEM}; L2P, DualPrompt, HiDe, CODA-Prompt, RanPAC",
        True,
        lambda m: formulas.last(formulas.accuracy_by_task(m)),
    ),
    Metric(
        "A_last_sample",
        "last accuracy, mean over images",
        f"A_T, {_AW}",
        "PyCIL, PILOT, SLCA, EASE, MOS",
        True,
        lambda m: formulas.last(formulas.accuracy_by_sample(m)),
    ),
    Metric(
        "A_inc_task",
        "average incremental accuracy, mean over tasks",
        f"(1/T) sum_t A_t, {_AT}",
        f"{_ICARL}; HiDe, NoRGa (CAA)",
        True,
        lambda m: formulas.mean(formulas.accuracy_by_task(m)),
    ),
    Metric(
        "A_inc_sample",
        "average incremental accuracy, mean over images",
        f"(1/T) sum_t A_t, {_AW}",
        f"{_ICARL}; SLCA, EASE, MOS",
        True,
        lambda m: formulas.mean(formulas.accuracy_by_sample(m)),
    ),
    Metric(
        "A_inc_task_excl_first",
        "average incremental accuracy without the first step, mean over tasks",
        f"1/(T-1) sum_{{t>=2}} A_t, {_AT}",
        f"{_ICARL}, the original convention",
        True,
        lambda m: formulas.mean(formulas.accuracy_by_task(m)[1:]),
    ),
    Metric(
        "A_inc_sample_excl_first",
        "average incremental accuracy without the first step, mean over images",
        f"1/(T-1) sum_{{t>=2}} A_t, {_AW}",
        f"{_ICARL}, the original convention",
        True,
        lambda m: formulas.mean(formulas.accuracy_by_sample(m)[1:]),
    ),
    Metric(
        "A_inc_sample_pilot",
        "average incremental accuracy as PILOT prints it",
        f"(1/T) sum_t round(100 A_t, 2) / 100, {_AW}",
        "PILOT (np.around before averaging)",
        True,
        formulas.pilot,
    ),
    Metric(
        "F_chaudhry",
        "forgetting, best step before the last",
        f"1/(T-1) sum_{{i<T}} max_{{l<T}} ({_RTL})",
        _RWALK,
        False,
        formulas.chaudhry,
        lowest=-1.0,
    ),
    Metric(
        "F_max_all",
        "forgetting, best step including the last",
        f"1/(T-1) sum_{{i<T}} max_{{l<=T}} ({_RTL})",
        "L2P official, HiDe, NoRGa, LayerNorm tuning, PILOT, mammoth",
        False,
        formulas.max_all,
    ),
    Metric(
        "F_avalanche",
        "forgetting, first minus last value",
        "1/(T-1) sum_{i<T} (R[i,i] - R[T,i]) = -BWT",
        "Avalanche",
        False,
        formulas.avalanche,
        lowest=-1.0,
    ),
    Metric(
        "F_stepwise",
        "forgetting, mean drop from one step to the next",
        "1/(T-1) sum_{t>=2} 1/(t-1) sum_{i<t} (R[t-1,i] - R[t,i])",
        "GT-RIPL, Smith et al. 2023 (CODA-Prompt code)",
        False,
        formulas.stepwise,
        lowest=-1.0,
    ),
    Metric(
        "F_global_rf",
        "global forgetting of the rehearsal-free paper",
        "1/(T-1) sum_{t>=2} sum_{i<t} (c_i / sum_{j<=t} c_j) (R[i,i] - R[t,i]), c_i = classes of task i",
        _RF,
        False,
        formulas.global_rf,
        lowest=-1.0,
    ),
    Metric(
        "F_local_rf",
        "local forgetting of the rehearsal-free paper (negative where it forgets)",
        "1/(T-1) sum_{i<T} (L[T,i] - L[i,i]), L = matrix with the task given",
        f"{_RF}, sign as printed",
        True,
        formulas.local_rf,
        ("local",),
        lowest=-1.0,
    ),
    Metric("BWT", "backward transfer", "1/(T-1) sum_{i<T} (R[T,i] - R[i,i])", _GEM, True, formulas.bwt, lowest=-1.0),
    Metric(
        "FWT",
        "forward transfer",
        "1/(T-1) sum_{i>=2} (R[i-1,i] - r_i), r = untrained model",
        _GEM,
        True,
        formulas.fwt,
        ("baseline",),
        lowest=-1.0,
    ),
    Metric("LA", "learning accuracy", "(1/T) sum_t R[t,t]", "Riemer et al. 2019 (MER)", True, formulas.learning),
    Metric(
        "I_mean",
        "intransigence, mean over steps",
        "(1/T) sum_t (a_t - R[t,t]), a_t = joint model on task t",
        _RWALK,
        False,
        formulas.intransigence,
        ("reference",),
        lowest=-1.0,
    ),
    Metric(
        "I_last",
        "intransigence at the last step",
        "a_T - R[T,T], a_T = joint model on task T",
        _RWALK,
        False,
        formulas.intransigence_last,
        ("reference",),
        lowest=-1.0,
    ),
    Metric(
        "A_base",
        "few-shot streams: last accuracy on the classes of the first task",
        "R[T,1]",
        f"{_TOPIC}, the setting; {_ALICE}",
        True,
        formulas.base,
        setting=FEW_SHOT,
    ),
    Metric(
        "A_novel",
        "few-shot streams: last accuracy on the classes of later tasks, mean over images",
        "sum_{i>1} n_i R[T,i] / sum_{i>1} n_i",
        f"{_TOPIC}, the setting; {_ALICE}",
        True,
        formulas.novel,
        setting=FEW_SHOT,
    ),
    Metric(
        "A_harmonic",
        "few-shot streams: harmonic mean of A_base and A_novel",
        "2 A_base A_novel / (A_base + A_novel), 0 where both are 0",
        _ALICE,
        True,
        formulas.harmonic,
        setting=FEW_SHOT,
    ),
    Metric(
        "PD",
        "few-shot streams: performance drop from the first to the last step",
        f"A_1 - A_T, {_AW}",
        _CEC,
        False,
        formulas.drop,
        lowest=-1.0,
        setting=FEW_SHOT,
    ),
    Metric(
        "A_auc",
        "online and blurry streams: accuracy over the classes seen so far, mean over evaluations",
        "(1/E) sum_e a_e, a_e = correct answers / test images of the classes seen at evaluation e",
        "Koh et al. 2022 (i-Blurry), A_AUC",
        True,
        lambda m, anytime: formulas.mean(anytime),
        ("anytime",),
        setting=ANYTIME,
    ),
    Metric(
        "E_own",
        "task-incremental streams: error right after learning, mean over tasks",
        "(1/T) sum_t (1 - R[t,t]) = 1 - LA",
        "Bornschein et al. 2022 (NEVIS'22); R[t,t] is the mAP of tasks with several labels",
        False,
        lambda m: 1 - formulas.learning(m),
        setting=TASK,
    ),
    Metric(
        "plasticity", "plasticity", "(1/T) sum_t R[t,t] = LA", "convention; definitions vary", True, formulas.learning
    ),
    Metric(
        "stability", "stability", "1/(T-1) sum_{i<T} R[T,i]", "convention; definitions vary", True, formulas.stability
    ),
)
