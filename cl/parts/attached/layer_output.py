"""A named layer of a stock network: its input as a query, and other outputs in place of its own for one pass."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError
from cl.parts.attached.attach import Override, overridden
from cl.training.encodings import Extractor

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


class LayerOutput:
    """A layer whose output can be replaced; `width` is the length of its input as a query, `value_width` of an output.

    Of tokens, the query is the class token, and a value takes the place of the class token, or of every token if
    `whole`. Of feature maps, and of tokens without a class token, the query is the mean over positions, and a value
    takes the place of every position. Maps may have their channels first, [B, C, H, W], or last, [B, H, W, C]; a layer
    whose maps do not say which by their shape is none that can be edited. An empty name is the last block, or the last
    layer of a network without blocks.
    Raises `UsageError` for a layer that the network does not have, or whose input is the same for all images.
    """

    def __init__(self, backbone: Backbone, name: str = "", *, whole: bool = False) -> None:
        self.backbone, self.whole = backbone, whole
        self.token = _has_class_token(backbone.model)
        known = self._layers()
        self.name = name or _usual(list(known))
        if self.name not in known:
            model = backbone.identity["name"]
            raise UsageError(
                f"layer={name}: backbone {model} has no such layer whose input and output can be keys and values; it "
                f"has {brief(list(known))}."
                if known
                else f"backbone {model} has no layer whose input and output can be keys and values; choose a network "
                "with blocks, such as vit_base_patch16_224."
            )
        (self.width, self.value_width), self._axes = known[self.name]

    @property
    def module(self) -> nn.Module:
        """The layer, as the network holds it now."""
        return self.backbone.model.get_submodule(self.name)

    def query(self, x: Tensor) -> Tensor:
        """What identifies an input of the layer, [B, width]."""
        return self._pooled(x, self._axes[0])

    def value(self, output: Tensor) -> Tensor:
        """An output of the layer as a value, [B, value_width]."""
        return self._pooled(output, self._axes[1])

    def _pooled(self, x: Tensor, axis: int) -> Tensor:
        """One vector per image; `axis` is that of the channels."""
        if x.ndim == 2:
            return x
        if x.ndim == 3:
            return x[:, 0] if self.token else x.mean(1)
        return x.mean((2, 3) if axis == 1 else (1, 2))

    def put(self, output: Tensor, values: Tensor) -> Tensor:
        """The layer's output with `values` [B, value_width] in it."""
        values = values.to(output.dtype).clone()  # the network may write into it
        if output.ndim == 2:
            return values
        if output.ndim == 4:
            placed = values[:, :, None, None] if self._axes[1] == 1 else values[:, None, None]
            return placed.expand_as(output).contiguous()
        if self.whole or not self.token:
            return values[:, None].expand_as(output).contiguous()
        return torch.cat([values[:, None], output[:, 1:]], 1)

    def features(self, extractor: Extractor, images: Tensor, values: Tensor) -> Tensor:
        """Features of normalised images with `values` in place of the layer's output."""
        own = self.module.forward
        with overridden([(self.module, "forward", lambda *args, **more: self.put(own(*args, **more), values))]):
            return extractor(images)

    @contextmanager
    def looked_up(self, find: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Iterator[None]:
        """Within a `with` block, the layer asks `find` for each query: whether it has a value [B], and values."""
        own = self.module.forward

        def forward(x: Tensor, *args: Any, **more: Any) -> Tensor:
            output = own(x, *args, **more)
            hit, values = find(_wide(self.query(x)))
            return torch.where(hit.view(-1, *[1] * (output.ndim - 1)), self.put(output, values), output)

        with overridden([(self.module, "forward", forward)]):
            yield

    # ------------------------------------------------------------------------------------------------ passes in part

    @torch.no_grad()
    def held(self, extractor: Extractor, images: Tensor) -> Held:
        """What the layers up to this one compute for these images, so that later passes need not."""
        outputs: dict[nn.Module, Tensor] = {}
        calls: Counter[nn.Module] = Counter()
        reached = False

        def before(module: nn.Module, args: Any) -> None:
            nonlocal reached
            reached = True

        def after(module: nn.Module, args: Any, output: Any) -> None:
            calls[module] += 1
            if isinstance(output, Tensor) and (not reached or module is self.module):
                written = output.ndim == 4 or module is self.module  # perhaps, by what follows
                outputs[module] = output.clone() if written else output

        hooks = [module.register_forward_hook(after) for module in self.backbone.model.modules()]
        hooks.append(self.module.register_forward_pre_hook(before))
        try:
            features = extractor(images)
        finally:
            for hook in hooks:
                hook.remove()
        if self.module not in outputs:
            raise _bypassed(self.name)
        kept: dict[str, nn.Module] = {}
        for name, module in self.backbone.model.named_modules():
            inside = any(name.startswith(f"{other}.") for other in kept)
            if module in outputs and calls[module] == 1 and module is not self.module and not inside:
                kept[name] = module
        return Held(self, features, outputs[self.module], [(module, outputs[module]) for module in kept.values()])

    def input_of(self, extractor: Extractor) -> LayerInput:
        """The extractor of queries."""
        return LayerInput(self, extractor)

    # -------------------------------------------------------------------------------------------------------- layers

    @torch.no_grad()
    def _layers(self) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
        """Of each layer with parameters, in the order of the network: the widths of query and value, and the axes of
        the channels in its input and its output."""
        model, transform = self.backbone.model, self.backbone.transform
        names = {
            module: name for name, module in model.named_modules() if name and any(True for _ in module.parameters())
        }
        found: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}
        calls: Counter[nn.Module] = Counter()

        def look(module: nn.Module, args: Any, output: Any) -> None:
            calls[module] += 1
            x = args[0] if args else None
            if not isinstance(x, Tensor) or not isinstance(output, Tensor) or not _fits(x, output):
                return
            axes = _channels(module, x), _channels(module, output)
            if 0 in axes:
                return
            query = self._pooled(x, axes[0])
            if not torch.equal(query[0], query[1]):
                found[names[module]] = (query.shape[1], output.shape[axes[1]]), axes

        like = next(model.parameters())
        two = torch.linspace(-1, 1, 2 * transform.channels * transform.size**2, device=like.device, dtype=like.dtype)
        hooks = [module.register_forward_hook(look) for module in names]
        try:
            self.backbone(two.view(2, transform.channels, transform.size, transform.size))
        finally:
            for hook in hooks:
                hook.remove()
        return {name: found[name] for module, name in names.items() if name in found and calls[module] == 1}


