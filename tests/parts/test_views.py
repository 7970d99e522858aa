"""Two views, quarter turns and mixes: what a batch holds, and the labels of pseudo-classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.parts.views import Extended, TwoViews, drawn_mixes, mixed, pair_labels, pseudo_classes, turned
from cl.training.augment import augment
from cl.training.batches import ImageBatches
from cl.training.generators import generator
from tests.conftest import tiny_stream

TRANSFORM = Transform(8, (0.5,) * 3, (0.5,) * 3)


def rng(*key: Any) -> torch.Generator:
    return generator(7, *key)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def images() -> Any:
    return tiny_stream(shots=3, increment=2).view(0).train


def test_quarter_turns() -> None:
    x = torch.arange(2 * 3 * 4.0).view(1, 2, 3, 4)[..., :3]
    once, twice, thrice = turned(x)
    assert torch.equal(once, x[0].transpose(1, 2).flip(1)) and torch.equal(twice, x[0].flip((1, 2)))
    assert torch.equal(thrice, x[0].transpose(1, 2).flip(2))
    assert torch.equal(turned(turned(x)[1:2])[1], x[0]), "two half turns"


def test_every_pair_of_classes_has_a_label_of_its_own() -> None:
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    one, two = torch.tensor(pairs).T
    assert pair_labels(one, two, 6).tolist() == list(range(6, 6 + 15)) == pair_labels(two, one, 6).tolist()
    assert pair_labels(torch.tensor([4]), torch.tensor([4]), 6).tolist() == [4], "a mix within a class is of the class"
    assert pseudo_classes("mixes", 6) == 15 and pseudo_classes("rotations", 6) == 18 and pseudo_classes("none", 6) == 0


def test_a_mix_is_between_its_images_and_both_are_seen() -> None:
    x, y, partner = drawn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0]), torch.tensor([1, 0, 3, 2])
    shares = torch.tensor([0.45, 0.9, 0.1, 0.6], dtype=torch.float64)
    blend, labels = mixed(x, y, partner, shares, 3)
    used = [0.45, 0.5, 0.5, 0.6]
    expected = torch.stack([share * x[i] + (1 - share) * x[partner[i]] for i, share in enumerate(used)])
    torch.testing.assert_close(blend, expected)
    assert labels.tolist() == [3, 3, 4, 4] and blend.dtype == x.dtype


def test_partners_are_a_permutation_and_shares_repeat() -> None:
    partner, shares = drawn_mixes(50, rng("mix"))
    assert sorted(partner.tolist()) == list(range(50)) and 0.25 < shares.min() < 0.45 < 0.55 < shares.max() < 0.75
    again = drawn_mixes(50, rng("mix"))
    assert torch.equal(partner, again[0]) and torch.equal(shares, again[1])


def test_two_views_are_two_augmentations_of_the_same_images() -> None:
    source = TwoViews([images()], 20, TRANSFORM, augment="crop-flip")
    plain = ImageBatches([images()], 20, TRANSFORM, augment="crop-flip")
    assert source.steps == plain.steps == 4
    for step, (two, one) in enumerate(zip(source.epoch(0, rng), plain.epoch(0, rng), strict=True)):
        count = len(one)
        assert torch.equal(two.x[:count], one.x) and two.rows is not None and one.rows is not None
        assert two.y.tolist() == one.y.tolist() * 2 and two.rows.tolist() == one.rows.tolist() * 2
        second = augment(images().pixels(one.rows), "crop-flip", TRANSFORM, rng("second view", step))
        assert torch.equal(two.x[count:], second) and not torch.equal(second, one.x)


@pytest.mark.parametrize("views", [1, 2])
def test_a_batch_has_views_then_mixes_then_turns(views: int) -> None:
    kind = TwoViews if views == 2 else ImageBatches
    source = kind([images()], 20, TRANSFORM, augment="crop-flip")
    extended = Extended(source, 6, views=views, mixes=2, turns=True)
    assert extended.copies == views + 2 + 3 and extended.steps == 4
    for step, (batch, plain) in enumerate(zip(extended.epoch(0, rng), source.epoch(0, rng), strict=True)):
        count = len(plain) // views
        first, labels = plain.x[:count], plain.y[:count]
        expected, names = [plain.x], [plain.y]
        for number in range(2):
            blend, own = mixed(first, labels, *drawn_mixes(count, rng("mix", step, number)), 6)
            expected.append(blend)
            names.append(own)
        expected += [torch.rot90(first, turn, (2, 3)) for turn in (1, 2, 3)]
        names += [labels + 6, labels + 12, labels + 18]
        assert torch.equal(batch.x, torch.cat(expected)) and torch.equal(batch.y, torch.cat(names))


def test_batches_do_not_depend_on_the_step_they_start_at() -> None:
    extended = Extended(TwoViews([images()], 20, TRANSFORM, augment="crop"), 6, views=2, mixes=1, turns=True)
    whole, later = list(extended.epoch(1, rng)), list(extended.epoch(1, rng, 2))
    assert all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(whole[2:], later, strict=True))


def test_a_last_batch_of_one_image_joins_the_batch_before() -> None:
    single = images().subset(torch.arange(21))
    extended = Extended(ImageBatches([single], 20, TRANSFORM), 6, turns=True)
    assert [len(batch) for batch in extended.epoch(0, rng)] == [80, 4]
    assert [len(batch) for batch in extended.without_single().epoch(0, rng)] == [84]
