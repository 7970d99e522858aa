"""A random part of a network for one round of training: matrices and norms that train, and others that rest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.training.optim import Step

ATTENTION, FEED_FORWARD, NORM, OTHER = "attention", "feed-forward", "norm", "other"

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Unit:
    """What trains or rests together: the tensors of one matrix with its bias, or of one norm.

    `rows` are the first row of these tensors and the one after the last, if queries, keys and values share them.
    `block` is the place in the network.
    """

    names: tuple[str, ...]
    kind: str
    block: int
    rows: tuple[int, int] | None = None


def units_of(backbone: Backbone) -> list[Unit]:
    """The units of a network in its order; what belongs to none (embeddings, scales of layers) always trains.

    A timm Vision Transformer has blocks: queries, keys, values and the projection, the matrices of the MLP, two norms.
    In other networks every layer with weights is a block of its own.
    """
    model = backbone.model
    blocks = dict(enumerate(getattr(model, "blocks", ())))
    found: list[Unit] = []
    owner = {module: number for number, block in blocks.items() for module in block.modules()}
    embedding = getattr(model, "patch_embed", None)
    embeds = set(embedding.modules()) if isinstance(embedding, nn.Module) else set()
    for place, (name, module) in enumerate(model.named_modules()):
        tensors = tuple(f"{name}.{own}" if name else own for own, _ in module.named_parameters(recurse=False))
        block = owner.get(module, len(blocks) + place)
        if not tensors or module in embeds:
            continue
        if isinstance(module, _NORMS):
            found.append(Unit(tensors, NORM, block))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            kind = _kind(name) if module in owner else OTHER
            if kind == ATTENTION and name.endswith("qkv"):
                width = module.weight.shape[0] // 3
                found += [Unit(tensors, kind, block, (i * width, (i + 1) * width)) for i in range(3)]
            else:
                found.append(Unit(tensors, kind, block))
    return found


def _kind(name: str) -> str:
    parts = name.split(".")
    return ATTENTION if "attn" in parts else FEED_FORWARD if "mlp" in parts else OTHER


def drawn(units: Sequence[Unit], select: str, share: float, rng: torch.Generator, name: str = "") -> list[Unit]:
    """The units that train in this round.

    category: `share` of the attention's matrices and of the MLP's in every block, and of all norms; where a share of
    the matrices of a block is no whole number, it is rounded up in some blocks and down in the others, so that it holds
    on the whole. layer: all units of `share` of the blocks. model: `share` of all matrices, and of all norms. Raises
    `UsageError` for a network without blocks (category) or a share that leaves nothing.
    """
    norms, matrices = ([u for u in units if (u.kind == NORM) == wanted] for wanted in (True, False))
    if select == "layer":
        places = sorted({unit.block for unit in units})
        here = {places[i] for i in _some(len(places), share, rng)}
        chosen = [unit for unit in units if unit.block in here]
    elif select == "model":
        chosen = [group[i] for group in (matrices, norms) for i in _some(len(group), share, rng)]
    else:
        groups: dict[str, dict[int, list[Unit]]] = defaultdict(lambda: defaultdict(list))
        for unit in matrices:
            if unit.kind != OTHER:
                groups[unit.kind][unit.block].append(unit)
        if ATTENTION not in groups:
            raise UsageError(
                f"select=category draws within attention blocks, and backbone {name} has none; choose a timm Vision "
                "Transformer, or set select=layer or select=model."
            )
        chosen = [norms[i] for i in _some(len(norms), share, rng)]
        for kind in (ATTENTION, FEED_FORWARD):
            chosen += _of_each(list(groups[kind].values()), share, rng)
        chosen += [unit for unit in matrices if unit.kind == OTHER]
    if not chosen:
        count = len({unit.block for unit in units}) if select == "layer" else max(len(matrices), len(norms))
        raise UsageError(
            f"share={share:g} leaves nothing of backbone {name} to train with select={select}; set "
            f"share={1 / count:.2g} or more."
        )
    kept = set(chosen)
    return [unit for unit in units if unit in kept]


def _some(count: int, share: float, rng: torch.Generator) -> list[int]:
    """A share of the numbers below `count`, drawn."""
    return torch.randperm(count, generator=rng)[: math.floor(share * count + 0.5)].tolist()


def _of_each(blocks: list[list[Unit]], share: float, rng: torch.Generator) -> list[Unit]:
    """A share of the units of every block."""
    wanted = [share * len(block) for block in blocks]
    rounded_up = set(
        torch.randperm(len(blocks), generator=rng)[: round(sum(w - math.floor(w) for w in wanted))].tolist()
    )
    chosen = []
    for place, (block, target) in enumerate(zip(blocks, wanted, strict=True)):
        count = math.floor(target) + (place in rounded_up)
        chosen += [block[i] for i in torch.randperm(len(block), generator=rng)[:count].tolist()]
    return chosen


class Half:
    """The parameters of a network that train in this round; rows of shared tensors that rest stay as they are.

    `before_step` clears their gradients, so that moments of the optimiser stay zero; `after_step` puts back what weight
    decay did to them.
    """

    def __init__(self, backbone: Backbone, units: Sequence[Unit], chosen: Iterable[Unit]) -> None:
        named: dict[str, Any] = dict(backbone.model.named_parameters())
        chosen = set(chosen)
        resting = [unit for unit in units if unit not in chosen]
        whole = {name for unit in units for name in unit.names}
        active = {name for unit in chosen for name in unit.names}
        self.parameters = [tensor for name, tensor in named.items() if name in active or name not in whole]
        self._held: list[tuple[nn.Parameter, slice, Tensor]] = []
        for unit in resting:
            for name in unit.names:
                if name in active and unit.rows is not None:
                    rows = slice(*unit.rows)
                    self._held.append((named[name], rows, named[name].detach()[rows].clone()))

    def before_step(self, step: Step) -> None:
        for tensor, rows, _ in self._held:
            if tensor.grad is not None:
                tensor.grad[rows] = 0

    def after_step(self, step: Step) -> None:
        with torch.no_grad():
            for tensor, rows, kept in self._held:
                tensor[rows] = kept
