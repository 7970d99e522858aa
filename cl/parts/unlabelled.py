"""Images without labels, from outside the stream, which a method may use before the first task."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cl import registry
from cl.data.store import ImageStore, IndexArray
from cl.errors import ContractError, UsageError
from cl.family import make_stream
from cl.stream import ImageSet

PHOTOS = "photos"
"""Crops of the two photographs that come with scikit-learn: natural images that need no download."""

_SIDES = (48, 64, 96, 128, 192, 256)
_SIZE = 64


class UnlabelledSet(ImageSet):
    """Images without labels: `labels` raises `ContractError`, and neither the store nor its order reveals labels.

    `origin` is the fingerprint of the labelled images they were taken from, to compare with
    `StreamInfo.train_fingerprint`.
    """

    __slots__ = ("origin",)

    def __init__(self, store: ImageStore, rows: IndexArray, origin: str) -> None:
        super().__init__(store, rows, np.zeros(len(rows), np.int64))
        self.origin = origin

    @property
    def labels(self) -> None:  # type: ignore[override]
        raise ContractError("These images have no labels; use ImageSet views of the stream to learn classes.")


def unlabelled(name: str, count: int = 0) -> UnlabelledSet:
    """The training images of a stream (`split-cifar10`, `folder:/path`) or of a pack (`name.npz`, a path or a file on
    CLBENCH_DATA_PATH), or `photos`; `count` of them, 0 for all.

    Labels are dropped, and images are sorted by a hash of their pixels: the first `count` are a random sample that is
    the same on every machine. Raises `UsageError` for an unknown name, `DataError` if data is missing.
    """
    if name == PHOTOS:
        store = _photos()
        origin = store.fingerprint
    else:
        labelled = _training_images(name)
        store, origin = _blind(labelled.pixels), labelled.fingerprint
    rows = np.arange(min(count or len(store), len(store)), dtype=np.int64)
    return UnlabelledSet(store, rows, origin)


def _blind(pixels: np.ndarray) -> ImageStore:
    return ImageStore.from_arrays(np.asarray(pixels), np.zeros(len(pixels), np.int64))


def _training_images(name: str) -> ImageStore:
    if name.endswith(".npz"):
        from cl.data.readers import read_pack
        from cl.data.sources import find_file

        content = read_pack(find_file(name, kind="images"))
        if "train" not in content.splits:
            raise UsageError(f"{name} has no training images; choose another one.")
        return content.splits["train"]
    if name not in registry.streams:
        hint = registry.did_you_mean(name, [PHOTOS, *registry.streams.names()])
        raise UsageError(
            f"There is no set of images '{name}'; name a stream whose training images to use, a pack (name.npz), "
            f"or '{PHOTOS}'.{hint}"
        )
    return make_stream(name).dataset.train


@lru_cache(maxsize=1)
def _photos() -> ImageStore:
    """Square crops at several scales, half overlapping, and their mirror images: 3,120 of 64x64 pixels."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    found = []
    for photo in load_sample_images().images:
        height, width, _ = photo.shape
        for side in _SIDES:
            for top in range(0, height - side + 1, side // 2):
                for left in range(0, width - side + 1, side // 2):
                    crop = Image.fromarray(photo[top : top + side, left : left + side])
                    small = np.asarray(crop.resize((_SIZE, _SIZE), Image.Resampling.BICUBIC))
                    found += [small, small[:, ::-1]]
    return _blind(np.stack(found))
