"""DualPrompt: prefixes shared by all tasks in the first blocks, and prefixes per task, chosen by keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cl.bases.prompted import Prompted
from cl.parts.attached import RANGES, Prefix, attention_blocks, legacy_layout, nearest, prefixed, similarity, uniform
from cl.parts.task_parameters import TaskParameters
from cl.strategy import StreamInfo, option, scales


class DualPrompt(Prompted):
    """Complementary prompting: G-prompts for knowledge shared by all tasks, an E-prompt and a key for each task.

    Name: DualPrompt
    Paper: Wang, Zhang, Ebrahimi, Sun, Zhang, Lee, Ren, Su, Perot, Dy, Pfister. DualPrompt: Complementary Prompting for
        Rehearsal-free Continual Learning. ECCV 2022, arXiv 2204.04799.
    Family: prompts
    Networks: vit
    Gradients: parts
    Trains: the G-prompt, the task's E-prompt and key, and one linear head; the backbone is frozen.
    Stores: per task an E-prompt and its key (ViT-B, 20 rows: 372 KB), and one G-prompt.
    Cost: two forward passes per test image, the first memoised across runs.
    Differences from the paper: queries are compared with the keys of tasks learned so far; the released code compares
        them with all keys of the pool, including untrained ones (`all_keys`, legacy). The task is chosen per image; in
        the code for CIFAR-100 the batch votes (`selection=batch`). The PyTorch ports reshape E-prompts such that images
        of a batch get each other's prompts and keys are used as values (`prompt_layout=legacy`); the JAX original does
        not. Runs with these options are not ranked. The head grows with the classes. The original draws prompts and
        keys from [0, 0.01), starts the head at zero, and clips by the norm of all gradients, including the gradients of
        frozen parameters. The ports draw from [-1, 1] and start the head at a truncated normal (`prompt_init`,
        `head_init`); they clip by the norm of the trained gradients, and so does ours.
    """

    rules = ("cil_seen", "til_masked", "til_oracle")

    @dataclass(frozen=True)
    class Options(Prompted.Options):
        batch_size: int = option(24, "images per step", ge=1)
        lr: float = option(0.0028125, "learning rate of prompts, keys and head", gt=0, search=scales.log(1e-4, 1e-1))
        length_g: int = option(5, "length of the G-prompt: rows of keys, and as many of values", ge=0)
        length_e: int = option(
            5, "length of an E-prompt: rows of keys, and as many of values", ge=0, search=scales.among(5, 10, 20)
        )
        layers_g: tuple[int, ...] = option((0, 1), "blocks with the G-prompt", ge=0)
        layers_e: tuple[int, ...] = option((2, 3, 4), "blocks with E-prompts", ge=0)
        keys: str = option("task", "one key per task, or one per task and block", choices=("task", "layer"))
        key_weight: float = option(1.0, "weight of the loss that pulls a task's key to its queries", ge=0)
        key_loss: str = option(
            "mean", "key loss: mean over images, or sum as in CODA-Prompt's code", choices=("mean", "sum")
        )
        copy_last: bool = option(True, "initialise a task's E-prompt with that of the previous task")
        all_keys: bool = option(False, "also compare with the keys of later tasks, as the released code does")
        selection: str = option(
            "image", "choose the task per image, or by a vote of the batch", choices=("image", "batch")
        )
        prompt_layout: str = option(
            "correct", "E-prompts as in the paper, or mixed between images of a batch", choices=("correct", "legacy")
        )
        prompt_init: str = option(
            "symmetric", "initial prompts and keys: uniform in [-1, 1], [0, 1] or [0, 0.01]", choices=tuple(RANGES)
        )

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        mixed = options.prompt_layout == "legacy"
        legacy = ("legacy",) if mixed or options.all_keys else ()
        return legacy + (("batch-dependent",) if mixed or options.selection == "batch" else ())

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        attention_blocks(self.backbone, max([*o.layers_g, *o.layers_e], default=-1) + 1)
        shape = (len(o.layers_g), 2, o.length_g, self.backbone.dim)
        drawn = uniform(shape, o.prompt_init, self.init_rng("general"))
        self.general = nn.ParameterList([nn.Parameter(drawn.to(self.device), requires_grad=False)])
        self.experts = TaskParameters().to(
            self.device
        )  # per task: its E-prompt [layers, 2, L, d] and keys [1 or layers, d]
        self.learned = 0
        if o.all_keys:
            rng = self.init_rng("experts")
            for _ in range(info.n_tasks):
                self._add_expert(rng)

    def begin(self, task: int) -> None:
        if len(self.experts) == task:
            self._add_expert(self.init_rng("experts"))
        if self.options.copy_last and task > 0:
            with torch.no_grad():
                self.experts[task][0].copy_(self.experts[task - 1][0])
        self.learned = task + 1

    def _add_expert(self, rng: torch.Generator) -> None:
        o, dim = self.options, self.backbone.dim
        prompt = uniform((len(o.layers_e), 2, o.length_e, dim), o.prompt_init, rng)
        keys = uniform((1 if o.keys == "task" else len(o.layers_e), dim), o.prompt_init, rng)
        self.experts.add(prompt, keys)

    def prompts(self, task: int) -> Iterable[nn.Parameter]:
        return [*self.general, *self.experts[task]]

    def instructed(self, images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        o = self.options
        found = {n: [both.expand(len(images), -1, -1, -1)] for n, both in zip(o.layers_g, self.general[0], strict=True)}
        for n, both in zip(o.layers_e, self._experts_of(queries, task), strict=True):
            if o.prompt_layout == "legacy":
                both = torch.stack(legacy_layout(Prefix(*both.unbind(1))), 1)
            found.setdefault(n, []).append(both)
        return prefixed(self.backbone, images, {n: Prefix(*torch.cat(all_, 2).unbind(1)) for n, all_ in found.items()})

    def _experts_of(self, queries: Tensor, task: int | None) -> list[Tensor]:
        """E-prompts [B, 2, L, d] of each block: those of `task` if it is given, else chosen by the keys."""
        if task is not None:
            known = self.experts[min(task, self.learned - 1)][0]
            return [both.expand(len(queries), -1, -1, -1) for both in known]
        chosen = self.chosen(queries).expand(len(self.options.layers_e), -1)
        pool = torch.stack(self.experts.column(0))
        return [pool[numbers, layer] for layer, numbers in enumerate(chosen)]

    def chosen(self, queries: Tensor) -> Tensor:
        """The task whose key is nearest to each query, [1 or layers, B]."""
        tasks, vote = None if self.options.all_keys else self.learned, self.options.selection == "batch"
        keys = torch.stack(self.experts.column(1, tasks), 1)
        return torch.stack([nearest(similarity(queries, site), 1, vote=vote)[:, 0] for site in keys])

    def extra(self, queries: Tensor, task: int) -> Tensor | float:
        """- weight * cos(query, key of the task), mean (or sum) over images, summed over the task's keys."""
        if not self.options.key_weight:
            return 0.0
        similarities = similarity(queries, self.experts[task][1])
        over = similarities.mean(0) if self.options.key_loss == "mean" else similarities.sum(0)
        return -self.options.key_weight * over.sum()
