"""Images that occur in more than one place: in training and test, or in two classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from cl.data.sealed import SealedStore
from cl.data.store import Dataset


def duplicates(dataset: Dataset) -> list[str]:
    """Sentences about equal images, pixel by pixel: test images that are trained, and images in two classes.

    None where the test images are sealed.
    """
    train, test = dataset.train, dataset.test
    if isinstance(test, SealedStore):
        return []
    notes = []
    known = np.sort(train.hashes)  # several times faster than np.isin for millions of hashes
    shared = np.searchsorted(known, test.hashes, side="left") < np.searchsorted(known, test.hashes, side="right")
    if count := int(shared.sum()):
        names = _most(dataset.class_names[label] for label in test.labels[shared].tolist())
        were = "image is also a training image" if count == 1 else "images are also training images"
        notes.append(f"{count:,} of {len(test):,} test {were} ({names}).")
    hashes = np.concatenate([train.hashes, test.hashes])
    labels = np.concatenate([train.labels, test.labels])
    order = np.lexsort((labels, hashes))
    hashes, labels = hashes[order], labels[order]
    other = (hashes[1:] == hashes[:-1]) & (labels[1:] != labels[:-1])
    if other.any():  # a dataset that is learned twice has each class twice, as "coil20-2000/cup" and "coil20-2019/cup"
        own = np.unique([_of_its_dataset(name) for name in dataset.class_names], return_inverse=True)[1]
        other &= own[labels[1:]] != own[labels[:-1]]
    if count := len(np.unique(hashes[1:][other])):
        pairs = zip(labels[:-1][other].tolist(), labels[1:][other].tolist(), strict=True)
        names = _most(f"{dataset.class_names[one]} and {dataset.class_names[two]}" for one, two in pairs)
        notes.append(
            f"{count:,} image{'s are' if count > 1 else ' is'} in two classes ({names}), so one label is wrong."
        )
    return notes


def _of_its_dataset(name: str) -> str:
    """The name of a class without the year in the name of its dataset: "coil20/cup" for "coil20-2019/cup"."""
    return re.sub(r"-\d{4}/", "/", name)


def notes_on(dataset: Dataset) -> list[str]:
    """What users and records should know about the images: notes of their reader, and duplicates."""
    return [*dataset.notes, *duplicates(dataset)]


def _most(names: Iterable[str]) -> str:
    counts = Counter(names).most_common()
    shown = ", ".join(f"{name}: {count}" for name, count in counts[:3])
    return f"{shown}, ..." if len(counts) > 3 else shown
