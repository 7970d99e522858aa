"""The coding of masks as bits, and the capacity of a network with masks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl.parts.weights.mask_coding import (
    BITS,
    PAPER_RATE,
    Coded,
    capacity,
    coded_bits,
    compression_rate,
    decode,
    encode,
    masks_in,
    symbols,
)


def random_masks(count: int, density: float, tasks: int = 7) -> list[np.ndarray]:
    draw = np.random.default_rng(count).random
    return [draw((count,)) < density for _ in range(tasks)]


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 9, 5000])
@pytest.mark.parametrize("tasks", [1, 3, 7])
def test_coded_masks_are_decoded_exactly(count: int, density: float, tasks: int) -> None:
    masks = random_masks(count, density, tasks)
    found = symbols(masks)
    coded = encode(found)
    back = decode(coded)
    assert np.array_equal(back, found)
    assert all(np.array_equal(a, b) for a, b in zip(masks_in(back, tasks), masks, strict=True))
    assert len(coded.stream) == -(-coded_bits(found) // 8)
    assert len(coded.lengths) == 2**7, "a byte per possible symbol"


def test_the_first_mask_is_the_least_significant_bit() -> None:
    assert symbols([np.array([True, False]), np.array([True, True])]).tolist() == [3, 2]


def test_codes_have_the_lengths_of_a_huffman_code_and_no_code_is_a_prefix() -> None:
    counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144]  # Fibonacci: the deepest tree
    found = np.repeat(np.arange(12), counts).astype(np.uint16)
    np.random.default_rng(0).shuffle(found)
    coded = encode(found)
    assert coded.lengths[:12].tolist() == [11, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert sum(2.0 ** -int(length) for length in coded.lengths if length) == 1, "Kraft: the code is complete"
    assert np.array_equal(decode(coded), found)
    assert coded_bits(found) == sum(c * int(length) for c, length in zip(counts, coded.lengths, strict=False))
    assert decode(Coded(coded.stream, coded.lengths, 0)).tolist() == []


def test_sparse_masks_are_compressed_and_balanced_masks_are_not() -> None:
    skewed, even = random_masks(20000, 0.05), random_masks(20000, 0.5)
    entropy = -(0.05 * math.log2(0.05) + 0.95 * math.log2(0.95))
    rate = compression_rate([skewed])
    assert 1 - entropy - 0.02 < rate <= 1 - entropy + 0.01
    assert abs(compression_rate([even])) < 0.01
    assert compression_rate([]) == 0.0
    blocks = compression_rate([random_masks(20000, 0.05, 9)])  # a block of seven tasks and one of two
    two = coded_bits(symbols(random_masks(20000, 0.05, 9)[7:]))
    seven = coded_bits(symbols(random_masks(20000, 0.05, 9)[:7]))
    assert blocks == 1 - (two + seven) / (9 * 20000)


def test_capacity_counts_weights_and_compressed_masks() -> None:
    """For comparison: the paper has 99.13 percent for c = 0.5 on ten tasks of CIFAR-100."""
    assert capacity(0.9, 10, 0.78) == pytest.approx(0.9 + 0.22 * 10 / 32)
    assert capacity(1.0, 40, 0.0) == pytest.approx(2.25)
    assert (BITS, PAPER_RATE) == (7, 0.78)
