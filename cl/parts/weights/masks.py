"""Masks over the weights of a stock model: scores that choose masks, the masked pass, and the masks of each task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.weights.lend import under

_IN_BLOCK = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
"""The layers of a Vision Transformer's block that can be masked."""


def best(scores: Tensor, share: float) -> Tensor:
    """Mask of a layer's weights with the largest |score|, bool: a `share` of them, up to rounding and ties.

    Of n weights, all with at least the k-th smallest |score| are chosen, k = 1 + round((1 - share) (n - 1)).
    """
    size = scores.detach().abs()
    k = 1 + round((1 - share) * (size.numel() - 1))
    if size.device.type == "cpu" and size.dtype == torch.float32:
        return size >= _smallest(size.flatten().numpy(), k)
    return size >= size.flatten().kthvalue(k).values


def _smallest(values: NDArray[np.float32], k: int) -> float:
    """The k-th smallest (from 1) of finite floats >= 0; four times as fast as `kthvalue` on CPUs.

    Such floats are ordered like their bits, so a histogram of the upper 16 bits leaves few candidates.
    """
    bits = values.view(np.int32)
    upper = bits >> 16
    below = np.bincount(upper).cumsum()
    half = int(np.searchsorted(below, k))
    rank = k - 1 - (int(below[half - 1]) if half else 0)
    return float(np.partition(bits[upper == half], rank)[rank].view(np.float32))


def straight_through(mask: Tensor, scores: Tensor, *, of: str = "size") -> Tensor:
    """The values of `mask`, with the gradient of |scores| (`of="size"`), or of the scores themselves ("score")."""
    passed = scores.abs() if of == "size" else scores
    return mask + (passed - passed.detach())  # adds zero


