"""Mean average precision: scikit-learn's numbers, also for ties and for classes that no image has."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from cl.records.average_precision import mean_average_precision


def macro(tags: np.ndarray, scores: np.ndarray) -> float:
    """What the authors' code calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without positives
        return float(average_precision_score(tags, scores))


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_scikit_learn_on_random_scores_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tags = rng.random((60, 7)) < rng.random(7)
    scores = rng.integers(0, 6, tags.shape) / 5
    assert mean_average_precision(tags, scores) == pytest.approx(macro(tags, scores), abs=1e-12)


def test_a_class_without_images_counts_as_zero_as_in_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    tags, scores = rng.random((40, 4)) < 0.4, rng.normal(size=(40, 4))
    tags[:, 2] = False
    assert mean_average_precision(tags, scores) == pytest.approx(macro(tags, scores), abs=1e-12)
    others = [0, 1, 3]
    assert mean_average_precision(tags, scores) == pytest.approx(
        0.75 * mean_average_precision(tags[:, others], scores[:, others])
    )


def test_a_class_of_all_images_and_a_perfect_ranking_are_one() -> None:
    tags = np.array([[True, True], [True, False], [True, False]])
    assert mean_average_precision(tags, np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.0]])) == 1.0


def test_it_depends_on_ranks_only_and_not_on_the_order_of_images() -> None:
    rng = np.random.default_rng(3)
    tags, scores = rng.random((50, 5)) < 0.3, rng.normal(size=(50, 5)).astype(np.float32)
    found, order = mean_average_precision(tags, scores), rng.permutation(50)
    assert mean_average_precision(tags[order], scores[order]) == found
    assert mean_average_precision(tags, 1 / (1 + np.exp(-scores.astype(np.float64)))) == found


def test_minus_infinity_is_the_lowest_score() -> None:
    tags = np.array([[True], [False], [True]])
    assert mean_average_precision(tags, np.array([[-np.inf], [0.0], [1.0]])) == mean_average_precision(
        tags, np.array([[-1.0], [0.0], [1.0]])
    )


def test_nothing_to_rank_is_undefined_and_other_shapes_are_refused() -> None:
    assert np.isnan(mean_average_precision(np.zeros((0, 3), bool), np.zeros((0, 3))))
    with pytest.raises(ValueError, match="one shape"):
        mean_average_precision(np.zeros((2, 3), bool), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="NaN"):
        mean_average_precision(np.ones((2, 1), bool), np.array([[np.nan], [0.0]]))
