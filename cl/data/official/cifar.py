"""The Python archives of CIFAR: pickled batches of 32 x 32 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cl.data.cifar_pickle import load_cifar_pickle
from cl.data.official.files import Files
from cl.data.official.listing import Examples, Listing, arrays
from cl.data.readers import CifarLayout
from cl.errors import DataError


def batches(files: Files, layout: CifarLayout) -> Listing:
    """Training and test images. Raises `DataError` for a batch that is damaged or has other content."""
    path = f"{layout.folder}/{layout.meta}"
    names = load_cifar_pickle(files.read(path), f"{path} of {files.where}").get(layout.names)
    if not isinstance(names, list):
        raise DataError(f"{path} of {files.where} has no {layout.names}; get it again.")
    splits = {"train": layout.train, "test": layout.test}
    found = {split: _examples(files, each, layout, len(names)) for split, each in splits.items()}
    return Listing(tuple(str(name) for name in names), found)


def _examples(files: Files, names: Sequence[str], layout: CifarLayout, classes: int) -> Examples:
    pixels, labels = [], []
    for name in names:
        path = f"{layout.folder}/{name}"
        where = f"{path} of {files.where}"
        batch = load_cifar_pickle(files.read(path), where)
        try:
            pixels.append(np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[layout.labels], np.int64))
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{where} is another CIFAR batch ({error}); get it again.") from error
        if len(pixels[-1]) != len(labels[-1]):
            raise DataError(f"{where} has another number of labels than of images; get it again.")
        if labels[-1].max(initial=0) >= classes or labels[-1].min(initial=0) < 0:
            raise DataError(f"{where} has a label above {classes - 1} or below 0; get it again.")
    return arrays(np.concatenate(pixels).transpose(0, 2, 3, 1), np.concatenate(labels))