def maskable(backbone: Backbone) -> tuple[str, ...]:
    """Names of the weights that can be masked: the blocks' linear layers in a Vision Transformer, else all convolutions
    and linear layers. Raises `UsageError` if there are none."""
    layers = {
        name: layer for name, layer in backbone.model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    if hasattr(backbone.model, "blocks") and hasattr(backbone.model, "patch_embed"):
        layers = {name: layer for name, layer in layers.items() if name.endswith(_IN_BLOCK)}
    if not layers:
        raise UsageError(
            f"backbone {backbone.identity['name']} has no layers whose weights can be masked; choose a convolutional "
            "network or a timm Vision Transformer."
        )
    return tuple(f"{name}.weight" for name in layers)


def last_block(names: Sequence[str]) -> str:
    """The module with the last of the named weights: `blocks.11` of a Vision Transformer, `layer4.1` of a ResNet."""
    return ".".join(names[-1].removesuffix(".weight").split(".")[:2])


def in_block(backbone: Backbone, block: str = "") -> tuple[str, ...]:
    """Names of the weights of a block that can be masked, by default of the last block; raises `UsageError` if it has
    none."""
    names = maskable(backbone)
    chosen = block or last_block(names)
    found = tuple(name for name in names if name.startswith(f"{chosen}."))
    if not found:
        raise UsageError(f"block={block} has no weights of its own to mask; {names[-1]} is in {last_block(names)}.")
    return found


class Scores(nn.Module):
    """A score for each weight of some layers of a backbone, and the masks chosen last.

    `names` are names of weights in the model, by default all that can be masked. Scores are initialised like PyTorch's
    weights of linear layers and convolutions. Masks are buffers, so `fit` saves them with the best state. `gradient`
    says where the gradient of a mask goes, see `straight_through`.
    """

    gradient = "size"

    def __init__(self, backbone: Backbone, generator: torch.Generator, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.names = tuple(names) if names is not None else maskable(backbone)
        self.values = nn.ParameterList()
        for i, weight in enumerate(self.weights(backbone)):
            bound = 1 / math.sqrt(weight[0].numel())
            drawn = torch.empty(weight.shape).uniform_(-bound, bound, generator=generator)
            self.values.append(nn.Parameter(drawn.to(weight.device, weight.dtype), requires_grad=False))
            self.register_buffer(f"mask{i}", torch.ones(weight.shape, dtype=torch.bool, device=weight.device))
        self.eval()

    def weights(self, backbone: Backbone) -> list[nn.Parameter]:
        """The weights that the scores belong to."""
        return [backbone.model.get_parameter(name) for name in self.names]

    @property
    def masks(self) -> list[Tensor]:
        """The masks chosen last, bool, one per layer."""
        return [self.get_buffer(f"mask{i}") for i in range(len(self.names))]

    def choose(self, share: float) -> list[Tensor]:
        """Choose masks by the current scores, store them, and return them as 0 and 1 with straight-through
        gradients."""
        chosen = []
        with torch.no_grad():
            for scores, mask in zip(self.values, self.masks, strict=True):
                mask.copy_(best(scores, share))
        for scores, mask in zip(self.values, self.masks, strict=True):
            chosen.append(straight_through(mask.to(scores.dtype), scores, of=self.gradient))
        return chosen

    def forward(self, backbone: Backbone, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Features [B, dim] of normalised images with every weight multiplied by its mask."""
        return masked_pass(backbone, self.names, masks, images)


def masked_pass(backbone: Backbone, names: Sequence[str], masks: Sequence[Tensor], images: Tensor) -> Tensor:
    """Features [B, dim] of normalised images with the named weights multiplied by masks, hard or soft."""
    weights = {name: backbone.model.get_parameter(name) * mask for name, mask in zip(names, masks, strict=True)}
    return under(backbone, weights, images)


class TaskMasks:
    """The masks of each task, one bit per weight, and their union.

    `shapes` are the shapes of the masked weights; `device` is their device.
    """

    stores = "parameters"

    def __init__(self, shapes: Sequence[torch.Size], device: torch.device | str = "cpu") -> None:
        self._shapes, self._device = [torch.Size(shape) for shape in shapes], torch.device(device)
        self.packed: list[list[Tensor]] = []  # per task and layer, uint8

    def __len__(self) -> int:
        return len(self.packed)

    def add(self, masks: Sequence[Tensor]) -> None:
        """Keep the masks of a task, one per layer."""
        self.packed.append([pack(mask) for mask in masks])

    def __getitem__(self, task: int) -> list[Tensor]:
        """The masks of a task, bool, one per layer."""
        return [unpack(bits, shape) for bits, shape in zip(self.packed[task], self._shapes, strict=True)]

    def union(self, tasks: int | None = None) -> list[Tensor]:
        """Weights that any task uses, or any of the first `tasks`, bool, one per layer."""
        taken = [torch.zeros(shape, dtype=torch.bool, device=self._device) for shape in self._shapes]
        for task in range(len(self) if tasks is None else tasks):
            taken = [before | mask for before, mask in zip(taken, self[task], strict=True)]
        return taken

    @property
    def density(self) -> float:
        """Share of the weights that any task uses."""
        return self.density_of(len(self))

    def density_of(self, tasks: int) -> float:
        """Share of the weights that any of the first `tasks` uses."""
        taken = self.union(tasks)
        return sum(int(mask.sum()) for mask in taken) / sum(mask.numel() for mask in taken)

    def get_state(self) -> list[list[Tensor]]:
        return self.packed

    def set_state(self, state: list[list[Tensor]]) -> None:
        self.packed = [[bits.to(self._device) for bits in task] for task in state]


def pack(mask: Tensor) -> Tensor:
    """The bits of a bool tensor as uint8, eight per byte, the first bit least significant."""
    bits = torch.nn.functional.pad(mask.flatten(), (0, -mask.numel() % 8)).view(-1, 8)
    return (bits.to(torch.uint8) << torch.arange(8, dtype=torch.uint8, device=mask.device)).sum(1, dtype=torch.uint8)


def unpack(packed: Tensor, shape: torch.Size) -> Tensor:
    """Inverse of `pack`."""
    places = torch.arange(8, dtype=torch.uint8, device=packed.device)
    return ((packed[:, None] >> places) & 1).bool().flatten()[: shape.numel()].view(shape)


def selected(names: Sequence[str], weights: Sequence[Tensor], masks: Sequence[Tensor]) -> dict[str, Tensor]:
    """Masked weights by name: +0 for entries whose mask is false."""
    return {n: w.detach().where(m, 0.0) for n, w, m in zip(names, weights, masks, strict=True)}
