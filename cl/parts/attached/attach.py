"""Attaching parts to a stock timm model for one pass, and the identity of the resulting features."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError

Override = tuple[object, str, Callable[..., Any]]
"""An object, the name of one of its methods, and the replacement."""


@contextlib.contextmanager
def overridden(overrides: Iterable[Override]) -> Iterator[None]:
    """Replace methods of objects within a `with` block.

    Replacements are attributes of the instances: classes and other instances are untouched. Afterwards the stock
    methods are back, even after an exception. Overrides nest.
    """
    with contextlib.ExitStack() as stack:
        for owner, name, call in overrides:
            stack.callback(_put_back, owner, name, vars(owner).get(name))
            vars(owner)[name] = call
        yield


def _put_back(owner: object, name: str, before: Any) -> None:
    if before is None:
        del vars(owner)[name]  # uncovers the method of the class
    else:
        vars(owner)[name] = before


def blocks_of(backbone: Backbone, *needed: str) -> list[nn.Module]:
    """The blocks of a timm Vision Transformer; raises `UsageError` unless each block has modules named `needed`."""
    blocks = list(getattr(backbone.model, "blocks", ()))
    if not blocks or not all(isinstance(getattr(block, name, None), nn.Module) for block in blocks for name in needed):
        raise UsageError(
            f"backbone {backbone.identity['name']} has no blocks with {', '.join(needed)}; choose a timm Vision "
            "Transformer, such as vit_base_patch16_224."
        )
    return blocks


class Attached:
    """A deterministic pass through a backbone with parts attached: an extractor whose features can be memoised.

    `call` maps normalised images [B, 3, s, s] to features [B, dim]; `held` are the tensors of the attached parts.
    `lasting`: these tensors no longer change in this run, so the features are kept.
    """

    is_pristine = False

    def __init__(
        self,
        backbone: Backbone,
        call: Callable[[Tensor], Tensor],
        held: Iterable[Tensor],
        *,
        dim: int | None = None,
        lasting: bool = False,
    ) -> None:
        self.transform, self.dim, self.lasting = backbone.transform, dim or backbone.dim, lasting
        self._call = call
        digest = hashlib.sha256(backbone.key.encode())
        for tensor in held:
            digest.update(_digest(tensor))
        self.key = f"attached:{digest.hexdigest()}"

    def __call__(self, images: Tensor) -> Tensor:
        return self._call(images)


def _digest(tensor: Tensor) -> bytes:
    """Hash of a tensor's values, cached until it changes: it is needed per batch, for megabytes of parameters."""
    version, digest = getattr(tensor, "_digested", (None, b""))
    if version != tensor._version:
        digest = hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).digest()
        tensor._digested = (tensor._version, digest)  # type: ignore[attr-defined]
    return digest
