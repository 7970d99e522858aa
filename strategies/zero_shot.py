"""Zero-shot classification with the text embeddings of class names, and fine-tuning from that head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.replayed import Replayed
from cl.parts.attached import text_of
from cl.parts.heads import TextHead, class_texts, templates
from cl.strategy import SETTINGS, Batch, Inputs, Needs, StreamInfo, View, option, scales


class ZeroShot(Replayed):
    """A CLIP's zero-shot classifier; with `trains` other than none, fine-tuning that starts from it.

    Name: Zero-shot CLIP
    Paper: Radford et al. Learning Transferable Visual Models From Natural Language Supervision. ICML 2021, arXiv
        2103.00020. Fine-tuning from this head is the base that Stojanovski, Roth, Akata (arXiv 2211.03186) interpolate:
        `-s momentum --set base=zero-shot --set base.trains=all`.
    Family: baselines
    Networks: clip
    Gradients: whole
    Trains: nothing; or the image tower, the head, or both, as `finetune` and `replay` do. Features are unit vectors,
        and rows of the head at first 100 times the text embeddings of the classes: logits are 100 cos(image, text).
    Stores: the head; `memory_size` images if it replays.
    Cost: one pass of the image tower per test image, and the captions of each class through the text tower once.
    Differences from the paper: the mean over seven templates stands for the 80 of ImageNet, with `template=ensemble`.
        Logits have the paper's factor of 100 also for a CLIP that learned another one, which changes no answer as long
        as nothing is trained. Underscores in names of classes become spaces.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options(Replayed.Options):
        trains: str = option(
            "none", "train nothing, the head, the image tower (backbone), or both (all)",
            choices=("none", "head", "backbone", "all"),
        )  # fmt: skip
        loss: str = option(
            "global", "softmax over all classes seen (global), or over the task's classes", choices=("local", "global")
        )
        lr: float = option(1e-4, "learning rate of the head", gt=0, search=scales.log(1e-6, 1e-3))
        template: str = option(
            "a photo of a [].", "caption of a class, [] stands for its name; ensemble: seven captions"
        )
        scale: float = option(100.0, "factor of the cosines at first", gt=0)

        def __post_init__(self) -> None:
            if self.trains == "none" and self.memory_size:
                raise ValueError(f"memory_size={self.memory_size} needs something to train; set trains=all.")

    @classmethod
    def needs(cls, options: Any) -> Needs:
        needs = super().needs(options)
        if options.trains == "none":
            return Needs(text=True)
        still = options.trains == "head"
        return Needs(
            compares=needs.compares, batch_size=0 if still else needs.batch_size, batches=needs.batches, text=True
        )

    def setup(self, info: StreamInfo) -> None:
        text_of(self.backbone)
        templates(self.options.template)
        super().setup(info)
        self.head: TextHead = TextHead(self.backbone.dim).to(self.device)

    def learn(self, view: View) -> None:
        if len(view.seen) > self.head.classes:
            new = range(self.head.classes, len(view.seen))
            self.head.rows = self.compute("captions", lambda: self._rows(new)).to(self.device)
        super().learn(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(F.normalize(inputs.encode(self.backbone), dim=-1))

    def tuned(self) -> dict[str, nn.Parameter]:
        return super().tuned() if self.options.trains in ("backbone", "all") else {}

    def _rows(self, new: range) -> Tensor:
        names = [self.info.class_names[position] for position in new]
        return self.options.scale * class_texts(text_of(self.backbone), names, self.options.template)

    def _train(self, images: list[Any], classes: tuple[int, ...], seen: int) -> None:
        if self.options.trains == "none":
            self.head.grow_to(seen, self.init_rng("head"))
        else:
            super()._train(images, classes, seen)

    def _features(self, batch: Batch) -> Tensor:
        return F.normalize(super()._features(batch), dim=-1)

    def _groups(self) -> list[dict[str, Any]]:
        groups = super()._groups()
        return groups[:-1] if self.options.trains == "backbone" else groups
