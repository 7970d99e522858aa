"""Prompts in both towers of a CLIP: tokens of each layer, no prompts, towers that cannot take them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.attached.clip_prompts import MODES, ClipPrompts, image_features, image_width, text_features, text_of
from cl.testing import tiny_backbone
from cl.testing.workbench import tiny_clip

TOWERS = ("open_clip:tiny_clip@random", "open_clip:micro_clip@random")  # a tower of open_clip, and one of timm


def lengths(backbone: Backbone, call: Any) -> tuple[list[int], list[int]]:
    """Tokens of every layer of the image tower and of the text tower during a call."""
    visual: Any = backbone.model.visual
    found: tuple[list[int], list[int]] = ([], [])
    towers = (
        visual.trunk.blocks if hasattr(visual, "trunk") else visual.transformer.resblocks,
        text_of(backbone).blocks,
    )
    hooks = []
    for blocks, seen in zip(towers, found, strict=True):
        for block in blocks:
            inner: Any = next(block.children())  # the norm, which sees what the layer gets after its prompts
            hooks.append(inner.register_forward_pre_hook(lambda m, inputs, seen=seen: seen.append(inputs[0].shape[1])))
    call()
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", TOWERS)
@pytest.mark.parametrize(("mode", "grows"), [("replace", False), ("accumulate", True), ("accumulate_same", True)])
def test_each_layer_has_its_prompts(name: str, mode: str, grows: bool) -> None:
    clip = load(name)
    size = clip.transform.size
    prompts = ClipPrompts(clip, 2, 4, torch.Generator())
    tokens = text_of(clip).tokens(["a cat.", "a very small dog."], room=2)
    images, texts = lengths(
        clip, lambda: (prompts.images(clip, torch.zeros(1, 3, size, size), mode), prompts.texts(clip, tokens, mode))
    )
    plain = 1 + (size // 4) ** 2
    added = [2 * (min(layer, 3) + 1) if grows else 2 for layer in range(max(len(images), len(texts)))]
    assert images == [plain + more for more in added[: len(images)]]
    assert texts == [tokens.shape[1] + more for more in added[: len(texts)]]
    assert clip.is_pristine and not any("forward" in vars(part) for part in clip.modules()), (
        "the stock methods are back"
    )


@pytest.mark.parametrize("name", TOWERS)
def test_no_prompts_are_the_clip_itself(name: str) -> None:
    clip = load(name)
    x = torch.randn(2, 3, clip.transform.size, clip.transform.size, generator=torch.Generator().manual_seed(0))
    text = text_of(clip)
    tokens = text.tokens(["cat", "a small dog"])
    for mode in MODES:
        none = torch.zeros(3, 0, text.width)
        assert torch.equal(text_features(text, tokens, none, mode), text(tokens))
        assert torch.equal(image_features(clip, x, torch.zeros(3, 0, image_width(clip)), mode), clip(x))


def test_the_modes_differ_and_all_prompts_get_gradients() -> None:
    clip = tiny_clip()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    tokens = text_of(clip).tokens(["cat"])
    prompts = ClipPrompts(clip, 2, 12, torch.Generator().manual_seed(1))
    assert prompts.values.shape == (6, 2, 16), "as many layers as the deeper tower has"
    found: dict[str, list[Tensor]] = {
        mode: [prompts.images(clip, x, mode), prompts.texts(clip, tokens, mode)] for mode in MODES
    }
    for one, other in (("replace", "accumulate"), ("accumulate", "accumulate_same")):
        assert all(not torch.allclose(a, b) for a, b in zip(found[one], found[other], strict=True))
    prompts.requires_grad_(True)
    (prompts.images(clip, x, "accumulate").sum() + prompts.texts(clip, tokens, "replace").sum()).backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in prompts.parameters())
    assert not any(parameter.grad is not None for parameter in clip.parameters())


def test_initial_values() -> None:
    clip = tiny_clip()
    prompts = ClipPrompts(clip, 2, 4, torch.Generator().manual_seed(1))
    bound = (6 / ((4 + 2) * 16)) ** 0.5
    assert 0.8 * bound < float(prompts.values.abs().max()) <= bound
    assert 0.8 / 4 < float(prompts.map.weight.abs().max()) <= 1 / 4 and prompts.map.weight.shape == (24, 16)
    again = ClipPrompts(clip, 2, 4, torch.Generator().manual_seed(1))
    assert torch.equal(prompts.values, again.values) and torch.equal(prompts.map.bias, again.map.bias)


def test_a_caption_that_is_too_long_leaves_room_for_prompts() -> None:
    clip = tiny_clip()
    text = text_of(clip)
    tokens = text.tokens(["cat " * 50], room=2)
    assert tokens.shape == (1, text.context - 2) and int(tokens.argmax()) == text.context - 3
    assert text_features(text, tokens, torch.zeros(2, 2, text.width)).shape == (1, clip.dim)


def test_towers_that_take_no_prompts_are_refused() -> None:
    with pytest.raises(UsageError, match=r"backbone tiny has no text tower; choose a CLIP"):
        text_of(tiny_backbone())
    with pytest.raises(UsageError, match=r"its image tower is no Vision Transformer that reads its class token"):
        image_width(tiny_backbone())
    clip = tiny_clip()
    clip.model.visual.pool_type = "avg"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="reads its class token"):
        ClipPrompts(clip, 2, 4, torch.Generator())