class Held:
    """Outputs of a layer, of the modules that finish before it and of the network, for some images."""

    def __init__(
        self, layer: LayerOutput, features: Tensor, output: Tensor, before: list[tuple[nn.Module, Tensor]]
    ) -> None:
        self.layer, self.features, self.output = layer, features, output
        self._before: list[Override] = [(module, "forward", _constant(each)) for module, each in before]

    @property
    def value(self) -> Tensor:
        """The output itself as a value, [B, value_width]."""
        return self.layer.value(self.output)

    @contextmanager
    def skipped(self, values: Tensor | None = None) -> Iterator[None]:
        """Within a `with` block, passes over these images begin at the layer; where given, `values` are its output."""
        own: list[Override] = []
        if values is not None:
            own = [(self.layer.module, "forward", lambda *args, **more: self.layer.put(self.output, values))]
        with overridden([*self._before, *own]):
            yield


class LayerInput:
    """The queries of a layer as an extractor: the network up to the layer, of weights that no longer change."""

    is_pristine, lasting = False, True

    def __init__(self, layer: LayerOutput, extractor: Extractor) -> None:
        self.transform, self.dim = extractor.transform, layer.width
        self.key = f"input of {layer.name}:{extractor.key}"
        self._layer, self._extractor = layer, extractor

    def __call__(self, images: Tensor) -> Tensor:
        def stop(x: Tensor, *args: Any, **more: Any) -> Tensor:
            raise _Reached(x)

        try:
            with overridden([(self._layer.module, "forward", stop)]):
                self._extractor(images)
        except _Reached as reached:
            return _wide(self._layer.query(reached.x))
        raise UsageError(
            f"layer={self._layer.name}: the learner does not predict by way of this layer; choose another."
        )


def _bypassed(name: str) -> UsageError:
    return UsageError(f"layer={name}: the learner does not predict by way of this layer; choose another.")


class _Reached(Exception):
    """The pass has come to the layer, whose input is `x`."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


def brief(names: list[str]) -> str:
    """Names of layers with their numbers as ranges: "blocks.0-5.attn"."""
    numbers: dict[str, list[list[int]]] = {}
    for name in names:
        numbers.setdefault(_NUMBER.sub("{}", name), []).append([int(each) for each in _NUMBER.findall(name)])
    found = []
    for template, each in numbers.items():
        ranges = [(min(place), max(place)) for place in zip(*each, strict=True)]
        found.append(template.format(*(str(low) if low == high else f"{low}-{high}" for low, high in ranges)))
    return ", ".join(found)


def _wide(query: Tensor) -> Tensor:
    return query if query.dtype == torch.float64 else query.float()


def _usual(names: list[str]) -> str:
    blocks = [name for name in names if re.fullmatch(r"(.+\.)?(blocks|resblocks|layers)\.\d+", name)]
    return (blocks or names or [""])[-1]


def _fits(x: Tensor, output: Tensor) -> bool:
    """Whether input and output are vectors, tokens or feature maps of a batch of two."""
    return len(x) == len(output) == 2 and x.ndim == output.ndim and x.ndim in (2, 3, 4)


def _channels(module: nn.Module, x: Tensor) -> int:
    """The axis of the channels in an input or output of a layer; 0 if it is no feature map, or cannot be told.

    Images are square, so of a map's axes the two of equal size are its height and width.
    """
    if x.ndim < 4:
        return x.ndim - 1
    if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
        return 1
    if isinstance(module, nn.Linear):
        return 3
    inside = list(module.modules())
    one, two, three = x.shape[1:]
    if two == three != one and any(isinstance(each, nn.Conv2d | nn.BatchNorm2d) for each in inside):
        return 1
    if one == two != three and any(isinstance(each, nn.Conv2d | nn.Linear) for each in inside):
        return 3
    return 0


def _has_class_token(model: nn.Module) -> bool:
    """Whether features are made from a class token, which is then the first one."""
    tokens = [getattr(model, name, None) for name in ("cls_token", "class_embedding")]
    return any(token is not None for token in tokens) and getattr(model, "global_pool", "token") in ("token", "", "tok")


def _constant(output: Tensor) -> Callable[..., Tensor]:
    return lambda *args, **more: output.clone()  # a layer may write into its input
