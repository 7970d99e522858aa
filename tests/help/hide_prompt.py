"""What the tests of HiDe-Prompt and NoRGa share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl.plan.presets import choose
from cl.strategies.hide_prompt import HiDePrompt
from cl.strategy import Inputs
from cl.stream import Stream

FAST: dict[str, Any] = {
    **{"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip", "layers": (0, 1), "length": 3},
    **{"tii_epochs": 1, "tii_lr": 0.01, "tii_augment": "none", "tii_ca_epochs": 1, "tii_ca_samples": 16},
    **{"ca_epochs": 1, "ca_samples": 16, "statistics": "full", "prompt_momentum": 0.2},
}


def images_of(stream: Stream, tasks: int = 3, count: int = 40) -> Tensor:
    rows, _, _ = stream.test_rows(range(tasks))
    return torch.from_numpy(stream.dataset.test.pixels[rows[:: max(len(rows) // count, 1)]]).permute(0, 3, 1, 2)


def scores(learner: HiDePrompt, pixels: Tensor, task: int | None = None) -> Tensor:
    with torch.no_grad():
        return learner.predict(Inputs(pixels), task)


def of(fits: list[dict[str, Any]], phase: str) -> list[dict[str, Any]]:
    return [fit for fit in fits if fit["phase"] == phase]


def preset(method: str, stream: str, backbone: str) -> dict[str, Any]:
    """The options of the presets that apply to a stream and a backbone of the papers."""
    found: dict[str, Any] = {}
    for one in choose(method, stream, f"vit_base_patch16_224{backbone}"):
        found |= one.options
    return found
