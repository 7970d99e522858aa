"""Model Stock: the ratio and its limits, and the merge against the geometry that it was derived from."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from cl.parts.merging import average, model_stock, stock_ratio
from tests.help.merging import BROKEN, broken, close, refused, times, vectors


def test_the_ratio_has_the_limits_of_the_paper() -> None:
    assert float(stock_ratio(1.0, 2)) == float(stock_ratio(1.0, 5)) == 1.0
    assert float(stock_ratio(0.0, 2)) == 0.0
    assert float(stock_ratio(0.5, 2)) == pytest.approx(2 * 0.5 / 1.5)
    assert float(stock_ratio(0.5, 3)) == pytest.approx(3 * 0.5 / 2)
    assert [float(stock_ratio(cosine, 2)) for cosine in (-0.3, -1.0)] == [0.0, 0.0], "never away from the mean"


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_ratio_grows_with_the_cosine_and_with_the_number(count: int) -> None:
    ratios = [float(stock_ratio(cosine, count)) for cosine in torch.linspace(0, 1, 11)]
    assert all(one < two for one, two in pairwise(ratios)) and all(0 <= ratio <= 1 for ratio in ratios)
    assert float(stock_ratio(0.4, count)) < float(stock_ratio(0.4, count + 1)) < 1


def test_equal_fine_tunings_are_kept_and_orthogonal_ones_dropped() -> None:
    one = vectors(1)[0]
    close(model_stock([one, one]), one)
    close(model_stock([one, one, one]), one)
    apart = [{"a": torch.tensor([1.0, 0.0])}, {"a": torch.tensor([0.0, 1.0])}]
    assert model_stock(apart)["a"].tolist() == [0.0, 0.0]
    close(model_stock([one, times(-1.0, one)]), times(0.0, one))


def test_the_ratio_is_that_of_each_tensor() -> None:
    one, two = vectors(2)
    found, mean = model_stock([one, two]), average([one, two])
    for name, tensor in found.items():
        cosine = torch.nn.functional.cosine_similarity(one[name].flatten(), two[name].flatten(), dim=0)
        ratio = 2 * cosine / (1 + cosine) if cosine > 0 else 0.0
        assert torch.allclose(tensor, ratio * mean[name], rtol=0, atol=1e-12), name


def test_the_result_is_the_point_nearest_to_the_origin_for_vectors_of_equal_length() -> None:
    """For two vectors of one length, mean * t is the foot of the perpendicular from the centre of fine-tunings."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(50, generator=generator, dtype=torch.float64)
    drawn = [base + torch.randn(50, generator=generator, dtype=torch.float64) for _ in range(2)]
    one, two = ({"a": vector / vector.norm()} for vector in drawn)
    cosine = float(one["a"] @ two["a"])
    found, mean = model_stock([one, two])["a"], (one["a"] + two["a"]) / 2
    # The centre c of fine-tunings has |c|^2 = cos (any two share only c); its foot on the line through 0 and the mean
    assert torch.allclose(found, mean * cosine / float(mean @ mean), rtol=0, atol=1e-12)


def test_the_scale_of_the_vectors_does_not_change_the_ratio() -> None:
    one, two = vectors(2)
    close(model_stock([times(3.0, one), times(3.0, two)]), times(3.0, model_stock([one, two])))
    for name, tensor in model_stock([one, times(5.0, two)]).items():
        mean = (one[name] + 5 * two[name]) / 2
        ratio = model_stock([one, two])[name].flatten()[0] / ((one[name] + two[name]) / 2).flatten()[0]
        assert torch.allclose(tensor, ratio * mean, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1e-10, 1e-30])
def test_short_vectors_have_the_same_ratio(scale: float) -> None:
    given = vectors(2)
    found, expected = model_stock([times(scale, each) for each in given]), model_stock(given)
    close(times(1 / scale, found), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cosines_of_16_bits_are_computed_in_32(dtype: torch.dtype) -> None:
    low = vectors(2, dtype=dtype)
    found = model_stock(low)
    expected = model_stock([{name: tensor.float() for name, tensor in each.items()} for each in low])
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name].to(dtype)), name


def test_a_tensor_that_did_not_change_stays() -> None:
    one, two = vectors(2)
    zero = torch.zeros(5, dtype=torch.float64)
    assert torch.equal(model_stock([{**one, "bias": zero}, {**two, "bias": zero}])["bias"], zero)


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind != "none"])
def test_what_cannot_be_merged_is_refused(kind: str) -> None:
    given, says = broken(kind)
    refused(lambda: model_stock(given), says)


def test_one_fine_tuning_is_too_few() -> None:
    refused(lambda: model_stock(vectors(1)), "needs at least two fine-tunings of a task")
    refused(lambda: model_stock([]), "needs at least two fine-tunings of a task")
