"""A stream of images of one pixel that tell them apart, and counts of what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cl.data.store import Dataset, ImageStore
from cl.settings import SettingOptions, transform
from cl.settings.class_incremental import IncrementalOptions, class_incremental
from cl.stream import Stream


def toy(sizes: Sequence[int] = (40,) * 10, tasks: int = 5, seed: int = 3, **options: Any) -> Stream:
    """Images of one pixel that tell them apart, `sizes` of each class to train on and 2 to test on."""

    def store(counts: Sequence[int], first: int) -> ImageStore:
        number = np.arange(first, first + sum(counts))
        pixels = np.stack([number >> 8, number & 255], 1).astype(np.uint8).reshape(-1, 1, 2, 1)
        return ImageStore.from_arrays(pixels, np.repeat(np.arange(len(counts)), counts))

    names = tuple(f"c{label}" for label in range(len(sizes)))
    dataset = Dataset("toy", store(sizes, 0), store([2] * len(sizes), 40_000), names, "test", "none", "none")
    chosen = IncrementalOptions(tasks=tasks, **options)
    return class_incremental(dataset, chosen, name="toy", version="1", order_seed=seed, data_seed=seed)


def rows(stream: Stream) -> np.ndarray:
    return np.concatenate([experience.train for experience in stream.experiences])


def counts(stream: Stream) -> np.ndarray:
    """Training images [experience, class by position]."""
    labels = [stream.positions[stream.dataset.train.labels[e.train]] for e in stream.experiences]
    return np.stack([np.bincount(each, minlength=len(stream.class_order)) for each in labels])


def digest(stream: Stream) -> str:
    text = b"".join(experience.train.astype("<i8").tobytes() for experience in stream.experiences)
    return hashlib.sha256(text + stream.id.encode()).hexdigest()[:16]


def setting(stream: Stream, *names: str, seed: int = 1993, **options: Any) -> Stream:
    return transform(stream, SettingOptions(setting=names, **options), seed)
