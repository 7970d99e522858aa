"""Captions of classes, and a head whose rows are text embeddings."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.attached import text_of
from cl.parts.heads.text import ENSEMBLE, TextHead, captions, class_texts, spoken, templates
from cl.testing.workbench import tiny_clip


def test_names_become_words() -> None:
    assert (
        spoken("aquarium_fish") == "aquarium fish" and spoken("001.Black_footed_Albatross") == "Black footed Albatross"
    )
    assert spoken("n02085620-Chihuahua") == "Chihuahua" and spoken("198.spider") == "spider"
    assert spoken("18 wheeler") == "18 wheeler" and spoken("4-wheel drive") == "4-wheel drive"
    assert spoken(" T-shirt/top ") == "T-shirt top" and spoken("7") == "7"
    assert captions(["a_b", "c"], "a photo of a [].") == ["a photo of a a b.", "a photo of a c."]


def test_a_template_needs_a_place_for_the_name() -> None:
    assert templates("[].") == ("[].",) and templates("ensemble") == ENSEMBLE
    with pytest.raises(UsageError, match=r"a template holds \[\] for the name of a class"):
        templates("a photo.")


def test_a_class_is_the_mean_over_templates() -> None:
    text = text_of(tiny_clip())
    rows = class_texts(text, ["cat", "dog"], "ensemble")
    each = torch.stack([text(text.tokens([one.replace("[]", "dog")]))[0] for one in ENSEMBLE])
    assert torch.allclose(rows[1], F.normalize(each.mean(0), dim=0), atol=1e-6)
    assert torch.equal(class_texts(text, ["cat"], "[]."), text(text.tokens(["cat."])))


def test_new_rows_of_the_head_are_those_given() -> None:
    head, rng = TextHead(3), torch.Generator()
    first, second = torch.randn(2, 3), torch.randn(1, 3)
    for classes, rows in ((2, first), (3, second)):
        head.rows = rows
        head.grow_to(classes, rng)
    features = torch.randn(4, 3)
    assert torch.equal(head(features), torch.cat([features @ first.T, features @ second.T], 1))
    copy = TextHead(3)
    copy.copy_from(head)
    assert torch.equal(copy(features), head(features)) and not any(block.bias is not None for block in copy.blocks)
