"""NoRGa: HiDe-Prompt with non-linear residual gates on the scores of the prefixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached import ScoreGate
from cl.parts.statistics import KINDS
from cl.strategies.hide_prompt import HiDePrompt
from cl.strategy import option

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu, "identity": lambda scores: scores,
}  # fmt: skip


class NoRGa(HiDePrompt):
    """Non-linear residual gates: prefix scores s = q k_P^T / sqrt(d_h) become s + alpha_out act(alpha_in s).

    Name: NoRGa
    Paper: Le, Nguyen, Nguyen, Nguyen, Pham, Van Ngo, Ho. Mixture of Experts Meets Prompt-Based Continual Learning.
        NeurIPS 2024, arXiv 2405.14124.
    Family: prompts
    Networks: vit
    Gradients: parts
    Trains: as HiDe-Prompt; in the first task also two scalars per block with a prefix, at the prompt's learning rate.
    Stores: as HiDe-Prompt, and two scalars per block with a prefix, shared by all tasks.
    Cost: as HiDe-Prompt.
    Differences from the paper: as HiDe-Prompt. The default gate is tanh, the code's default; its scripts use a sigmoid
        for supervised ViTs, and so do our presets.
    """

    @dataclass(frozen=True)
    class Options(HiDePrompt.Options):
        statistics: str = option("full", "kind of class statistics of u and h", choices=KINDS)
        activation: str = option("tanh", "activation function of the gate (act)", choices=tuple(ACTIVATIONS))
        residual: bool = option(True, "add the gated score to the score; false: use the gated score alone")

    def gate(self) -> ScoreGate:
        act, residual = ACTIVATIONS[self.options.activation], self.options.residual

        def added(scores: Tensor, alpha_in: Tensor, alpha_out: Tensor) -> Tensor:
            gated = alpha_out * act(alpha_in * scores)
            return gated if residual else gated - scores  # the block adds the scores themselves

        return added

    def prompt_parameters(self, task: int) -> list[nn.Parameter]:
        gates = [self.prompts.alpha_in, self.prompts.alpha_out] if task == 0 else []
        return [*super().prompt_parameters(task), *gates]
