"""Joint training on the data of all tasks at once: an upper bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cl.parts.heads import GrowingHead
from cl.strategies.finetune import Finetune
from cl.strategy import StreamInfo, TaskSize, View, Work, option


class Joint(Finetune):
    """Fine-tuning on the union of all tasks; an upper bound, not a continual learner.

    Name: Joint training
    Paper: none; after RanPAC (`joint_full`, `joint_linear`) and CODA-Prompt (`--upper_bound_flag`, `--oracle_flag`).
    Family: baselines
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: backbone and head (`trains=all`) or the head only (`trains=head`), with a softmax over all classes.
    Stores: all training images seen. Because it reads the past, leaderboards show it as an unranked upper bound.
    Cost: `once` takes as many steps as training on the tasks in sequence; `oracle` takes (T + 1) / 2 times as many.
    Differences from the paper: images are augmented again in every epoch (mammoth's joint repeats one augmented pass).
        The head is linear; RanPAC's is a cosine head. With `form=once` the accuracy matrix has only its last row, and
        forgetting is undefined, not 0.
    """

    access = "past"

    @dataclass(frozen=True)
    class Options(Finetune.Options):
        form: str = option(
            "once", "train once on all tasks, or train a new model after every task", choices=("once", "oracle")
        )
        loss: str = option("global", "softmax over all classes seen", choices=("global",))

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        if options.form == "once":
            found = super().work(options, task)  # the sum over tasks is that of the one training
            return found if task.last else replace(found, test_passes=0, test_lookups=0)
        return super().work(options, replace(task, images=task.earlier + task.images))

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.trained = False
        if self.options.form == "oracle":
            self.backbone.keep_pretrained()

    @property
    def ready(self) -> bool:
        return self.trained

    def learn(self, view: View) -> None:
        if self.options.form == "once" and not view.last:
            return
        if self.options.form == "oracle":
            self.backbone.reset()
            self.head = GrowingHead(self.backbone.dim, init=self.options.head_init).to(self.device)
        self._train([*view.past, view.train], view.seen, len(view.seen))
        self.trained = True
