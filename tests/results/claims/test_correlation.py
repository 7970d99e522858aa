"""Rank correlations within seeds, and how likely they are by chance."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from cl.results.claims.correlation import rank_correlation


def pairs(*values: float) -> list[tuple[float, float]]:
    """Values of rows whose other quantity is 1, 2, ..."""
    return [(value, float(number)) for number, value in enumerate(values, 1)]


def test_the_correlation_is_the_mean_of_those_of_scipy() -> None:
    seeds = [pairs(0.1, 0.3, 0.2, 0.5, 0.4), pairs(0.9, 0.7, 0.8, 1.1, 1.1)]
    wanted = [stats.spearmanr(*zip(*each, strict=True)).statistic for each in seeds]
    assert rank_correlation(seeds)[0] == pytest.approx(np.mean(wanted))


@pytest.mark.parametrize(("rows", "seeds"), [(4, 1), (4, 2), (7, 1), (5, 3)])
def test_a_perfect_order_is_as_likely_as_its_place_among_all_orders(rows: int, seeds: int) -> None:
    found = rank_correlation([pairs(*range(rows))] * seeds)
    assert found == pytest.approx((1.0, 2 / math.factorial(rows) ** seeds))


def test_the_chance_is_counted_over_all_orders_of_every_seed() -> None:
    seeds = [pairs(1, 2, 4, 3), pairs(1, 4, 2, 3)]
    rho, p = rank_correlation(seeds)
    both = [
        np.mean([stats.spearmanr(order, range(4)).statistic for order in orders])
        for orders in product(permutations(range(4)), repeat=2)
    ]
    assert rho == pytest.approx(0.6)
    assert p == pytest.approx(np.mean(np.abs(both) >= 0.6 - 1e-9))


def test_levels_of_seeds_do_not_count() -> None:
    """Every seed falls with the second quantity, while the seed with the larger values has the larger levels."""
    later = [(14.0, 5.0), (13.0, 6.0), (12.0, 7.0), (11.0, 8.0)]
    assert rank_correlation([pairs(4, 3, 2, 1), later])[0] == pytest.approx(-1.0)


def test_equal_values_have_no_correlation() -> None:
    assert rank_correlation([pairs(1, 1, 1, 1)]) == (0.0, 1.0)


def test_many_rows_have_the_chance_of_a_normal_distribution() -> None:
    rng = np.random.default_rng(1)
    seeds = [pairs(*rng.normal(size=12)) for _ in range(2)]
    rho, p = rank_correlation(seeds)
    means = [
        np.mean([stats.spearmanr(rng.permutation(12), range(12)).statistic for _ in range(2)]) for _ in range(2000)
    ]
    assert p == pytest.approx(np.mean(np.abs(means) >= abs(rho)), abs=0.05)
