"""Parts that are attached to the blocks of a stock model for one pass."""

from cl.parts.attached.adapters import Adapters, AdapterSets
from cl.parts.attached.attach import Attached
from cl.parts.attached.clip_prompts import ClipPrompts, text_of
from cl.parts.attached.depths import Depths
from cl.parts.attached.grouped_keys import GroupedKeys
from cl.parts.attached.input_delta import InputDelta
from cl.parts.attached.keys import TaskKeys, similarity
from cl.parts.attached.layer_output import Held, LayerInput, LayerOutput
from cl.parts.attached.lora import GROUPS, LoRA, targeted
from cl.parts.attached.low_rank import LowRank
from cl.parts.attached.prefixes import Prefix, attention_blocks, legacy_layout, prefixed
from cl.parts.attached.prompts import RANGES, Components, PromptPool, nearest, uniform
from cl.parts.attached.scale_shift import ScaleShift
from cl.parts.attached.task_norms import TaskNorms
from cl.parts.attached.task_prefixes import ScoreGate, TaskPrefixes
from cl.parts.attached.tokens import PLACES, READINGS, check_tokens, with_tokens
from cl.parts.attached.visual_prompts import VisualPrompts

__all__ = [
    "GROUPS",
    "PLACES",
    "RANGES",
    "READINGS",
    "AdapterSets",
    "Adapters",
    "Attached",
    "ClipPrompts",
    "Components",
    "Depths",
    "GroupedKeys",
    "Held",
    "InputDelta",
    "LayerInput",
    "LayerOutput",
    "LoRA",
    "LowRank",
    "Prefix",
    "PromptPool",
    "ScaleShift",
    "ScoreGate",
    "TaskKeys",
    "TaskNorms",
    "TaskPrefixes",
    "VisualPrompts",
    "attention_blocks",
    "check_tokens",
    "legacy_layout",
    "nearest",
    "prefixed",
    "similarity",
    "targeted",
    "text_of",
    "uniform",
    "with_tokens",
]
