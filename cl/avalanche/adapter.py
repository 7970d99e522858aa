"""The adapter that makes a training strategy of avalanche-lib a clbench strategy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from cl import scales
from cl.avalanche.benchmark import LabelledImages
from cl.avalanche.lib import DatasetExperience, EvaluationPlugin, SupervisedTemplate, make_dataset, quiet
from cl.avalanche.meter import Meter
from cl.backbone import Backbone
from cl.options import option
from cl.strategy import Inputs, Needs, Strategy
from cl.stream import StreamInfo, View
from cl.training.augment import RECIPES, augment
from cl.training.state import State

EVAL_BATCH = 64
"""Batch size of Avalanche's passes without gradients; results do not depend on it."""


class AvalancheStrategy(Strategy):
    """A strategy of avalanche-lib that trains the backbone and a linear classifier over all classes of the stream.

    A subclass builds the Avalanche strategy (`build`), and copies the state that its plugins keep between tasks to and
    from public attributes (`keep`, `restore`). The Avalanche object exists for one task and is rebuilt from our state
    for the next, so a resumed run gives exactly the result of an uninterrupted run.
    """

    resumes: ClassVar[str] = "task"

    @dataclass(frozen=True)
    class Options:
        """The defaults are those of finetune; Avalanche's are one epoch, batches of one image, and no learning rate."""

        epochs: int = option(5, "epochs per task", ge=1)
        batch_size: int = option(128, "images of the task per step", ge=1)
        lr: float = option(0.01, "learning rate of backbone and classifier", gt=0, search=scales.log(1e-4, 1e-1))
        momentum: float = option(
            0.9, "SGD momentum; as in Avalanche, the next task continues with its buffers", ge=0, lt=1
        )
        weight_decay: float = option(0.0, "weight decay of backbone and classifier", ge=0)
        augment: str = option("rrc-flip", "augmentation of every training batch", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(batch_size=options.batch_size, merges=False)

    # ------------------------------------------------------------------------------- what a subclass implements

    def build(self, model: nn.Module, **common: Any) -> SupervisedTemplate:
        """Avalanche's strategy object; `common` are the arguments shared by all its strategies."""
        raise NotImplementedError

    def restore(self, algorithm: SupervisedTemplate) -> None:
        """Copy the state after the previous tasks into a new Avalanche object."""

    def keep(self, algorithm: SupervisedTemplate) -> None:
        """After a task, copy the state that the next task needs from the Avalanche object."""

    def model(self) -> nn.Module:
        """The module that Avalanche trains: images to logits."""
        return nn.Sequential(PixelFeatures(self.backbone), self.classifier)

    # --------------------------------------------------------------------------------------------- our contract

    def setup(self, info: StreamInfo) -> None:
        self.classifier = nn.Linear(self.backbone.dim, info.n_classes)
        bound, generator = 1 / math.sqrt(self.backbone.dim), self.init_rng("classifier")
        with torch.no_grad():  # PyTorch's own initialisation, drawn from our stream
            for parameter in self.classifier.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
        self.classifier.requires_grad_(False).to(self.device)
        self.seen = 0
        self.momenta: list[Tensor | None] = []

    def learn(self, view: View) -> None:
        self.compute("avalanche", lambda: self._learn(view), count=False)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.classifier(inputs.encode(self.backbone))[:, : self.seen]

    # -------------------------------------------------------------------------------------------------- training

    def _learn(self, view: View) -> None:
        o, model = self.options, self.model()
        generator = self.rng("augment")

        def augmented(pixels: Tensor) -> Tensor:
            return augment(pixels, o.augment, self.backbone.transform, generator)

        for parameter in model.parameters():
            parameter.requires_grad_(True)
        with quiet(), Meter(self.trainer, model, augmented) as meter:
            optimizer = torch.optim.SGD(model.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay)
            algorithm = self.build(
                model,
                optimizer=optimizer,
                train_mb_size=o.batch_size,
                train_epochs=o.epochs,
                eval_mb_size=EVAL_BATCH,
                device=self.device,
                plugins=[meter],
                evaluator=EvaluationPlugin(),
            )
            algorithm.clock.train_exp_counter = view.task
            # Avalanche clears the state of an optimiser that it does not know; mark this one as known.
            algorithm.optimized_param_id = dict(algorithm.model.named_parameters())
            for parameter, momentum in zip(model.parameters(), self.momenta, strict=False):
                optimizer.state[parameter] = {"momentum_buffer": momentum}
            self.restore(algorithm)
            images = LabelledImages(view.train)
            algorithm.train(experience(images, view.train.labels, view, self.info), eval_streams=[])
        self.seen = max(self.seen, max(view.seen) + 1)
        self.momenta = [optimizer.state[parameter].get("momentum_buffer") for parameter in model.parameters()]
        self.keep(algorithm)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        model.eval()


class PixelFeatures(nn.Module):
    """A backbone that also takes uint8 images [B, C, h, w], so that memories can hold bytes."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images if images.is_floating_point() else self.backbone.transform(images))


class Kept:
    """The state of a plugin between tasks: nested tensors and scalars, whose bytes count as `stores`."""

    def __init__(self, stores: str) -> None:
        self.stores = stores
        self.items: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.items)

    def get_state(self) -> State:
        return self.items

    def set_state(self, state: State) -> None:
        self.items = state


def experience(images: Dataset, labels: Tensor, view: View, info: StreamInfo) -> DatasetExperience:
    """One task as an Avalanche experience; `benchmark` has the attributes that ICaRL needs, but no images."""
    dataset = make_dataset(images, targets=labels.tolist(), task_labels=0)
    made = DatasetExperience(dataset=dataset, current_experience=view.task)
    made.benchmark = SimpleNamespace(
        n_classes_per_exp=list(info.classes_per_task), classes_order=list(range(info.n_classes))
    )
    return made


def pixels_dataset(pixels: Tensor, labels: Tensor) -> Any:
    """Kept images, uint8 [N, C, H, W], with positions [N], as an Avalanche dataset."""
    return make_dataset(TensorDataset(pixels, labels), targets=labels.tolist(), task_labels=0)


def plugin_with(algorithm: SupervisedTemplate, attribute: str) -> Any:
    """The plugin of an Avalanche strategy that holds `attribute`."""
    return next(plugin for plugin in algorithm.plugins if hasattr(plugin, attribute))
