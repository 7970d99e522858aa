"""The codebook of GRACE: the rules of an edit, balls of other labels, and the search."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.parts.codebook import GAP, RIM, Codebook, distances
from tests.help.compare import same


def at(x: float, y: float = 0.0) -> Tensor:
    return torch.tensor([x, y])


def edit(book: Codebook, query: Tensor, label: int) -> tuple[int, bool]:
    distance, entry = book.nearest(query[None])
    return book.edit(query, label, float(distance), int(entry))


def test_without_entries_nothing_is_near() -> None:
    book = Codebook(2, 3, 1.0)
    distance, entry = book.nearest(torch.zeros(4, 2))
    assert torch.isinf(distance).all() and not book.covers(distance, entry).any()


def test_far_from_all_keys_there_is_a_new_entry() -> None:
    book = Codebook(2, 3, 1.0)
    assert edit(book, at(0), 5) == (0, True) and edit(book, at(2.01), 5) == (1, True)
    assert book.radii.tolist() == [1.0, 1.0] and book.labels.tolist() == [5, 5] and book.values.shape == (2, 3)


def test_near_a_key_of_another_label_the_balls_are_split() -> None:
    book = Codebook(2, 3, 1.0)
    edit(book, at(0), 5)
    assert edit(book, at(1.6), 6) == (1, True)
    assert book.radii.tolist() == pytest.approx([0.8 - GAP, 0.8], abs=1e-6)
    assert float(book.radii.double().sum()) < 1.6, "the balls do not overlap"
    halfway = torch.stack([at(0.79), at(0.81), at(-0.79), at(-0.81)])
    distance, entry = book.nearest(halfway)
    assert entry.tolist() == [0, 1, 0, 0] and book.covers(distance, entry).tolist() == [True, True, True, False]


@pytest.mark.parametrize("apart", [0.0, 5e-5])
def test_at_a_key_of_another_label_the_later_correction_replaces_the_earlier_one(apart: float) -> None:
    book = Codebook(2, 3, 1.0)
    edit(book, at(10), 5)
    assert edit(book, at(10 + apart), 6) == (0, False)
    assert book.labels.tolist() == [6] and book.radii.tolist() == [1.0] and len(book) == 1
    assert book.covers(*book.nearest(at(10)[None])).all(), "the image is found again"
    assert edit(book, at(10.001), 7) == (1, True) and float(book.radii.min()) > 0, "two that differ are split"


def test_near_a_key_of_the_same_label_its_ball_grows_and_there_is_no_new_key() -> None:
    book = Codebook(2, 3, 1.0)
    edit(book, at(0), 5)
    assert edit(book, at(1.5), 5) == (0, False) and len(book) == 1
    assert float(book.radii) == pytest.approx(1.5 * (1 + RIM))
    assert edit(book, at(0.5), 5) == (0, False) and edit(book, at(0), 5) == (0, False)
    assert float(book.radii) == pytest.approx(1.5 * (1 + RIM)), "a ball does not shrink to a query within it"
    distance, entry = book.nearest(at(1.5)[None] * (1 + 1e-6))
    assert book.covers(distance, entry).all(), "the query at the rim is found again if it is rounded otherwise"
    assert edit(book, at(2.6), 5) == (1, True) or len(book) == 1


def test_many_edits_keep_balls_of_other_labels_apart_from_their_nearest_key() -> None:
    drawn = torch.Generator().manual_seed(0)
    book = Codebook(2, 3, 1.0)
    for query in torch.rand(200, 2, generator=drawn) * 8:
        label = int(query[0] // 2)
        distance, nearest = book.nearest(query[None])
        place, new = edit(book, query, label)
        assert int(book.labels[place]) == label
        apart, found = book.nearest(query[None])
        assert int(found) == place and book.covers(apart, found).all(), "an edit is found at once"
        if new and torch.isfinite(distance) and book.labels[nearest] != label and distance <= 2:
            assert float(book.radii[place] + book.radii[nearest]) <= float(distance)
    assert 20 < len(book) < 200


def test_a_key_is_at_distance_zero_of_itself_among_many_large_ones() -> None:
    keys = torch.randn(500, 64, generator=torch.Generator().manual_seed(1)) + 100
    found = distances(keys, keys)
    assert float(found.diagonal().max()) < 1e-4 and torch.equal(found.argmin(1), torch.arange(500))
    assert torch.allclose(found[:5], (keys[:5, None] - keys).double().norm(dim=2), atol=1e-4)
    alone = torch.stack([distances(keys[i : i + 1], keys)[0] for i in range(5)])
    assert torch.allclose(alone, found[:5], atol=1e-4)


def test_a_state_of_any_size_is_loaded_and_later_edits_do_not_reach_it() -> None:
    one, two = Codebook(2, 3, 1.0), Codebook(2, 3, 1.0)
    for x in range(4):
        edit(one, at(5.0 * x), x)
    held = one.get_state()
    two.set_state(held)
    assert len(two) == 4 and same(held, two.get_state())
    edit(two, at(0.5), 3)
    assert float(one.radii[0]) == 1.0 and len(one) == 4
    assert one.structure() == two.structure(), "the cost of training values does not depend on their number"
