"""CutMix: boxes, areas and what is drawn; `tests/oracles/test_exemplars.py` compares it with Mammoth's."""

from __future__ import annotations

import pytest
import torch

from cl.parts.mixing import cutmix, drawn_cutmix
from cl.training.generators import generator


def test_a_box_is_replaced_and_its_area_told() -> None:
    images, order = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 10, 10), torch.tensor([1, 2, 0])
    mixed, share = cutmix(images, order, 0.64, (5, 5))  # a box of 6 x 6
    assert share == pytest.approx(0.64) and (mixed[0, :, 2:8, 2:8] == 1).all() and int((mixed[0] == 1).sum()) == 72
    assert (images[0] == 0).all(), "the images stay"
    _, corner = cutmix(images, order, 0.64, (0, 9))
    assert corner == pytest.approx(1 - 12 / 100), "cut off at the border: rows 0 to 2, columns 6 to 9"


def test_areas_are_drawn_from_a_beta_distribution() -> None:
    images = torch.rand(4, 1, 32, 32)
    shares = torch.tensor([drawn_cutmix(images, 1.0, generator(seed, "mix"))[2] for seed in range(300)])
    assert 0.5 < float(shares.mean()) < 0.85 and float(shares.min()) < 0.3 and float(shares.max()) > 0.95
    first, again = (drawn_cutmix(images, 1.0, generator(3, "mix")) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1]) and first[2] == again[2]
