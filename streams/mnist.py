"""MNIST and Fashion-MNIST at full size: split into tasks, or permuted and rotated domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cl.data.store import Dataset, ImageStore, PixelArray, Progress
from cl.options import option
from cl.settings.class_incremental import ClassIncremental, IncrementalOptions
from cl.settings.orders import RULES
from cl.streams.domains import DomainOptions, Domains, PermutedOptions


@dataclass(frozen=True)
class InOrder(IncrementalOptions):
    """Class-incremental options with the classes in their natural order, as in papers on these streams."""

    order: str = option("natural", "rule of the class order, named after the code that uses it", choices=tuple(RULES))


class _Split(ClassIncremental):
    """The common part of both split streams."""

    Options = InOrder
    n_classes, usual = 10, {"increment": 2}

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data.catalog import load

        return load(self.dataset, progress)


class SplitMNIST(_Split):
    """MNIST (60,000 training and 10,000 test images, 28x28, grey) in 5 tasks of 2 digits: 0 and 1, 2 and 3, ...

    Name: Split MNIST

    Official files, torchvision's folder, or a pack of a part (10,000 and 2,000 images), of which a run says that it is
    one. `order=pycil` draws the order of the digits.
    """

    name, dataset = "split-mnist", "mnist"


class SplitFMNIST(_Split):
    """Fashion-MNIST (60,000 training and 10,000 test images, 28x28, grey) in 5 tasks of 2 classes, in their order.

    Name: Split Fashion-MNIST

    Official files, the folders of torchvision and of Debian's package, or a pack of a part (6,000 and 2,000 images), of
    which a run says that it is one.
    """

    name, dataset = "split-fmnist", "fashion-mnist"


class _MNISTDomains(Domains):
    """The common part of permuted and rotated MNIST. Every domain has the same images if there is a limit."""

    dataset = "mnist"

    def images(self, options: Any, progress: Progress | None) -> Dataset:
        from cl.data.catalog import load

        whole = load(self.dataset, progress)
        train, test = whole.train, whole.test
        return Dataset(
            whole.name, _first(train, options.train_per_class), _first(test, options.test_per_class),
            whole.class_names, whole.origin, whole.licence, whole.citation, whole.verified, whole.notes,
        )  # fmt: skip


def _first(store: ImageStore, limit: int | None) -> ImageStore:
    """The first images of each class, which canonical order has already mixed."""
    if limit is None:
        return store
    rows = np.concatenate([np.flatnonzero(store.labels == label)[:limit] for label in np.unique(store.labels)])
    return ImageStore.from_arrays(store.pixels[rows], store.labels[rows])


@dataclass(frozen=True)
class PermutedMNISTOptions(PermutedOptions):
    """Options of permuted MNIST."""

    tasks: int = option(10, "number of domains; the first one has the unchanged digits", ge=1, le=100)


class PermutedMNIST(_MNISTDomains):
    """MNIST with pixels shuffled by a different permutation in every task (10 tasks); domain-incremental.

    Name: Permuted MNIST

    Goodfellow et al. 2013; Kirkpatrick et al. 2017. The first domain is not shuffled. All domains are held in memory,
    55 MB each at full size.
    """

    Options = PermutedMNISTOptions
    name = "permuted-mnist"

    def look(self, pixels: PixelArray, domain: int, options: Any) -> PixelArray:
        return self.permuted(pixels, domain, options)

    def domain_name(self, domain: int, options: Any) -> str:
        return f"permutation {domain}"


@dataclass(frozen=True)
class RotatedMNISTOptions(DomainOptions):
    """Options of rotated MNIST."""

    degrees: float | None = option(None, "degrees between domains; none: 180 / tasks", gt=0, le=180)


class RotatedMNIST(_MNISTDomains):
    """MNIST rotated by 180 / `tasks` more degrees per task (5 tasks); domain-incremental.

    Name: Rotated MNIST

    `degrees=22.5` gives 0 to 90 degrees, as in the study of architectures (Mirzadeh et al. 2022). Lopez-Paz & Ranzato
    (2017) draw angles up to 180 degrees.
    """

    Options = RotatedMNISTOptions
    name = "rotated-mnist"

    def look(self, pixels: PixelArray, domain: int, options: Any) -> PixelArray:
        from PIL import Image

        angle, bicubic = self._angle(domain, options), Image.Resampling.BICUBIC
        if not angle:
            return pixels
        turned = (Image.fromarray(image[..., 0]).rotate(angle, bicubic) for image in pixels)
        return np.stack([np.asarray(image) for image in turned])[..., None]

    def domain_name(self, domain: int, options: Any) -> str:
        return f"{self._angle(domain, options):g} degrees"

    def _angle(self, domain: int, options: Any) -> float:
        step: float = 180 / options.tasks if options.degrees is None else options.degrees
        return step * domain
