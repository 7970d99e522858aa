"""Merging of fine-tuned weights: pure functions on dicts of tensors, and task vectors that are kept.

The functions take task vectors (`task_vector(weights, pretrained)`) of any network and return a merged one:

    merged = ties([task_vector(weights, pretrained) for weights in checkpoints], keep=0.2)
    model.load_state_dict(added(pretrained, merged))
"""

from cl.parts.merging.average import average, running_average, smallest_kept, task_arithmetic, ties
from cl.parts.merging.combination import Coefficients
from cl.parts.merging.depth import (
    averaging_coefficients,
    depths,
    group_factors,
    groups_of,
    interpolated,
    lines_factors,
    multi_task_alpha,
    scaled,
)
from cl.parts.merging.fisher import fisher_average
from cl.parts.merging.kept import FORMS, MergedVector, TaskVectors
from cl.parts.merging.opcm import linear_weights, opcm_step, projected
from cl.parts.merging.pcb import balances, pcb
from cl.parts.merging.stock import model_stock, stock_ratio
from cl.parts.merging.vectors import (
    Weights,
    added,
    check_alike,
    check_finite,
    check_moved,
    check_vectors,
    norm,
    task_vector,
)

__all__ = [
    "FORMS",
    "Coefficients",
    "MergedVector",
    "TaskVectors",
    "Weights",
    "added",
    "average",
    "averaging_coefficients",
    "balances",
    "check_alike",
    "check_finite",
    "check_moved",
    "check_vectors",
    "depths",
    "fisher_average",
    "group_factors",
    "groups_of",
    "interpolated",
    "linear_weights",
    "lines_factors",
    "model_stock",
    "multi_task_alpha",
    "norm",
    "opcm_step",
    "pcb",
    "projected",
    "running_average",
    "scaled",
    "smallest_kept",
    "stock_ratio",
    "task_arithmetic",
    "task_vector",
    "ties",
]
