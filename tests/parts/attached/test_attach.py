"""Parts attached for one pass: stock methods are restored, and keys of features depend on the attached tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.backbone import load
from cl.errors import UsageError
from cl.parts.attached.attach import Attached, blocks_of, overridden
from cl.testing import tiny_backbone


class Speaker:
    def say(self) -> str:
        return "stock"


def test_overrides_nest_and_are_undone_after_an_error() -> None:
    one, other = Speaker(), Speaker()
    with pytest.raises(ZeroDivisionError), overridden([(one, "say", lambda: "outer")]):
        with overridden([(one, "say", lambda: "inner")]):
            assert one.say() == "inner" and other.say() == "stock"
        assert one.say() == "outer"
        raise ZeroDivisionError
    assert one.say() == "stock" and not vars(one)


def test_an_override_that_cannot_be_made_undoes_those_before_it() -> None:
    one: Any = Speaker()
    with pytest.raises(TypeError), overridden([(one, "say", lambda: "changed"), (3, "say", lambda: "changed")]):
        pytest.fail("an integer has no attributes to override")
    assert one.say() == "stock"


def test_blocks_are_found_by_the_modules_in_them() -> None:
    backbone = tiny_backbone(depth=3)
    assert blocks_of(backbone, "attn", "mlp") == list(backbone.model.blocks)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has no blocks with attn, gate; choose a timm Vision Transformer"):
        blocks_of(backbone, "attn", "gate")
    with pytest.raises(UsageError, match="has no blocks with attn"):
        blocks_of(load("test_resnet@random"), "attn")


def test_features_are_identified_by_the_backbone_and_the_tensors_that_determine_them() -> None:
    backbone, other, held = tiny_backbone(), tiny_backbone(1), [torch.zeros(3), torch.ones(2)]

    def key(*tensors: Tensor) -> str:
        return Attached(backbone, backbone, tensors).key

    first = key(*held)
    assert first == key(*held) == key(torch.zeros(3), torch.ones(2)), "equal values, equal features"
    assert len({first, key(*held[::-1]), key(held[0]), Attached(other, other, held).key}) == 4
    held[0][1] = 1
    changed = key(*held)
    assert changed != first
    held[0][1] = 0
    assert key(*held) == first, "the digest follows every change in place"


def test_features_have_the_width_of_the_backbone_unless_another_is_given() -> None:
    backbone, images = tiny_backbone(), torch.randn(2, 3, 8, 8)
    joined = Attached(backbone, lambda x: torch.cat([backbone(x), backbone(x)], 1), [], dim=32)
    assert Attached(backbone, backbone, []).dim == 16 and joined.dim == joined(images).shape[1] == 32
    assert not joined.is_pristine and joined.transform == backbone.transform
