"""Intervals and tests: what they must equal where theory says so, and that they can tell differences apart."""

from __future__ import annotations

import numpy as np
import pytest

from cl.results.leaderboard.statistics import (
    RESAMPLES,
    ImageShares,
    confidence_interval,
    mcnemar,
    mean_interval,
    resample_images,
    smallest_difference,
)


def shares(right: np.ndarray, classes: np.ndarray | None = None) -> ImageShares:
    """The shares of a plain accuracy over all images."""
    n = len(right)
    return ImageShares(np.arange(n), np.zeros(n, int) if classes is None else classes, right / n)


def test_confidence_interval_over_seeds() -> None:
    assert confidence_interval([]) is None
    assert confidence_interval([0.5]) is None
    assert confidence_interval([0.5, 0.5]) == (0.5, 0.5)
    assert confidence_interval([0.4, 0.5]) == (0.4, 0.5)
    values = np.random.default_rng(1).normal(0.5, 0.1, 200).tolist()
    low, high = confidence_interval(values) or (0.0, 0.0)
    half = 1.96 * np.std(values) / np.sqrt(200)  # the normal approximation is close at this size
    assert (low, high) == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=0.002)
    assert confidence_interval(values[::-1]) == (low, high)
    narrow = confidence_interval(values, level=0.5) or (0.0, 1.0)
    assert low < narrow[0] < narrow[1] < high


def test_the_variance_over_few_seeds_is_unbiased() -> None:
    # Drawing n of n would give (n - 1)/n of s^2/n; the interval of n - 1 draws must be wider by that factor.
    rng = np.random.default_rng(0)
    values = rng.normal(size=5)
    moves = rng.normal(scale=1e-9, size=(RESAMPLES, 5))
    draws = np.random.default_rng(0).integers(5, size=(RESAMPLES, 4))
    means = values[draws].mean(axis=1)
    assert means.var() == pytest.approx(values.var(ddof=1) / 5, rel=0.1)
    interval = mean_interval(values, moves)
    assert interval == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=1e-6)


def test_moves_of_an_accuracy_have_the_binomial_spread() -> None:
    right = np.arange(400) < 300
    moves = resample_images([shares(right)])
    assert moves.shape == (RESAMPLES, 1)
    assert moves.mean() == pytest.approx(0, abs=0.002)
    assert moves.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.06)
    low, high = mean_interval(np.array([0.75]), moves) or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 400), rel=0.08)


def test_images_are_drawn_within_their_class() -> None:
    # One class always right, one never: nothing can move, although the accuracy over all images is one half.
    classes = np.repeat([3, 8], 100)
    moves = resample_images([shares(classes == 3, classes)])
    np.testing.assert_allclose(moves, 0, atol=1e-12)
    # Two images per class: each counts 0, 1 or 2 times, never more.
    pair = ImageShares(np.arange(6), np.array([0, 1, 2, 0, 1, 2]), np.array([1.0, 0.0, 0.0, -1.0, 0.0, 0.0]))
    assert set(np.unique(resample_images([pair]))) == {-2.0, 0.0, 2.0}


def test_draws_are_shared_so_that_equal_runs_never_differ_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(300) < 0.6
    first = shares(right, np.arange(300) % 3)
    turn = rng.permutation(300)
    second = ImageShares(first.ids[turn], first.classes[turn], first.shares[turn])
    moves = resample_images([first, second, shares(rng.random(300) < 0.6, np.arange(300) % 3)])
    np.testing.assert_allclose(moves[:, 0], moves[:, 1], atol=1e-12)
    assert np.abs(moves[:, 0] - moves[:, 2]).max() > 0.01


def test_a_difference_on_few_images_is_paired() -> None:
    # B lacks 12 of the images that A has and gains none: certain, although each interval alone is 9 points wide.
    a = np.arange(400) < 300
    b = np.arange(400) < 288
    moves = resample_images([shares(a), shares(b)])
    alone = mean_interval(np.array([0.75]), moves[:, :1]) or (0.0, 0.0)
    paired = mean_interval(np.array([0.03]), moves[:, :1] - moves[:, 1:]) or (0.0, 0.0)
    assert alone[0] < 0.72 < alone[1] and 0 < paired[0] < 0.03 < paired[1] < 0.06


def test_runs_on_other_images_are_not_confused() -> None:
    left, other = np.arange(50), np.arange(1000, 1100)
    first = ImageShares(left, np.zeros(50, int), np.linspace(0, 1, 50) / 50)
    second = ImageShares(other, np.zeros(100, int), np.linspace(1, 0, 100) / 100)
    moves = resample_images([first, second])
    assert np.abs(np.corrcoef(moves.T) - np.eye(2)).max() < 0.1
    assert moves.std(axis=0) == pytest.approx([0.289 / np.sqrt(50), 0.289 / np.sqrt(100)], rel=0.3)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    a = np.array([1] * 10 + [0] * 2 + [1] * 50 + [0] * 50)
    b = np.array([0] * 10 + [1] * 2 + [1] * 50 + [0] * 50)
    test = mcnemar(a, b)
    assert (test.only_first, test.only_second) == (10, 2)
    assert test.p == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert mcnemar(a, a).p == 1.0 and mcnemar(b, a).p == test.p


def test_the_smallest_difference_has_the_power_it_promises() -> None:
    assert smallest_difference([]) is None and smallest_difference([0.1]) is None
    assert smallest_difference([0.1, 0.1]) == 0
    spread = [-1.0, 0.0, 1.0, 0.5, -0.5]
    shift = (smallest_difference(spread) or 0.0) / np.std(spread, ddof=1)
    from scipy import stats

    sample = np.random.default_rng(0).normal(loc=shift, size=(20_000, 5))
    found = stats.ttest_1samp(sample, 0, axis=1)
    assert np.mean((found.pvalue < 0.05) & (found.statistic > 0)) == pytest.approx(0.8, abs=0.01)
    # Two seeds resolve nearly nothing: eleven standard deviations.
    assert (smallest_difference([0.0, np.sqrt(2)]) or 0.0) == pytest.approx(16.33 / np.sqrt(2), rel=1e-3)
