"""L2P: a pool of prompts shared by all tasks; every image uses the nearest ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cl.bases.prompted import Prompted
from cl.parts.attached import (
    PLACES,
    RANGES,
    READINGS,
    Prefix,
    PromptPool,
    attention_blocks,
    check_tokens,
    nearest,
    prefixed,
    with_tokens,
)
from cl.strategy import StreamInfo, UsageError, option, scales


class L2P(Prompted):
    """Learning to prompt: the prompts whose keys are nearest to an image's query are added to its sequence.

    Name: L2P
    Paper: Wang, Zhang, Lee, Zhang, Sun, Ren, Su, Perot, Dy, Pfister. Learning to Prompt for Continual Learning. CVPR
        2022, arXiv 2112.08654. The presets `l2p++` and `deep-l2p++` are the variants of CODA-Prompt's code (Smith et
        al., CVPR 2023): prefixes of attention instead of tokens.
    Family: prompts
    Networks: vit
    Gradients: parts
    Trains: the pool's prompts and keys, all in every task, and one linear head; the backbone is frozen.
    Stores: M prompts of L tokens and M keys (ViT-B, M = 10, L = 5: 184 KB), nothing per task.
    Cost: two forward passes per test image, the first memoised across runs; the second has N L additional tokens.
    Differences from the paper: prompts are chosen per image. The authors' code uses the prompts chosen most often in
        the batch, in training and at test time (`selection=batch`). Predictions then depend on the batch, which holds a
        single task in their evaluation, so such runs are not ranked. The head grows with the classes. The original
        (also its copy in HiDe-Prompt's code) and the PyTorch ports put prompts at different places in the sequence:
        `place`. Initial values are those of each code: the original draws prompts and keys from [0, 0.01) and starts
        the head at zero; the ports draw from [-1, 1] and start the head at a truncated normal (`prompt_init`,
        `head_init`). The original clips by the norm of all gradients, including the gradients of frozen parameters;
        ours, like the ports, by the norm of the trained ones. `key_loss=legacy` is the key loss of the L2P++ code: it
        pulls every key chosen by some image of the batch to all images of the batch.
    """

    @dataclass(frozen=True)
    class Options(Prompted.Options):
        pool: int = option(10, "prompts in the pool (M)", ge=0, search=scales.among(10, 20, 30))
        length: int = option(
            5, "length of a prompt (L): tokens; in prefixes, rows of keys and as many of values", ge=0,
            search=scales.among(5, 10, 20),
        )  # fmt: skip
        top: int = option(5, "prompts used per image (N)", ge=0)
        prompt: str = option(
            "tokens", "prompts are tokens of the sequence, or prefixes of attention", choices=("tokens", "prefix")
        )
        place: str = option("front", "place of prompt tokens in the sequence", choices=PLACES)
        head_type: str = option(
            "prompt", "input of the head with prompt tokens: outputs at the prompts, or at the class token",
            choices=READINGS,
        )  # fmt: skip
        layers: tuple[int, ...] = option((0,), "blocks with prefixes, each with its own pool", ge=0)
        pull: float = option(1.0, "weight of the loss that pulls keys to their queries (lambda)", ge=0)
        key_loss: str = option(
            "mean", "key loss: mean over images, or the sum of CODA-Prompt's code", choices=("mean", "legacy")
        )
        selection: str = option(
            "image", "choose prompts per image, or by a vote of the batch", choices=("image", "batch")
        )
        prompt_init: str = option(
            "symmetric", "initial prompts and keys: uniform in [-1, 1], [0, 1] or [0, 0.01]", choices=tuple(RANGES)
        )

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        legacy = ("legacy",) if options.key_loss == "legacy" else ()
        return legacy + (("batch-dependent",) if options.selection == "batch" else ())

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o, tokens = self.options, self._tokens
        if o.top > o.pool:
            raise UsageError(f"top={o.top} prompts cannot be taken from a pool of {o.pool}; raise pool or lower top.")
        if tokens:
            check_tokens(self.backbone, o.place)
        else:
            attention_blocks(self.backbone, max(o.layers, default=-1) + 1)
        sites, parts = (1, 1) if tokens else (len(o.layers), 2)
        rng = self.init_rng("pool")
        pool = PromptPool(sites, o.pool, parts, o.length, self.backbone.dim, o.prompt_init, rng)
        self.pool = pool.to(self.device)

    def prompts(self, task: int) -> Iterable[nn.Parameter]:
        return self.pool.parameters()

    def instructed(self, images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        o = self.options
        chosen = [self._nearest(similarities) for similarities in self.pool.similarities(queries)]
        found = [self.pool.pick(site, numbers) for site, numbers in enumerate(chosen)]
        if self._tokens:
            return with_tokens(self.backbone, images, found[0][:, 0], o.place, o.head_type)
        return prefixed(
            self.backbone, images, {n: Prefix(*both.unbind(1)) for n, both in zip(o.layers, found, strict=True)}
        )

    def extra(self, queries: Tensor, task: int) -> Tensor | float:
        """- lambda times the similarity of each image's query to its chosen keys, summed over keys and sites."""
        if not self.options.pull:
            return 0.0
        terms = []
        for similarities in self.pool.similarities(queries):
            chosen = self._nearest(similarities)
            if self.options.key_loss == "legacy":
                terms.append((1 - similarities[:, chosen]).sum())  # [B, B, N]: every image with all images' keys
            else:
                terms.append(-similarities.gather(1, chosen).sum(1).mean())
        return self.options.pull * torch.stack(terms).sum()

    def _nearest(self, similarities: Tensor) -> Tensor:
        return nearest(similarities, self.options.top, vote=self.options.selection == "batch")

    @property
    def _tokens(self) -> bool:
        return self.options.prompt == "tokens"
