"""Parts that classify features: heads, prototypes, projections, task inference, key-value stores."""

from cl.parts.heads.aligned import LeCunHead, align_newest
from cl.parts.heads.growing import GrowingHead
from cl.parts.heads.key_values import KeyQuantiser, KeyValues, Overlaps, clip_sparse_
from cl.parts.heads.prediction_network import PredictionNetwork
from cl.parts.heads.projection import RandomProjection, RidgeRegression, choose_ridge
from cl.parts.heads.projector import Projector
from cl.parts.heads.prototypes import CosineHead, add_to_means, class_means, closeness, cosines
from cl.parts.heads.recursive import RecursiveRidge
from cl.parts.heads.simplex import SimplexHead, simplex
from cl.parts.heads.subspaces import SubspacePrototypes
from cl.parts.heads.task_heads import TaskHeads
from cl.parts.heads.task_inference import TaskInference
from cl.parts.heads.text import TextHead, captions, class_texts, templates

__all__ = [
    "CosineHead",
    "GrowingHead",
    "KeyQuantiser",
    "KeyValues",
    "LeCunHead",
    "Overlaps",
    "PredictionNetwork",
    "Projector",
    "RandomProjection",
    "RecursiveRidge",
    "RidgeRegression",
    "SimplexHead",
    "SubspacePrototypes",
    "TaskHeads",
    "TaskInference",
    "TextHead",
    "add_to_means",
    "align_newest",
    "captions",
    "choose_ridge",
    "class_means",
    "class_texts",
    "clip_sparse_",
    "closeness",
    "cosines",
    "simplex",
    "templates",
]
