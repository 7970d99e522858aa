"""Class orders, i-Blurry and Si-Blurry against the code and the lists of their authors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cl.data.store import Dataset, ImageStore
from cl.settings import blurry
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.settings.orders import class_order
from cl.stream import Stream
from tests.help.oracles import Oracle
from tests.help.toy_streams import counts, toy

ORDERS, LISTS, SAMPLER = Oracle("class-orders-a"), Oracle("i-blurry-a"), Oracle("si-blurry-a")


def test_class_orders_are_drawn_as_in_the_codes() -> None:
    assert {key.split("/")[0] for key in ORDERS.arrays} == {"pycil", "coda", "python"}
    for key, order in ORDERS.arrays.items():
        rule, classes, seed = key.split("/")
        ORDERS.compare("forward", class_order(rule, int(classes), int(seed)), order)


@pytest.mark.parametrize("of", LISTS.meta["sets"], ids=lambda of: of["key"])
def test_i_blurry_has_the_shares_of_the_published_lists(of: dict[str, Any]) -> None:
    """The lists are compared by counts: the code that drew them is not published."""
    theirs = LISTS.arrays[of["key"]]
    size, tasks = int(theirs.sum(0).max()), of["tasks"]
    base = toy((size,) * of["classes"], tasks=tasks, order="natural")
    ours = counts(blurry.i_blurry(base, of["disjoint_percent"] / 100, of["blurry_percent"] / 100, seed=1))
    for table in (ours, theirs):
        assert table.shape == (tasks, of["classes"]) and int(table.sum()) == size * of["classes"]
    alone = [sorted(((table > 0) & (table == table.sum(0))).sum(1)) for table in (ours, theirs)]
    LISTS.compare("forward", alone[0], alone[1], "disjoint classes per task")
    totals = [np.sort(table.sum(1)) / table.sum(1).mean() for table in (ours, theirs)]
    LISTS.compare("forward", totals[0], totals[1], "images per task, relative")
    home = [np.sort(table.max(0) / table.sum(0)).mean() for table in (ours, theirs)]
    LISTS.compare("forward", home[0], home[1])


class Theirs:
    """PyTorch's random numbers in the place of NumPy's; the images that move are the first, as in the code.

    `place` is the index in the data set of each row of the store, which is sorted by class.
    """

    def __init__(self, generator: torch.Generator, place: np.ndarray, deals: bool) -> None:
        self.generator, self.place, self.deals = generator, place, deals

    def permutation(self, of: Any) -> np.ndarray:
        if isinstance(of, int):
            return torch.randperm(of, generator=self.generator).numpy()
        return (
            of[torch.randperm(len(of), generator=self.generator).numpy()]
            if self.deals
            else of[np.argsort(self.place[of])]
        )

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        return torch.randint(low, high, (size,), generator=self.generator).numpy()


def of_case(case: dict[str, Any], labels: np.ndarray) -> Stream:
    pixels = np.arange(len(labels), dtype=np.uint16).view(np.uint8).reshape(-1, 1, 2, 1)
    store = ImageStore.from_arrays(pixels, labels)
    names = tuple(f"c{label}" for label in range(case["classes"]))
    dataset = Dataset("case", store, store, names, "tests/oracles")
    options = IncrementalOptions(tasks=case["tasks"], order="natural")
    return class_incremental(dataset, options, name="case", version="1", order_seed=0, data_seed=0)


@pytest.mark.parametrize("number", range(len(SAMPLER.meta["cases"])))
def test_si_blurry_with_the_random_numbers_of_the_sampler_is_its_draw(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, drawn = SAMPLER.meta["cases"][number], SAMPLER.group(str(number))
    generator = torch.Generator().manual_seed(case["seed"])
    base = of_case(case, drawn["labels"].numpy())
    place = base.dataset.train.pixels.reshape(-1, 2).copy().view(np.uint16).ravel()
    monkeypatch.setattr(blurry, "numpy_generator", lambda seed, *purpose: Theirs(generator, place, "deal" in purpose))
    monkeypatch.setattr(blurry, "ATTEMPTS", 1)
    if len(drawn["home"].unique()) < case["tasks"]:
        with pytest.raises(blurry.UsageError, match="no draw of si-blurry"):
            blurry.si_blurry(base, case["n"] / 100, case["m"] / 100, seed=0)
        return
    stream = blurry.si_blurry(base, case["n"] / 100, case["m"] / 100, seed=0)
    task = np.full(case["images"], -1)
    for index, experience in enumerate(stream.experiences):
        task[place[experience.train]] = index
    SAMPLER.compare("forward", task, drawn["task"])
    assert np.array_equal(task, drawn["task"].numpy()), "the file states no tolerance; the draw is the same"
    home = np.full(case["classes"], -1)
    for group in stream.groups:
        home[stream.class_order[list(group.classes)]] = group.task
    assert np.array_equal(home, drawn["home"].numpy())
