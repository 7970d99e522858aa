"""L2P: a pool of prompts shared by all tasks, from which every image takes the nearest."""

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
from cl.strategy import StreamInfo, UsageError, option


class L2P(Prompted):
    """Learning to prompt: the prompts whose keys are nearest to an image's query join its sequence.

    Paper: Wang, Zhang, Lee, Zhang, Sun, Ren, Su, Perot, Dy, Pfister. Learning to Prompt for Continual Learning. CVPR
        2022, arXiv 2112.08654. The presets `l2p++` and `deep-l2p++` are the variants of CODA-Prompt's code (Smith et
        al., CVPR 2023): prefixes of attention instead of tokens.
    Trains: the pool's prompts and keys, all in every task, and one linear head; the backbone stays pretrained.
    Stores: M prompts of L tokens and M keys (ViT-B, M = 10, L = 5: 184 KB), nothing per task.
    Cost: two forwards per test image, the first memoised across runs; N L tokens more in the second.
    Differences from the paper: each image takes its own prompts. The authors' code takes, in training and at test, the
        prompts most chosen in the batch (`selection=batch`): predictions then depend on the batch, which holds one task
        at a time in their evaluation, so such runs are not ranked. The head grows with the classes. Original and
        PyTorch port put prompts at other places of the sequence: `place`. `key_loss=legacy` is the key loss of the
        L2P++ code, which pulls the keys that any image of the batch chose to all of them.
    """

    @dataclass(frozen=True)
    class Options(Prompted.Options):
        pool: int = option(10, "prompts in the pool (M)", ge=0)
        length: int = option(5, "tokens of a prompt, or rows of keys and of values each (L)", ge=0)
        top: int = option(5, "prompts an image takes (N)", ge=0)
        prompt: str = option(
            "tokens", "prompts are tokens of the sequence, or prefixes of attention", choices=("tokens", "prefix")
        )
        place: str = option("front", "where prompt tokens stand in the sequence", choices=PLACES)
        head_type: str = option("prompt", "what the head reads beside prompt tokens", choices=READINGS)
        layers: tuple[int, ...] = option((0,), "blocks with prefixes, each with a pool of its own", ge=0)
        pull: float = option(1.0, "weight of the keys' similarity to their queries (lambda)", ge=0)
        key_loss: str = option("mean", "mean over images; or the sum of CODA's code", choices=("mean", "legacy"))
        selection: str = option("image", "prompts per image, or by vote of the batch", choices=("image", "batch"))
        prompt_init: str = option("symmetric", "uniform in [-1, 1], [0, 1] or [0, 0.01]", choices=tuple(RANGES))

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
        """- lambda times the similarity of each image's query to the keys it chose, summed over these and the sites."""
        if not self.options.pull:
            return 0.0
        terms = []
        for similarities in self.pool.similarities(queries):
            chosen = self._nearest(similarities)
            if self.options.key_loss == "legacy":
                terms.append((1 - similarities[:, chosen]).sum())  # [B, B, N]: every image with the choices of all
            else:
                terms.append(-similarities.gather(1, chosen).sum(1).mean())
        return self.options.pull * torch.stack(terms).sum()

    def _nearest(self, similarities: Tensor) -> Tensor:
        return nearest(similarities, self.options.top, vote=self.options.selection == "batch")

    @property
    def _tokens(self) -> bool:
        return self.options.prompt == "tokens"
