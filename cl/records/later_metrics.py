"""The metrics that records do not hold: they are computed when a record is read. See `cl.records.metrics` for notation.

Diaz-Rodriguez et al. and GEM both say A, BWT and FWT and mean different numbers, hence the prefix `DR_`.
"""

from __future__ import annotations

import math
from functools import partial

from cl.protocol import ANYTIME
from cl.records import answers, formulas
from cl.records.metric import Metric

_DIAZ = "Diaz-Rodriguez et al. 2018 (arXiv 1810.13166)"
_KEMKER = "Kemker et al. 2018 (arXiv 1708.02072)"
_DELANGE = "De Lange et al. 2023 (arXiv 2205.13452)"
_MUSCLE = "Echterhoff et al. 2024 (MUSCLE); Yan et al. 2021"
_GUO = "Guo et al. 2017 (On calibration of modern neural networks)"
_SOUTIF = "Soutif-Cormerais et al. 2024 (incremental low-rank updates)"
_W = formulas.WINDOW

_later = partial(Metric, recorded=False)

LATER_METRICS = (
    _later(
        "A_last_sample_pilot",
        "last accuracy as PILOT prints it",
        "round(100 A_T, 2) / 100, A_T = sum_{i<=T} n_i R[T,i] / sum_{i<=T} n_i",
        "PILOT (np.around)",
        True,
        formulas.last_pilot,
    ),
    _later(
        "A_macro",
        "last accuracy, mean over classes",
        "(1/C) sum_c (correct answers of class c / test images of class c), after step T, over the classes learned",
        "balanced accuracy; Brodersen et al. 2010",
        True,
        formulas.macro_accuracy,
        ("classes",),
    ),
    _later(
        "F_class",
        "class-wise forgetting (F_last of i-Blurry)",
        "mean over classes with b_c > 0 of b_c - a_c: b_c = best accuracy on class c at the ends of tasks before the "
        "last, a_c = accuracy at the last",
        "Koh et al. 2022 (i-Blurry), F_last",
        False,
        formulas.class_forgetting,
        ("classes",),
        lowest=-1.0,
    ),
    _later(
        "DR_A",
        "accuracy, mean over all tasks learned at all steps",
        "sum_{t>=i} R[t,i] / (T (T+1) / 2)",
        _DIAZ,
        True,
        formulas.dr_accuracy,
    ),
    _later(
        "DR_BWT",
        "backward transfer, mean over all later steps",
        "sum_{t>i} (R[t,i] - R[i,i]) / (T (T-1) / 2)",
        _DIAZ,
        True,
        formulas.dr_bwt,
        lowest=-1.0,
    ),
    _later("DR_REM", "remembering", "1 - |min(DR_BWT, 0)|", _DIAZ, True, formulas.dr_remembering),
    _later("DR_BWT_plus", "positive backward transfer", "max(DR_BWT, 0)", _DIAZ, True, formulas.dr_positive_bwt),
    _later(
        "DR_FWT",
        "accuracy on tasks not learned yet, mean over all earlier steps",
        "sum_{t<i} R[t,i] / (T (T-1) / 2); there is no baseline",
        _DIAZ,
        True,
        formulas.dr_fwt,
    ),
    _later(
        "Omega_base",
        "accuracy on the first task relative to joint training, mean over later steps",
        "1/(T-1) sum_{t>=2} R[t,1] / a_1, a_1 = joint model on task 1",
        _KEMKER,
        True,
        formulas.omega_base,
        ("offline",),
        highest=math.inf,
    ),
    _later(
        "Omega_new",
        "accuracy on each later task right after learning it",
        "1/(T-1) sum_{t>=2} R[t,t]",
        _KEMKER,
        True,
        formulas.omega_new,
    ),
    _later(
        "Omega_all",
        "accuracy on all tasks learned relative to joint training, mean over later steps",
        "1/(T-1) sum_{t>=2} A_t / a_t, A_t = sum_{i<=t} n_i R[t,i] / sum_{i<=t} n_i, a_t = A_t of the joint model",
        _KEMKER,
        True,
        formulas.omega_all,
        ("offline",),
        highest=math.inf,
    ),
    _later(
        "min_ACC",
        "online and blurry streams: lowest accuracy on each old task since it was learned, mean over tasks",
        "1/(T-1) sum_{i<T} min_{e>i} R[e,i], e = evaluations, also between the ends of tasks",
        _DELANGE,
        True,
        formulas.min_acc,
        ("continual",),
        setting=ANYTIME,
    ),
    _later(
        "WC_ACC",
        "online and blurry streams: worst-case accuracy",
        "(1/T) R[T,T] + (1 - 1/T) min_ACC",
        _DELANGE,
        True,
        formulas.wc_acc,
        ("continual",),
        setting=ANYTIME,
    ),
    _later(
        f"WF_{_W}",
        f"online and blurry streams: largest drop within {_W} consecutive evaluations, mean over tasks",
        f"(1/T) sum_i max_{{e<d<e+{_W}}} max(R[e,i] - R[d,i], 0), e, d = evaluations",
        f"{_DELANGE}, windowed forgetting",
        False,
        formulas.windowed_forgetting,
        ("continual",),
        setting=ANYTIME,
    ),
    _later(
        f"WP_{_W}",
        f"online and blurry streams: largest rise within {_W} consecutive evaluations, mean over tasks",
        f"(1/T) sum_i max_{{e<d<e+{_W}}} max(R[d,i] - R[e,i], 0), e, d = evaluations",
        f"{_DELANGE}, windowed plasticity",
        True,
        formulas.windowed_plasticity,
        ("continual",),
        setting=ANYTIME,
    ),
    _later(
        "NFR",
        "negative flip rate, mean over steps",
        "1/(T-1) sum_{t>=2} (images right after t-1 and wrong after t / images tested after both)",
        _MUSCLE,
        False,
        answers.negative_flips,
        ("answers",),
    ),
    _later(
        "PFR",
        "positive flip rate, mean over steps",
        "1/(T-1) sum_{t>=2} (images wrong after t-1 and right after t / images tested after both)",
        _MUSCLE,
        True,
        answers.positive_flips,
        ("answers",),
    ),
    _later(
        "F1_macro",
        "macro F1 after the last step",
        "(1/C) sum_c 2 TP_c / (2 TP_c + FP_c + FN_c), over the classes learned",
        "van Rijsbergen 1979; Lewis et al. 1996",
        True,
        answers.macro_f1,
        ("answers",),
    ),
    _later(
        "top5",
        "top-5 accuracy after the last step, mean over images",
        "(1/n) sum_j [the class of image j is among the five best scores]",
        "Russakovsky et al. 2015 (ILSVRC)",
        True,
        answers.top5,
        ("scores",),
    ),
    _later(
        "ECE",
        "expected calibration error after the last step",
        f"sum_b (n_b / n) |acc_b - conf_b|, {answers.BINS} bins of equal width of the probability of the answer",
        _GUO,
        False,
        answers.ece,
        ("scores",),
    ),
    _later(
        "NLL",
        "negative log-likelihood of the class after the last step, nats, mean over images",
        "-(1/n) sum_j ln p_j, p_j = probability of the class of image j (softmax of the scores)",
        _GUO,
        False,
        answers.nll,
        ("scores",),
        highest=math.inf,
        unit="nats",
    ),
    _later(
        "F_pretraining",
        "forgetting of the pretraining, by a ridge regression on features of other images",
        "p_0 - p_T, p_t = accuracy of the probe after step t, p_0 before the first task",
        f"{_SOUTIF}, on images of the pretraining and by its head; --probe",
        False,
        formulas.pretraining_forgotten,
        ("probe",),
        lowest=-1.0,
    ),
    _later(
        "F_pretraining_mean",
        "the same, by the nearest class mean",
        "p_0 - p_T, p_t = accuracy of the nearest class mean by cosine after step t, p_0 before the first task",
        f"{_SOUTIF}, on images of the pretraining and by its head; --probe",
        False,
        formulas.pretraining_forgotten_by_means,
        ("probe_means",),
        lowest=-1.0,
    ),
    _later(
        "A_probe",
        "accuracy of the probe after the last step, by a ridge regression on features of other images",
        "p_T, p_t = accuracy of the probe after step t",
        "linear probing; Alain & Bengio 2017",
        True,
        formulas.probed,
        ("probe",),
    ),
)
"""In the order of display."""
