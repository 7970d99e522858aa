"""LoRA: low-rank additions to linear layers, to the row groups of a fused qkv, and to convolutions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import Attached, Override, overridden

GROUPS = ("q", "k", "v")
"""The row groups of the weight of a fused qkv layer, in their order."""

KERNELS = ((1, 1), (3, 3))
"""Kernels of the convolutions that may get an addition."""

_CHOICE = "choose other targets, the ends of names of linear layers or of plain 1x1 or 3x3 convolutions."


@dataclass(frozen=True)
class Site:
    """Rows `start` to `stop` of the weight of a layer, which have an A and a B of their own."""

    layer: str
    start: int
    stop: int


class LoRA(nn.Module):
    """The weight of each target layer becomes W + sum_k w_k s B_k A_k, over `slots` k; the products are never formed.

    LoRA (Hu et al. 2022). `targets` are ends of names of layers: "attn.qkv" is that layer of every block. A convolution
    gets an A with the kernel, stride and padding of the layer, from its inputs to `rank` channels, and a B of 1x1. With
    `groups`, each of these parts ("q", "k", "v") of a layer called qkv has its own A and B, and the other parts have no
    addition; without, the fused layer has one A and one B. A is drawn as in peft (Kaiming uniform, a = sqrt 5); B
    starts at 0, so a new slot changes nothing. `a[slot]` and `b[slot]` hold a factor per site, in the order of `sites`.
    `dropout` acts on the inputs of the A. Attached only during a pass, and gradients reach the factors and the weights
    w, not W.

    Raises `UsageError` for targets that the backbone lacks or uses by their weight only (the qkv of BEiT), for a
    convolution with another kernel or with groups, for row groups of a qkv whose rows are ordered by head, and for a
    rank above the size of a layer.
    """

    def __init__(
        self,
        backbone: Backbone,
        rank: int,
        targets: Sequence[str],
        *,
        generator: torch.Generator,
        groups: Sequence[str] = (),
        scale: float = 1.0,
        slots: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.rank, self.scale, self.dropout = rank, scale, dropout
        self.sites = _sites(backbone, targeted(backbone, targets), groups)
        self._shapes = {name: tuple(_layer(backbone, name).weight.shape) for name in {s.layer for s in self.sites}}
        for site in self.sites:
            _check_rank(backbone, site, rank, self._shapes[site.layer])
        _check_called(backbone, list(self._shapes))
        self.place: Tensor  # has the device and the dtype of new slots
        self.register_buffer("place", next(backbone.parameters()).new_empty(0), persistent=False)
        self.a = cast(list[nn.ParameterList], nn.ModuleList())  # typed by what it holds
        self.b = cast(list[nn.ParameterList], nn.ModuleList())
        for _ in range(slots):
            self.grow(generator)
        self.eval()

    def __len__(self) -> int:
        """Number of slots."""
        return len(self.a)

    def grow(self, generator: torch.Generator) -> None:
        """Append a slot."""
        self._append()
        self.redraw(generator)

    def _append(self) -> None:
        a, b = nn.ParameterList(), nn.ParameterList()
        for site in self.sites:
            shape = (self.rank, *self._shapes[site.layer][1:])
            a.append(nn.Parameter(self.place.new_zeros(shape), requires_grad=False))
            b.append(nn.Parameter(self.place.new_zeros(site.stop - site.start, self.rank), requires_grad=False))
        self.a.append(a)
        self.b.append(b)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Draw the A of the newest slot again and set its B to 0, in place."""
        for a, b in zip(self.a[-1], self.b[-1], strict=True):
            bound = 1 / math.sqrt(a[0].numel())
            a.copy_(torch.empty(a.shape).uniform_(-bound, bound, generator=generator))
            b.zero_()

    # ---------------------------------------------------------------------------------------------------- forward

    def forward(self, backbone: Backbone, images: Tensor, weights: Tensor | None = None) -> Tensor:
        """Features [B, dim] of normalised images; `weights` as for `attached`."""
        with self.attached(backbone, weights):
            return cast(Tensor, backbone(images))

    def attached(self, backbone: Backbone, weights: Tensor | None = None) -> AbstractContextManager[None]:
        """Within a `with` block, the layers of the backbone compute with the additions, also with lent weights.

        `weights` of the slots are [slots], or [B, slots] for each image of a batch; by default each is 1.
        """
        return overridden(self._overrides(backbone, weights) if len(self) else ())

    def _overrides(self, backbone: Backbone, weights: Tensor | None) -> Iterator[Override]:
        for name, numbers in self._by_layer():
            layer = _layer(backbone, name)
            yield layer, "forward", functools.partial(self._add, layer, name, numbers, layer.forward, weights)

    def _by_layer(self) -> Iterator[tuple[str, list[int]]]:
        """Each layer, and the numbers of its sites."""
        for name, numbers in itertools.groupby(range(len(self.sites)), lambda number: self.sites[number].layer):
            yield name, list(numbers)

    def _add(
        self,
        layer: nn.Linear | nn.Conv2d,
        name: str,
        numbers: list[int],
        forward: Callable[[Tensor], Tensor],
        weights: Tensor | None,
        x: Tensor,
    ) -> Tensor:
        """One product with the A of all slots and groups of the layer, and one with the B."""
        a, b = self._stacked(name, numbers)
        if isinstance(layer, nn.Conv2d):
            out, x = forward(x), F.dropout(x, self.dropout, self.training)
            hidden = F.conv2d(x, a, None, layer.stride, layer.padding, layer.dilation)
            if weights is not None:
                hidden = hidden * self._widened(weights, len(numbers))[..., None, None]
            return out + F.conv2d(hidden, self.scale * b[..., None, None])
        rows = x.flatten(0, -2)  # products of matrices are the fastest in the backward pass
        hidden = F.dropout(rows, self.dropout, self.training) @ a.mT
        if weights is not None:
            factor = self._widened(weights, len(numbers)).reshape(-1, 1, hidden.shape[1])
            hidden = (hidden.unflatten(0, (len(factor), -1)) * factor).flatten(0, 1)  # tokens of an image are adjacent
        total = torch.addmm(forward(rows), hidden, b.mT, alpha=self.scale)
        return total.unflatten(0, x.shape[:-1])

    def _stacked(self, name: str, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """The factors of a layer: A [K, in, ...] and B [out, K], K = groups * slots * rank; B is 0 outside its rows."""
        rows, tall, wide = self._shapes[name][0], [], []
        for number in numbers:
            site = self.sites[number]
            tall += [slot[number] for slot in self.a]
            b = _joined([slot[number] for slot in self.b], 1)
            outside = (site.start, rows - site.stop)
            wide.append(F.pad(b, (0, 0, *outside)) if any(outside) else b)
        return _joined(tall, 0), _joined(wide, 1)

    def _widened(self, weights: Tensor, groups: int) -> Tensor:
        """Weights [..., slots] for every row of the stacked A, [..., groups * slots * rank]."""
        return weights.repeat_interleave(self.rank, -1).tile((groups,))

    def extractor(self, backbone: Backbone, weights: Tensor | None = None, *, lasting: bool = False) -> Attached:
        """The deterministic pass with all slots and `weights` [slots], for memoised features; `lasting` if neither
        will change again."""
        held = [*self.parameters(), *([] if weights is None else [weights])]
        return Attached(backbone, functools.partial(self, backbone, weights=weights), held, lasting=lasting)

    # ---------------------------------------------------------------------------------------------------- weights

    @torch.no_grad()
    def deltas(self, weights: Tensor | None = None) -> dict[str, Tensor]:
        """sum_k w_k s B_k A_k for every weight that has an addition, by its name in the model."""
        found = {}
        for name, numbers in self._by_layer():
            a, b = self._stacked(name, numbers)
            if weights is not None:
                b = b * self._widened(weights, len(numbers))
            found[f"{name}.weight"] = (self.scale * b @ a.flatten(1)).reshape(self._shapes[name])
        return found

    @torch.no_grad()
    def merge(self, backbone: Backbone, weights: Tensor | None = None) -> dict[str, Tensor]:
        """Add the products to the weights of the backbone, in place; returns the weights before, for `unmerge`.

        (W + D) - D is not W in floating point, and the rounding error of the sum takes as many bytes as W. So an exact
        way back costs a copy of the changed weights (85 MB for the qkv of ViT-B in float32), which is freed when the
        caller drops it.
        """
        before = {}
        for name, delta in self.deltas(weights).items():
            weight = backbone.model.get_parameter(name)
            before[name] = weight.detach().clone()
            weight.add_(delta)
        return before

    @staticmethod
    @torch.no_grad()
    def unmerge(backbone: Backbone, before: Mapping[str, Tensor]) -> None:
        """Restore the weights that `merge` returned, bit for bit; undo several merges in reverse order."""
        for name, weight in before.items():
            backbone.model.get_parameter(name).copy_(weight)

    def get_state(self) -> dict[str, list[list[Tensor]]]:
        """The factors of each slot."""
        return {key: [[factor.detach() for factor in slot] for slot in getattr(self, key)] for key in ("a", "b")}

    @torch.no_grad()
    def set_state(self, state: dict[str, list[list[Tensor]]]) -> None:
        """Load the slots of `state`, adding or removing slots to match."""
        while len(self) < len(state["a"]):
            self._append()
        for key in ("a", "b"):
            slots = getattr(self, key)
            del slots[len(state[key]) :]
            for slot, values in zip(slots, state[key], strict=True):
                for factor, value in zip(slot, values, strict=True):
                    factor.copy_(value)


def targeted(backbone: Backbone, targets: Sequence[str]) -> list[str]:
    """The names of the layers that end in one of `targets`, in the order of the model; `UsageError` as for `LoRA`."""
    modules: dict[str, Any] = {n: module for n, module in backbone.model.named_modules() if hasattr(module, "weight")}
    network, found = backbone.identity["name"], []
    for target in targets:
        if not any(_ends(name, target) for name in modules):
            kinds = sorted({_end(name) for name, module in modules.items() if _fits(module)})
            raise UsageError(
                f"backbone {network} has no layer whose name ends in {target!r}; targets that it has are "
                f"{', '.join(kinds[:12])}."
            )
    for name, module in modules.items():
        if not any(_ends(name, target) for target in targets):
            continue
        if type(module) not in (nn.Linear, nn.Conv2d):
            kind = type(module).__name__
            raise UsageError(f"layer {name} of backbone {network} is a {kind}, which LoRA does not fit; {_CHOICE}")
        if not _fits(module):
            raise UsageError(
                f"layer {name} of backbone {network} is a convolution with kernel {_kernel(module)}, "
                f"{module.groups} groups and padding {module.padding_mode!r}, which LoRA does not fit; {_CHOICE}"
            )
        found.append(name)
    return found


def _sites(backbone: Backbone, names: Sequence[str], groups: Sequence[str]) -> list[Site]:
    if unknown := sorted(set(groups) - set(GROUPS)):
        raise UsageError(f"a fused qkv layer has the groups {', '.join(GROUPS)}, not {unknown[0]!r}.")
    if groups and not any(name.endswith("qkv") for name in names):
        raise UsageError(
            f"groups divide a fused qkv layer, and no target in backbone {backbone.identity['name']} is called qkv; "
            "choose the target attn.qkv, or no groups."
        )
    found = []
    for name in names:
        rows = len(_layer(backbone, name).weight)
        if groups and name.endswith("qkv"):
            attention = _layer(backbone, name.rpartition(".")[0])
            if rows % 3 or getattr(attention, "head_first", False) or hasattr(attention, "key_dim"):
                raise UsageError(
                    f"layer {name} of backbone {backbone.identity['name']} does not hold the rows of queries, keys and "
                    "values in three equal parts; choose no groups, or a timm Vision Transformer."
                )
            part = rows // 3
            found += [Site(name, n * part, (n + 1) * part) for n, group in enumerate(GROUPS) if group in groups]
        else:
            found.append(Site(name, 0, rows))
    return found


def _check_rank(backbone: Backbone, site: Site, rank: int, shape: tuple[int, ...]) -> None:
    size = min(site.stop - site.start, math.prod(shape[1:]))
    if not 1 <= rank <= size:
        raise UsageError(
            f"rank={rank} does not fit layer {site.layer} of backbone {backbone.identity['name']}, a matrix of "
            f"{site.stop - site.start} x {math.prod(shape[1:])}; choose a rank of 1 to {size}."
        )


@torch.no_grad()
def _check_called(backbone: Backbone, names: Sequence[str]) -> None:
    """A pass of one image calls every layer: an addition to the output of another layer would do nothing."""
    missed = set(names)

    def note(name: str, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        missed.discard(name)
        return forward(x)

    layers = ((name, _layer(backbone, name)) for name in names)
    image = next(backbone.parameters()).new_zeros(1, 3, backbone.transform.size, backbone.transform.size)
    with overridden((layer, "forward", functools.partial(note, name, layer.forward)) for name, layer in layers):
        backbone.model(image)
    if missed:
        raise UsageError(
            f"backbone {backbone.identity['name']} uses the weight of layer {min(missed)} without calling the layer, "
            f"so LoRA cannot add to it; {_CHOICE}"
        )


def _layer(backbone: Backbone, name: str) -> Any:
    return backbone.model.get_submodule(name)


def _fits(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        return _kernel(module) in KERNELS and module.groups == 1 and module.padding_mode == "zeros"
    return type(module) is nn.Linear


def _kernel(module: Any) -> tuple[int, ...]:
    return tuple(module.kernel_size)


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _end(name: str) -> str:
    """The end of a name that is the same in every block: attn.qkv of blocks.3.attn.qkv, conv3 of layer1.0.conv3."""
    parts = name.split(".")
    last = max((place for place, part in enumerate(parts) if part.isdigit()), default=-1)
    return ".".join(parts[last + 1 :]) or name


def _joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)
