"""Long-tailed streams: a few classes with many images, many classes with a few."""

from __future__ import annotations

import numpy as np

from cl.errors import DataError
from cl.random import numpy_generator
from cl.settings.rebuild import rebuilt, rows_by_position
from cl.stream import Stream


def long_tailed(stream: Stream, imbalance: float, *, shuffled: bool, seed: int) -> Stream:
    """Keep n_k = n_max imbalance^(-k / (C - 1)) training images of the class of rank k = 0..C-1, rounded down, but at
    least one and at most as many as there are. Test images do not change.

    n_max is the size of the largest class. The rank is the position in the order of learning ("ordered": frequent
    classes are in the first tasks) or random ("shuffled"), as in Liu et al. 2022, Long-Tailed Class Incremental
    Learning (LT-CIL), whose imbalance factor 0.01 is 100 here. Raises `DataError` if an experience loses all its
    images, which cannot happen in a stream where each class is in one task only.
    """
    rows = rows_by_position(stream)
    count, largest = len(rows), max(len(each) for each in rows)
    rank = numpy_generator(seed, "long-tailed", "rank").permutation(count) if shuffled else np.arange(count)
    kept = []
    for position, (each, k) in enumerate(zip(rows, rank.tolist(), strict=True)):
        size = int(largest * imbalance ** (-k / max(count - 1, 1)))
        label = int(stream.class_order[position])
        kept.append(numpy_generator(seed, "long-tailed", label).permutation(each)[: max(1, size)])
    left = np.concatenate(kept)
    train = [experience.train[np.isin(experience.train, left)] for experience in stream.experiences]
    for index, chunk in enumerate(train):
        if not len(chunk):
            raise DataError(
                f"imbalance={imbalance:g} leaves experience {index} of {stream.name} without images; lower it."
            )
    return rebuilt(
        stream,
        train,
        setting="long-tailed",
        options={"imbalance": imbalance, "tail": "shuffled" if shuffled else "ordered"},
        seed=seed,
        val=[experience.val for experience in stream.experiences],
    )
