"""Prefixes per task for the attention of some blocks, their ensemble, and gates on their scores."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.parts.attached.attach import Attached
from cl.parts.attached.prefixes import Gate, Prefix, attention_blocks, legacy_layout, prefixed
from cl.parts.task_parameters import TaskParameters

ScoreGate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`gate(scores, alpha_in, alpha_out)`: the term that a block adds to the scaled scores of its prefix keys."""


class TaskPrefixes(TaskParameters):
    """One prompt [blocks, 2, L, d] per task: keys and values of the prefixes in the blocks numbered `blocks`.

    With a `gate`, all tasks share the scalars `alpha_in` and `alpha_out` [blocks], initially 1. `legacy` mixes the
    prefixes of a batch as described at `legacy_layout`. Raises `UsageError` for a backbone without such blocks.
    Restoring a state sets the number of tasks.
    """

    def __init__(
        self,
        backbone: Backbone,
        blocks: Sequence[int],
        length: int,
        gate: ScoreGate | None = None,
        *,
        legacy: bool = False,
    ) -> None:
        super().__init__()
        attention_blocks(backbone, 1 + max(blocks, default=-1))
        self.blocks, self.length, self.dim, self.legacy = tuple(blocks), length, backbone.dim, legacy
        self.gate = gate
        scalars = len(blocks) if gate is not None else 0
        self.alpha_in = nn.Parameter(torch.ones(scalars), requires_grad=False)
        self.alpha_out = nn.Parameter(torch.ones(scalars), requires_grad=False)
        self.eval()

    @property
    def prompts(self) -> list[nn.Parameter]:
        """The prompt of each task."""
        return [prompt for (prompt,) in self.sets]

    def grow_to(self, tasks: int, generator: torch.Generator) -> None:
        """Append prompts until there are `tasks`: the first drawn from U(-1, 1), each other a copy of the last."""
        while len(self) < tasks:
            value = torch.empty(len(self.blocks), 2, self.length, self.dim).uniform_(-1, 1, generator=generator)
            self.add(self.prompts[-1] if len(self) else value)

    def ensemble(self, task: int, momentum: float) -> Tensor:
        """(1 - m) p_t + m mean(p_1 .. p_{t-1}), without gradients to the mean; p_t for the first task or m = 0."""
        if task == 0 or momentum == 0:
            return self.prompts[task]
        before = torch.stack([prompt.detach() for prompt in self.prompts[:task]]).mean(0)
        return (1 - momentum) * self.prompts[task] + momentum * before

    @torch.no_grad()
    def commit(self, task: int, momentum: float) -> None:
        """Overwrite p_t by its ensemble."""
        self.prompts[task].copy_(self.ensemble(task, momentum))

    def forward(self, backbone: Backbone, images: Tensor, prompts: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with one prompt [blocks, 2, L, d], or one prompt per image."""
        if self.legacy:
            prompts = prompts.expand(len(images), *prompts.shape[-4:])
        parts = [prompts[..., i, :, :, :] for i in range(len(self.blocks))]
        prefixes = {block: Prefix(*part.unbind(-3)) for block, part in zip(self.blocks, parts, strict=True)}
        if self.legacy:
            prefixes = {block: legacy_layout(prefix) for block, prefix in prefixes.items()}
        return prefixed(backbone, images, prefixes, self._gates())

    def _gates(self) -> dict[int, Gate]:
        if self.gate is None:
            return {}
        return {block: functools.partial(self._gated, i) for i, block in enumerate(self.blocks)}

    def _gated(self, i: int, scores: Tensor) -> Tensor:
        assert self.gate is not None
        return self.gate(scores, self.alpha_in[i], self.alpha_out[i])

    def extractor(self, backbone: Backbone, task: int, *, lasting: bool = True) -> Attached:
        """The deterministic pass with a task's prompt, to memoise; `lasting` if prompt and gates are final."""
        prompt, how = self.prompts[task], torch.tensor([*self.blocks, self.legacy])
        held = [prompt, self.alpha_in, self.alpha_out, how]
        return Attached(backbone, lambda images: self(backbone, images, prompt), held, lasting=lasting)

    def get_state(self) -> dict[str, Any]:
        """The prompts in the order of their tasks, and the scalars of the gates."""
        gates = {} if self.gate is None else {"alpha_in": self.alpha_in.detach(), "alpha_out": self.alpha_out.detach()}
        return {"prompts": [prompt.detach() for prompt in self.prompts], **gates}

    @torch.no_grad()
    def set_state(self, state: dict[str, Any]) -> None:
        """Load the prompts of `state`, adding or removing prompts to match."""
        super().set_state([[prompt] for prompt in state["prompts"]])
        for name in ("alpha_in", "alpha_out"):
            if name in state:
                getattr(self, name).copy_(state[name])
