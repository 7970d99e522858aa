"""Other weights for the same network: lent, kept, slow, masked."""

from cl.parts.weights.gated import GatedChanges
from cl.parts.weights.halves import Half, Unit, drawn, units_of
from cl.parts.weights.kept_networks import Networks, SideBySide
from cl.parts.weights.lend import Lent, evaluated, under
from cl.parts.weights.mask_coding import PAPER_RATE, capacity, compression_rate
from cl.parts.weights.masks import Scores, TaskMasks, best, in_block, last_block, maskable, masked_pass, selected
from cl.parts.weights.slow_weights import SlowWeights, places
from cl.parts.weights.soft_masks import FixedMasks, Redrawn, SoftScores
from cl.parts.weights.teacher import Teacher
from cl.parts.weights.tuned_weights import TunedWeights

__all__ = [
    "PAPER_RATE",
    "FixedMasks",
    "GatedChanges",
    "Half",
    "Lent",
    "Networks",
    "Redrawn",
    "Scores",
    "SideBySide",
    "SlowWeights",
    "SoftScores",
    "TaskMasks",
    "Teacher",
    "TunedWeights",
    "Unit",
    "best",
    "capacity",
    "compression_rate",
    "drawn",
    "evaluated",
    "in_block",
    "last_block",
    "maskable",
    "masked_pass",
    "places",
    "selected",
    "under",
    "units_of",
]
