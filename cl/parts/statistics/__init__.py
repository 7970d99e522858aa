"""Statistics of images and weights: Gaussians, Fisher information, anchors, batch norms, moments of inputs."""

from cl.parts.statistics.anchors import Anchors, Tensors
from cl.parts.statistics.auroc import auroc
from cl.parts.statistics.batch_norms import TaskStatistics, batch_norms, batch_statistics
from cl.parts.statistics.directions import Directions, without
from cl.parts.statistics.dual_gpm import DualGPM
from cl.parts.statistics.fisher import LABELS, SQUARES, Parameters, answers, diagonal
from cl.parts.statistics.gaussians import KINDS, ClassGaussians
from cl.parts.statistics.input_moments import InputMoments
from cl.parts.statistics.moments import SCATTERS, ClassMoments, discriminants, oas
from cl.parts.statistics.sensitivity import sensitivity
from cl.parts.statistics.symmetric import blocks, condition_, mirror_, packed, unpacked, wide

__all__ = [
    "KINDS",
    "LABELS",
    "SCATTERS",
    "SQUARES",
    "Anchors",
    "ClassGaussians",
    "ClassMoments",
    "Directions",
    "DualGPM",
    "InputMoments",
    "Parameters",
    "TaskStatistics",
    "Tensors",
    "answers",
    "auroc",
    "batch_norms",
    "batch_statistics",
    "blocks",
    "condition_",
    "diagonal",
    "discriminants",
    "mirror_",
    "oas",
    "packed",
    "sensitivity",
    "unpacked",
    "wide",
    "without",
]
