"""Averages, sums and TIES against formulas on all values at once, in float64."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from cl.parts.merging import average, running_average, smallest_kept, task_arithmetic, ties
from tests.help.merging import BROKEN, SHAPES, broken, close, dense, refused, stack, times, vectors


def by_hand(rows: Tensor, keep: float, how: str) -> Tensor:
    """TIES parameter by parameter: trim, elect the sign of the sum, merge the values of that sign."""
    count, total = rows.shape
    kept = torch.zeros_like(rows)
    for row, values in enumerate(rows):
        largest = values.abs().argsort(descending=True)[: min(int(keep * total) + 1, total)]
        kept[row, largest] = values[largest]
    found = torch.zeros(total, dtype=rows.dtype)
    for place in range(total):
        held = [float(value) for value in kept[:, place] if value != 0]
        sign = 1 if sum(held) > 0 else -1
        agreed = [value for value in held if value * sign > 0]
        if agreed:
            merged = {"sum": sum(agreed), "mean": sum(agreed) / len(agreed), "max": sign * max(map(abs, agreed))}
            found[place] = merged[how]
    assert count == len(kept)
    return found


def test_sums_of_values_in_16_bits_are_taken_in_float32() -> None:
    large = [{"w": torch.full((3,), 40_000.0, dtype=torch.float16)} for _ in range(4)]
    assert torch.equal(average(large)["w"], large[0]["w"]), "their sum is infinite in float16"
    assert torch.equal(task_arithmetic(large, 0.25)["w"], large[0]["w"])
    assert torch.equal(ties(large, 1.0)["w"], large[0]["w"])
    small = [{"w": torch.tensor([value], dtype=torch.bfloat16)} for value in (256.0, 1.0, 1.0, 1.0, 1.0)]
    assert float(average(small)["w"]) == 52.0, "256 + 1 is 256 in bfloat16"


def test_an_average_is_the_mean_of_all_values() -> None:
    given = vectors(4)
    assert torch.allclose(dense(average(given)), stack(given).mean(0), rtol=0, atol=1e-12)
    close(average(given[:1]), given[0], atol=0)


def test_integer_tensors_of_checkpoints_are_those_of_the_first() -> None:
    one, two = ({"weight": torch.ones(2) * n, "count": torch.tensor(n)} for n in (3, 5))
    for found in (average([one, two]), running_average(one, two, 2)):
        assert found["weight"].tolist() == [4.0, 4.0] and found["count"].item() == 3
    for merge in (task_arithmetic, ties):
        refused(lambda merge=merge: merge([one, two]), "'count' holds whole numbers")


def test_task_arithmetic_is_a_scaled_sum() -> None:
    given = vectors(3)
    assert torch.allclose(dense(task_arithmetic(given, 0.3)), 0.3 * stack(given).sum(0), rtol=0, atol=1e-12)
    close(task_arithmetic(given, 1 / 3), average(given))


def test_a_running_average_ends_in_the_average() -> None:
    given = vectors(5)
    mean = given[0]
    for count, vector in enumerate(given[1:], 2):
        mean = running_average(mean, vector, count)
        close(mean, average(given[:count]))


def test_the_smallest_value_that_is_kept() -> None:
    vector = {"a": torch.tensor([3.0, -1.0, 0.5]), "b": torch.tensor([[2.0, -4.0]])}
    assert smallest_kept(vector, 0.4) == 2.0, "int(0.4 * 5) + 1 = 3 values are kept, as in the code of TIES"
    assert smallest_kept(vector, 0.2) == 3.0
    assert smallest_kept(vector, 0.01) == 4.0
    assert smallest_kept(vector, 1.0) == 0.0, "all"


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 1.0])
def test_ties_merges_what_agrees(how: str, keep: float) -> None:
    given = vectors(5)
    assert torch.allclose(dense(ties(given, keep, how)), by_hand(stack(given), keep, how), rtol=0, atol=1e-12)


def test_ties_of_one_vector_trims_it() -> None:
    given = vectors(1)
    found = dense(ties(given, 0.25))
    values = dense(given[0])
    limit = values.abs().sort(descending=True).values[int(0.25 * len(values))]
    assert torch.equal(found, torch.where(values.abs() >= limit, values, 0))
    close(ties(given, 1.0), given[0], atol=0)


def test_ties_does_not_depend_on_the_order_of_the_vectors() -> None:
    given = vectors(4)
    close(ties(given, 0.4), ties(given[::-1], 0.4))


def test_values_of_the_other_sign_do_not_count() -> None:
    one, two = {"a": torch.tensor([3.0, 1.0])}, {"a": torch.tensor([-1.0, 2.0])}
    assert ties([one, two], 1.0, "mean")["a"].tolist() == [3.0, 1.5]
    assert ties([one, two], 1.0, "sum")["a"].tolist() == [3.0, 3.0]
    assert ties([one, two], 1.0, "max")["a"].tolist() == [3.0, 2.0]


def test_a_sum_of_zero_takes_the_sign_of_most_parameters() -> None:
    one, two = {"a": torch.tensor([1.0, -3.0, -2.0])}, {"a": torch.tensor([-1.0, -3.0, -2.0])}
    assert ties([one, two], 1.0, "sum")["a"].tolist() == [-1.0, -6.0, -4.0]
    assert ties([times(-1, one), times(-1, two)], 1.0, "sum")["a"].tolist() == [1.0, 6.0, 4.0]
    assert not ties([one, times(-1, one)], 1.0, "sum")["a"].any(), "without a majority no value is merged"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_checkpoints_keep_their_type(dtype: torch.dtype) -> None:
    given = vectors(2, dtype=dtype)
    for found in (average(given), task_arithmetic(given), ties(given), running_average(given[0], given[1], 2)):
        assert {tensor.dtype for tensor in found.values()} == {dtype}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_merged_is_refused(kind: str) -> None:
    given, says = broken(kind)
    for merge in (average, task_arithmetic, ties):
        refused(lambda merge=merge: merge(given), says)
    if given:
        refused(lambda: running_average(given[0], given[1], 2), says)


def test_options_out_of_range_are_refused() -> None:
    given = vectors(2)
    refused(lambda: ties(given, 0.2, "median"), "TIES merges by mean, sum or max, not by 'median'")
    refused(lambda: running_average(given[0], given[1], 0), "count=0: give the number of task vectors in the mean")
    for keep in (0.0, 1.5, -0.1):
        refused(lambda keep=keep: ties(given, keep), "is not a share of the values; give a number above 0")


class Alive(Mapping[str, Tensor]):
    """A vector that makes its tensors when they are read, and knows how many of all vectors are in memory."""

    most: ClassVar[int] = 0
    held: ClassVar[weakref.WeakValueDictionary[int, Tensor]] = weakref.WeakValueDictionary()

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getitem__(self, name: str) -> Tensor:
        made = vectors(1, seed=self.seed)[0][name].clone()
        Alive.held[id(made)] = made
        Alive.most = max(Alive.most, len(Alive.held))
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(SHAPES)

    def __len__(self) -> int:
        return len(SHAPES)


@pytest.mark.parametrize("merge", [average, task_arithmetic, ties])
def test_merging_holds_one_tensor_of_each_vector_at_a_time(merge: Any) -> None:
    Alive.most = 0
    found = merge([Alive(seed) for seed in range(9)])
    close(found, merge([vectors(1, seed=seed)[0] for seed in range(9)]))
    assert Alive.most <= 9, "not the 45 tensors of all vectors"
