"""Captions of classes, and a linear head whose rows are their text embeddings: a CLIP's zero-shot classifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.text import TextTower
from cl.errors import UsageError
from cl.parts.heads.growing import GrowingHead

PLACE = "[]"
"""Stands for the name of a class in a template."""

ENSEMBLE = (
    "a photo of a [].", "a photo of the [].", "a picture of a [].", "a small photo of a [].", "a blurry photo of a [].",
    "a bright photo of a [].", "[].",
)  # fmt: skip
"""The templates that "ensemble" stands for."""


def spoken(name: str) -> str:
    """The name of a class as words: without its number ("001.Black_footed_Albatross", "n02085620-Chihuahua") and "_".

    A number that is a word of the name stays: "18 wheeler", "4-wheel drive".
    """
    words = re.sub(r"^(\d+[._]|\d{3,}-|n\d{8}[-_ ])", "", name.strip())
    return " ".join(re.sub(r"[_/]+", " ", words).split())


def templates(text: str) -> tuple[str, ...]:
    """The templates of an option: "ensemble", or one template; raises `UsageError` for one without `PLACE`."""
    if text == "ensemble":
        return ENSEMBLE
    if PLACE not in text:
        raise UsageError(
            f"a template holds {PLACE} for the name of a class, as in 'a photo of a {PLACE}.', not {text!r}."
        )
    return (text,)


def captions(names: Iterable[str], template: str) -> list[str]:
    """One caption for each class."""
    return [template.replace(PLACE, spoken(name)) for name in names]


@torch.no_grad()
def class_texts(text: TextTower, names: Sequence[str], template: str) -> Tensor:
    """Unit vectors [N, dim] of classes: the mean over templates of the text embeddings, normalised."""
    each = [text(text.tokens(captions(names, one))) for one in templates(template)]
    return F.normalize(torch.stack(each).mean(0), dim=-1)


class TextHead(GrowingHead):
    """A head whose new rows are `rows` [new classes, dim], set before it grows; it has no bias."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, bias=False, init="zero")
        self.rows = torch.empty(0, dim)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        self.blocks[-1].weight.copy_(self.rows)
        self.rows = self.rows[:0]
