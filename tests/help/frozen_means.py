"""What the tests of `fscil-frozen` and `fscil-tricks` share: a small few-shot stream, learners, their state."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.resnet import BasicBlock
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.backbone.cifar_resnet import SmallResNet
from cl.backbone.transform import Transform
from cl.strategies.fscil_frozen import FSCILFrozen
from cl.testing import tiny_backbone
from cl.training.fit import FitSpec
from cl.training.journal import Learner
from tests.conftest import tiny_stream
from tests.help.plain_loops import Keeping, Tensors

QUICK: dict[str, Any] = {
    **{"epochs": 3, "batch_size": 18, "lr": 0.01, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    **{"milestones": (2,), "gamma": 0.3, "augment": "crop-flip", "scale": 4.0},
}
OFF: dict[str, Any] = {
    **{"supcon": 0.0, "prototypes": "trained", "pseudo": "none"},
    **{"subnet": 0.0, "pretrain_epochs": 0, "rotation": 0.0},
}
"""Options of `fscil-tricks` without a trick."""


def few_shot(**options: Any) -> Any:
    """Six base classes, then two tasks of two classes with three images each."""
    return tiny_stream(**{"shots": 3, "increment": 2, "test_per_class": 2, **options})


def tiny_resnet() -> Backbone:
    """A ResNet of four narrow blocks for 8-pixel images, with batch norms."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallResNet(BasicBlock, (1, 1, 1, 1), channels=(8, 8, 12, 16), num_classes=0)
    identity = {"name": "tiny-resnet", "weights_sha256": "random-0", "parameters": 0, "dim": 16, "input": {"size": 8}}
    return Backbone(model, Transform(8, (0.5,) * 3, (0.5,) * 3), {**identity, "pretraining": "none"})


PARTS = ("head", "extra", "projector", "turns")
"""What is trained beside the network, and dropped after the first task."""


class Recording(Keeping):
    """A trainer that also keeps the parts beside the network, before and after each fit, as PART.NAME."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[tuple[int, str], Tensors] = {}
        self.after: dict[tuple[int, str], Tensors] = {}
        self.specs: dict[tuple[int, str], FitSpec] = {}

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        key = self.journal.task, phase
        self.specs[key], self.before[key] = spec, parts_of(strategy)
        result = super().fit(strategy, phase, spec)
        self.after[key] = parts_of(strategy)
        return result


def parts_of(strategy: Any) -> Tensors:
    """Copies of the parameters of the network, by their names, and of the parts beside it."""
    found = {name: value.detach().clone() for name, value in strategy.backbone.model.named_parameters()}
    for part in PARTS:
        module = getattr(strategy, part, None)
        if module is not None:
            found |= {f"{part}.{name}": value.detach().clone() for name, value in module.named_parameters()}
    return found


def features(model: nn.Module, held: Tensors, x: Tensor) -> Tensor:
    """Features of normalised images by the weights `held`."""
    own = {name: value for name, value in held.items() if name.partition(".")[0] not in PARTS}
    found: Tensor = functional_call(model, own, (x,))
    return found


def cosine(one: Tensor, two: Tensor) -> Tensor:
    """Cosines of all rows, one by one."""
    return F.cosine_similarity(one[:, None], two[None], dim=2)


def learner(cls: type[FSCILFrozen], backbone: Backbone | None = None, **options: Any) -> Any:
    """A learner on the tiny backbone without dropout, whose trainer keeps batches and weights."""
    backbone = backbone or tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return cls(cls.Options(**{**QUICK, **options}), backbone, Recording())


def tensors(strategy: Any) -> dict[str, Tensor]:
    """Copies of the parameters and buffers of the network."""
    return {name: tensor.detach().clone() for name, tensor in strategy.backbone.model.state_dict().items()}
