"""The text tower: open_clip's own embeddings, whatever the padding."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cl.backbone.library import open_clip
from cl.backbone.text import TextTower

CAPTIONS = ["a photo of a cat.", "dog", "a very small aquarium fish, on a table"]


def network(custom: bool, *, causal: bool = True) -> object:
    config = open_clip().get_model_config("tiny_clip")
    config.pop("custom_text")
    config["text_cfg"]["no_causal_mask"] = not causal
    kind = open_clip().CustomTextCLIP if custom else open_clip().CLIP
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(**config).eval()


@pytest.mark.parametrize("custom", [False, True])
def test_captions_are_encoded_as_by_open_clip(custom: bool) -> None:
    whole = network(custom)
    tower = TextTower(getattr(whole, "text", whole), open_clip().get_tokenizer("tiny_clip"))
    padded = open_clip().get_tokenizer("tiny_clip")(CAPTIONS)
    with torch.no_grad():
        theirs = whole.encode_text(padded, normalize=True)  # type: ignore[attr-defined]
    tokens = tower.tokens(CAPTIONS)
    assert tokens.shape[1] < padded.shape[1], "padding is cut off"
    assert torch.allclose(tower(tokens), theirs, atol=1e-6)
    assert torch.allclose(tower(tower.tokens(CAPTIONS[1:2])), theirs[1:2], atol=1e-6)


@pytest.mark.parametrize("custom", [False, True])
def test_a_tower_without_a_causal_mask_reads_its_padding(custom: bool) -> None:
    """As open_clip does, so an embedding does not depend on the captions beside it."""
    whole = network(custom, causal=False)
    tower = TextTower(getattr(whole, "text", whole), open_clip().get_tokenizer("tiny_clip"))
    with torch.no_grad():
        theirs = whole.encode_text(open_clip().get_tokenizer("tiny_clip")(CAPTIONS), normalize=True)  # type: ignore[attr-defined]
    assert torch.allclose(tower(tower.tokens(CAPTIONS)), theirs, atol=1e-6)
    assert torch.allclose(tower(tower.tokens(CAPTIONS[1:2])), theirs[1:2], atol=1e-6)
    assert tower.tokens(CAPTIONS, room=4).shape[1] == tower.context - 4


def test_it_is_frozen_and_its_flops_are_counted() -> None:
    whole = network(True)
    tower = TextTower(whole.text, open_clip().get_tokenizer("tiny_clip"))  # type: ignore[attr-defined]
    assert not tower.training and not any(parameter.requires_grad for parameter in tower.parameters())
    tokens, counted = tower.tokens(CAPTIONS), []
    for grad in (False, True):
        with torch.set_grad_enabled(grad), FlopCounterMode(display=False) as counter:
            tower(tokens)
        counted.append(counter.get_total_flops())
    assert counted[0] == counted[1] > 0
    assert (tower.width, tower.context) == (16, 24) and tower.tokens([]).shape == (0, 0)


def test_half_precision_stays_near() -> None:
    whole = network(True)
    tower = TextTower(whole.text, open_clip().get_tokenizer("tiny_clip"))  # type: ignore[attr-defined]
    exact = tower(tower.tokens(CAPTIONS))
    tower.precision = torch.bfloat16
    rounded = tower(tower.tokens(CAPTIONS))
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, exact)
    assert bool((F.cosine_similarity(rounded, exact) > 0.99).all())
