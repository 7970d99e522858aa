"""CODA-Prompt: every image's prompt is a weighted sum of components; each task adds its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from cl.bases.prompted import HEAD_INIT, HEAD_INITS, Prompted
from cl.parts.attached import Components, Prefix, attention_blocks, prefixed
from cl.strategy import RECIPES, SCHEDULES, StreamInfo, UsageError, option, scales


class CODAPrompt(Prompted):
    """Decomposed attention-based prompting: p(x) = sum_m cos(q(x) * A_m, K_m) P_m in the first blocks.

    Name: CODA-Prompt
    Paper: Smith, Karlinsky, Gutta, Cascante-Bonilla, Kim, Arbelle, Panda, Feris, Kira. CODA-Prompt: COntinual
        Decomposed Attention-based Prompting for Rehearsal-Free Continual Learning. CVPR 2023, arXiv 2211.13218.
    Family: prompts
    Networks: vit
    Gradients: parts
    Trains: the task's components (prompts, keys, attention vectors) and one linear head, end to end. Earlier components
        are used but frozen. The backbone is frozen.
    Stores: M components over all tasks (ViT-B, M = 100, 5 blocks: 15.4 MB), M / T of them per task.
    Cost: two forward passes per test image, the first memoised across runs.
    Differences from the paper: as in the released code, components are made orthonormal at the start of each task, not
        once, and the penalty is off (the paper has `ortho=0.1`). New components are exactly orthogonal to the span of
        the trained old ones; the code's Gram-Schmidt is only approximate there. The last, smaller batch of an epoch is
        used; the code drops it. New rows of the head are drawn with each task; the code draws all rows at the start.
    """

    @dataclass(frozen=True)
    class Options(Prompted.Options):
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(0.001, "learning rate of components and head", gt=0, search=scales.log(1e-4, 1e-1))
        schedule: str = option("quarter-cosine", "learning-rate schedule, restarted for every task", choices=SCHEDULES)
        clip: float = option(0.0, "upper bound of the gradient norm; 0: none", ge=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        head_init: str = option("linear", HEAD_INIT, choices=HEAD_INITS)
        components: int = option(100, "components per block over all tasks (M)", ge=0)
        length: int = option(
            8, "rows of a component: half for keys, half for values", ge=0, search=scales.among(4, 8, 16)
        )
        layers: tuple[int, ...] = option((0, 1, 2, 3, 4), "blocks with prompts", ge=0)
        ortho: float = option(
            0.0, "weight of the orthogonality penalty (lambda_o)", ge=0, search=scales.among(0.0, 0.1, 1.0)
        )

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        attention_blocks(self.backbone, max(o.layers, default=-1) + 1)
        if o.length % 2:
            raise UsageError(f"length={o.length} must be even: half of the rows are keys, half values.")
        if 0 < o.components < info.n_tasks:
            raise UsageError(
                f"components={o.components} are too few for {info.n_tasks} tasks; raise it to {info.n_tasks} or more."
            )
        self.components = Components().to(self.device)

    def begin(self, task: int) -> None:
        o, count = self.options, self.options.components // self.info.n_tasks
        self.components.grow(len(o.layers), count, o.length, self.backbone.dim, self.init_rng("components"))

    def prompts(self, task: int) -> Iterable[nn.Parameter]:
        return self.components[task]

    def instructed(self, images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        o = self.options
        if not (o.components and o.length and o.layers):  # a prompt of zeros would change the features
            return self.backbone(images)
        prompts = self.components.compose(queries)
        prefixes = {n: Prefix(*p.chunk(2, 1)) for n, p in zip(o.layers, prompts, strict=True)}
        return prefixed(self.backbone, images, prefixes)

    def extra(self, queries: Tensor, task: int) -> Tensor | float:
        return self.options.ortho * self.components.penalty() if self.options.ortho else 0.0
