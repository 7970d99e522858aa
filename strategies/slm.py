"""SLM: a pool of low-rank changes of a frozen backbone; every image uses those whose keys are nearest to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cl.bases.prompted import Prompted
from cl.parts.attached import GroupedKeys, LoRA
from cl.strategy import Batch, MultiStep, Needs, StreamInfo, TaskSize, View, Work, option, scales
from cl.training.optim import adamw


class SLM(Prompted):
    """Scalable language model, transplanted to images: retrieval of low-rank changes by the class token, per image.

    Name: SLM
    Paper: Peng, Tian, Liu, Yang, Jia. Scalable Language Model with Generalized Continual Learning. ICLR 2024, arXiv
        2404.07470.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: per task the keys of its slots, then its slots (a LoRA on the qkv of every block each) and its rows of one
        linear head; the backbone and all earlier slots and keys are frozen.
    Stores: per task `slots` keys of the size of a feature, and as many LoRAs (ViT-B, 4 slots of rank 12: 7.1 MB).
    Cost: two forward passes per test image; the first, of the frozen backbone, is memoised across runs.
    Differences from the paper: a transplant; the paper trains language models, and its queries come from a sentence
        encoder. Here a query is the class token of the frozen backbone. In the code the keys of all tasks are fitted in
        advance on the images of all tasks, which a stream does not have: a view holds the images of its own task, so
        that variant cannot be run here. The code can also merge keys that were fitted task by task, and this is what is
        done here: the keys of a task are fitted when it arrives. So no task retrieves slots of later tasks in training;
        in the code they compete. The code averages similarities over the batch, so a test batch of one task reveals
        it; here every image retrieves its own slots. The code changes the output layer of attention and draws b from a
        normal distribution; here it is qkv, with the initial values of the LoRA part. The code trains with AdamW, a
        warm-up and a linear decay, and loads the checkpoint that is best on the test set; here by Adam at a constant
        rate, so that heads of earlier tasks stay as they are, to the last step. Tasks have heads of their own in the
        code (tasks with as many classes share one), and are not compared; here they are.
    """

    @dataclass(frozen=True)
    class Options(Prompted.Options):
        slots: int = option(4, "slots per task", ge=1)
        top: int = option(4, "slots per image (k)", ge=1)
        rank: int = option(12, "rank of a slot", ge=1)
        groups: int = option(4, "groups of features, each with its own keys (G; the paper's is 6)", ge=1)
        retrieval: str = option(
            "seen", "slots to choose from in training, and of a given task at test time: those of all tasks so far, or "
            "those of the task", choices=("seen", "task"),
        )  # fmt: skip
        lr: float = option(3e-4, "learning rate of slots and head", gt=0, search=scales.log(1e-4, 3e-2))
        clip: float = option(1.0, "upper bound of the gradient norm; 0: none", ge=0)
        key_epochs: int = option(3, "epochs that fit the keys of a task; every two, the rate falls to a tenth", ge=1)
        key_batch_size: int = option(16, "queries per step of the keys", ge=1)
        key_lr: float = option(5e-4, "learning rate of the keys (AdamW)", gt=0)
        key_top: int = option(2, "nearest keys that a query pulls, in each group", ge=1)
        key_dropout: float = option(0.25, "share of keys that a query passes over when keys are fitted", ge=0, lt=1)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return super().work(options, task) + Work(looked_up=options.key_epochs * task.images)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.keys = GroupedKeys(self.backbone.dim, self.options.groups).to(self.device)
        self.lora = LoRA(self.backbone, self.options.rank, ("attn.qkv",), slots=0, generator=self.init_rng("slots"))

    def learn(self, view: View) -> None:
        self.keys.grow(self.options.slots, self.init_rng("keys"))
        drawn = self.init_rng("slots")
        for _ in range(self.options.slots):
            self.lora.grow(drawn)
        self._fit_keys(view)
        super().learn(view)

    def prompts(self, task: int) -> Iterable[nn.Parameter]:
        newest = slice(-self.options.slots, None)
        return [factor for factors in (self.lora.a[newest], self.lora.b[newest]) for slot in factors for factor in slot]

    def instructed(self, images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        chosen = self.options.retrieval == "task" and task is not None and task < len(self.keys.rows)
        weights = self.keys.weights(queries, self.options.top, task if chosen else None)
        return self.lora(self.backbone, images, weights)

    def _fit_keys(self, view: View) -> None:
        """Pull the task's keys to its queries."""
        o = self.options

        def loss(batch: Batch) -> Tensor:
            return self.keys.pull(batch.x, o.key_top, o.key_dropout)

        self.fit(
            "keys",
            self.encoded_batches(view.train, o.key_batch_size),
            loss,
            [self.keys.rows[-1]],
            epochs=o.key_epochs,
            optimizer=adamw(o.key_lr),
            schedule=MultiStep(tuple(range(2, o.key_epochs, 2))),
            clip=0.1,
        )
