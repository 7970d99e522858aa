"""CPE-CLIP: prompts in both towers of a frozen CLIP, for few-shot class-incremental learning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Attached, ClipPrompts, text_of
from cl.parts.attached.clip_prompts import MODES
from cl.parts.heads import captions, templates
from cl.parts.losses import positions
from cl.strategy import (
    RECIPES,
    Batch,
    Inputs,
    Needs,
    Step,
    Strategy,
    StreamInfo,
    UsageError,
    View,
    When,
    option,
    scales,
    sgd,
)


@dataclass(frozen=True)
class WarmRestarts:
    """Rates in units of the largest: linear from `least` to 1 over `warmup` epochs, half a cosine back, then again."""

    least: float
    warmup: int
    cycle: int

    def __call__(self, when: When) -> float:
        epoch = when.epoch % self.cycle
        if epoch < self.warmup:
            return self.least + (1 - self.least) * epoch / self.warmup
        share = (epoch - self.warmup) / (self.cycle - self.warmup)
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * share)) / 2


class CpeClip(Strategy):
    """CPE-CLIP: learn prompts for both towers of a frozen CLIP, with smaller steps the more classes were seen before.

    Name: CPE-CLIP
    Paper: D'Alessandro, Alonso, Calabres, Galar. Multimodal Parameter-Efficient Few-Shot Class Incremental Learning.
        ICCV Workshops 2023, arXiv 2303.04751.
    Family: prompts
    Networks: clip
    Gradients: parts
    Trains: prompts g [D, L, w] and a linear map A. Layer i of the text tower gets g_i in place of g_(i-1), after the
        first token of a caption; layer i of the image tower gets A g_i at the end of its sequence, after the outputs at
        the prompts before. Logits are 100 cos(image, text); the loss is the cross-entropy over the classes of the
        session. From the second session on, gradients are multiplied by lambda_t = |C_t| / sum_(s <= t) |C_s|.
    Stores: g, A, and the text embeddings of the classes seen.
    Cost: one pass of the image tower with up to 2 D more tokens per test image, for which text embeddings are kept. A
        training step also passes, forward and backward, the captions of the session's classes through the text tower.
    Differences from the paper: checked against neuraptic/cpe-clip@9309631. Its steps encode the captions of all classes
        seen and set the logits of old ones to -9999, which get a softmax of exactly 0; here old captions are not
        encoded. Its learning rate of 0.00325 has no effect, because its schedule overwrites it at once: from 0.001 in
        the first epoch of a session to 0.0089 in the fifth. Its option `freeze` freezes g from the third session on and
        leaves A to train, because it sets an attribute of the module; here both are frozen after the first session.
        Underscores in names of classes become spaces. Image towers of timm work too; A g_0 enters their first layer.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(5, "epochs of the first session", ge=1)
        batch_size: int = option(32, "images per step of the first session", ge=1)
        session_epochs: int = option(5, "epochs of a later session", ge=1)
        session_batch_size: int = option(4, "images per step of later sessions", ge=1)
        length: int = option(2, "prompts per layer (L); 0: none, the zero-shot CLIP", ge=0)
        depth: int = option(12, "layers with prompts (D), at most those of the deeper tower", ge=1)
        text_mode: str = option(
            "replace", "what becomes of prompts of the layer before, in the text tower", choices=MODES
        )
        image_mode: str = option(
            "accumulate", "what becomes of prompts of the layer before, in the image tower", choices=MODES
        )
        template: str = option("[].", "caption of a class; [] stands for its name")
        regularization: str = option(
            "balance", "later sessions: scale gradients by lambda_t, do not, or train no more",
            choices=("balance", "none", "freeze"),
        )  # fmt: skip
        scale: float = option(100.0, "factor of the cosines", gt=0)
        max_lr: float = option(0.1, "learning rate after the warm-up", gt=0, search=scales.log(1e-2, 1.0))
        min_lr: float = option(0.001, "learning rate in the first epoch of a session", gt=0)
        warmup: int = option(50, "epochs of the warm-up", ge=0)
        cycle: int = option(200, "epochs after which the schedule starts again", ge=1)
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(1e-5, "weight decay of prompts and map", ge=0)
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

        def __post_init__(self) -> None:
            if self.warmup >= self.cycle:
                raise ValueError(f"warmup={self.warmup} must be less than cycle={self.cycle}.")
            if self.min_lr > self.max_lr:
                raise ValueError(f"min_lr={self.min_lr} must not be above max_lr={self.max_lr}.")
            if len(templates(self.template)) > 1:
                raise ValueError(f"template={self.template} has several captions; prompts are learned with one, as [].")

    @classmethod
    def needs(cls, options: Options) -> Needs:
        return Needs(compares="its softmax over the classes of a session" if options.length else "", text=True)

    def setup(self, info: StreamInfo) -> None:
        o, text = self.options, text_of(self.backbone)
        if o.length > text.context - 3:
            raise UsageError(
                f"length={o.length} prompts leave no room for a caption: the text tower takes {text.context} tokens; "
                "lower length."
            )
        self.prompts = ClipPrompts(self.backbone, o.length, o.depth, self.init_rng("prompts"))
        self.texts = torch.empty(0, self.backbone.dim, device=self.device)
        self._tokens = text.tokens(captions(info.class_names, o.template), room=o.length)

    def learn(self, view: View) -> None:
        o, first = self.options, view.task == 0
        if o.length and (first or o.regularization != "freeze"):
            share = 1.0 if first or o.regularization == "none" else len(view.classes) / len(view.seen)
            self.fit(
                "prompts",
                self.batches(view.train, o.batch_size if first else o.session_batch_size, o.augment),
                lambda batch: self.objective(batch, view.classes),
                self.prompts.parameters(),
                epochs=o.epochs if first else o.session_epochs,
                optimizer=sgd(o.max_lr, o.momentum, o.weight_decay),
                schedule=WarmRestarts(o.min_lr / o.max_lr, o.warmup, o.cycle),
                before_step=lambda step: self._shrink(step, share),
            )
        self.compute("captions", lambda: self._keep_texts(view.seen))

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        """The cross-entropy of a batch over the classes of its session."""
        own = positions(classes, self.device)
        texts = self.prompts.texts(self.backbone, self._tokens[own], self.options.text_mode)
        images = self.prompts.images(self.backbone, batch.x, self.options.image_mode)
        return F.cross_entropy(self._logits(images, texts), torch.searchsorted(own, batch.y))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self._logits(inputs.encode(self.extractor()), self.texts)

    def extractor(self) -> Attached:
        o, backbone, prompts = self.options, self.backbone, self.prompts
        return Attached(backbone, lambda x: prompts.images(backbone, x, o.image_mode), prompts.parameters())

    def _logits(self, images: Tensor, texts: Tensor) -> Tensor:
        return self.options.scale * F.normalize(images, dim=-1) @ texts.T

    @torch.no_grad()
    def _shrink(self, step: Step, share: float) -> None:
        for parameter in self.prompts.parameters():
            assert parameter.grad is not None
            parameter.grad.mul_(share)

    @torch.no_grad()
    def _keep_texts(self, seen: tuple[int, ...]) -> None:
        tokens = self._tokens[torch.tensor(seen, device=self.device)]
        self.texts = self.prompts.texts(self.backbone, tokens, self.options.text_mode)
