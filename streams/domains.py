"""Permuted and rotated digits: the same classes in a sequence of transformed domains; needs no download."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cl.data.split import split_rows
from cl.data.store import Dataset, ImageStore, IndexArray, PixelArray, Progress, canonical_order
from cl.family import Family
from cl.options import listed, option
from cl.protocol import DOMAIN
from cl.settings.class_incremental import VAL_SHARE

if TYPE_CHECKING:
    from cl.stream import Event, Stream

SIDE = 32
"""Side of rotated digits in pixels; the original 8 pixels are too few to rotate."""


@dataclass(frozen=True)
class DomainOptions:
    """Options of both streams."""

    tasks: int = option(5, "number of domains; the first one has the unchanged digits", ge=1, le=100)
    train_per_class: int | None = option(None, "maximum number of training images per class and domain", ge=1)
    test_per_class: int | None = option(None, "maximum number of test images per class and domain", ge=1)
    val_fraction: float = option(0.0, "share of the training images held out for validation", ge=0, lt=1)
    evaluate_on: str = option("seen", "evaluate the domains seen so far, or all domains", choices=("seen", "all"))
    split: str = option(
        "test",
        "the images to evaluate: test, or held-out training images (val; a fifth if val_fraction is 0)",
        choices=("test", "val"),
        unlisted=True,
    )


@dataclass(frozen=True)
class PermutedOptions(DomainOptions):
    """Options of permuted digits."""

    domain_seed: int = option(0, "seed of the permutations, independent of the seeds of a run", ge=0)


class Domains(Family):
    """Base of streams with the same classes in a sequence of transformed domains."""

    Options: ClassVar[type[DomainOptions]] = DomainOptions

    @classmethod
    def setting_of(cls, options: DomainOptions, argument: str = "") -> str:
        """Domain-incremental."""
        return DOMAIN

    def images(self, options: Any, progress: Progress | None) -> Dataset:
        """The unchanged images."""
        from cl.streams.digits import digits

        return digits()

    def look(self, pixels: PixelArray, domain: int, options: Any) -> PixelArray:
        """The images [N, h, w, 1] transformed to a domain."""
        raise NotImplementedError

    def domain_name(self, domain: int, options: Any) -> str:
        raise NotImplementedError

    def permuted(self, pixels: PixelArray, domain: int, options: Any) -> PixelArray:
        """The images with their pixels in the order of a domain's permutation; the first domain keeps its order."""
        if domain == 0:
            return pixels
        from cl.random import numpy_generator

        count = pixels[0].size
        order = numpy_generator(options.domain_seed, self.name, domain).permutation(count)
        return pixels.reshape(-1, count)[:, order].reshape(pixels.shape)

    def build(
        self, options: DomainOptions, *, order_seed: int, data_seed: int, argument: str = "",
        progress: Progress | None = None,
    ) -> Stream:  # fmt: skip
        """Build the stream; the data seed draws validation images, and no other seed of the run matters."""
        from cl.stream import Evaluate, Experience, Group, Stream, Train

        if options.split == "val" and not options.val_fraction:
            options = replace(options, val_fraction=VAL_SHARE)
        base, every = self.images(options, progress), tuple(range(options.tasks))
        train, trained = self._domains(base.train, options)
        test, tested_in = self._domains(base.test, options)
        classes = tuple(range(len(base.class_names)))
        events: list[Event] = [Evaluate(every, options.split)] if options.evaluate_on == "all" else []
        for task in every:
            tested = every if options.evaluate_on == "all" else every[: task + 1]
            events += [Train(task), Evaluate(tested, options.split)]
        chosen = [_rows(train, trained, task, options.train_per_class) for task in every]
        none, held = np.empty(0, np.int64), options.val_fraction
        parts = [
            split_rows(rows, held, data_seed, "val", task) if held else (none, rows) for task, rows in enumerate(chosen)
        ]
        groups = []
        for task, (val, _) in enumerate(parts):
            own = {"test": _rows(test, tested_in, task, options.test_per_class)} | ({"val": val} if held else {})
            groups.append(Group(self.domain_name(task, options), classes, own, task))
        return Stream(
            name=self.name,
            version=self.version,
            setting=DOMAIN,
            options=listed(options),
            dataset=Dataset(
                self.name,
                train,
                test,
                base.class_names,
                f"{base.origin}, changed",
                base.licence,
                base.citation,
                base.verified,
                base.notes,
            ),
            class_order=np.arange(len(classes)),
            experiences=tuple(Experience(rows, val, classes) for val, rows in parts),
            groups=tuple(groups),
            events=tuple(events),
            comparable={**listed(options), "val_seed": data_seed if held else None},
        )

    def _domains(self, store: ImageStore, options: DomainOptions) -> tuple[ImageStore, IndexArray]:
        """The images of all domains in one store, and the domain of each."""
        pixels = np.concatenate([self.look(store.pixels, domain, options) for domain in range(options.tasks)])
        labels = np.tile(store.labels, options.tasks)
        owner = np.repeat(np.arange(options.tasks), len(store))
        return ImageStore.from_arrays(pixels, labels), owner[canonical_order(pixels, labels)]


def _rows(store: ImageStore, owner: IndexArray, domain: int, limit: int | None) -> IndexArray:
    """The rows of a domain: the first ones of each class, which canonical order has already mixed."""
    rows = np.flatnonzero(owner == domain)
    return np.concatenate([rows[store.labels[rows] == label][:limit] for label in np.unique(store.labels)])


class PermutedDigits(Domains):
    """Handwritten digits (8x8) with pixels shuffled by a different permutation in every task; domain-incremental.

    Name: Permuted digits

    The counterpart of permuted MNIST (Goodfellow et al. 2013; Kirkpatrick et al. 2017) that needs no download. The
    first domain is not shuffled.
    """

    Options = PermutedOptions
    name = "permuted-digits"

    def look(self, pixels: PixelArray, domain: int, options: PermutedOptions) -> PixelArray:
        return self.permuted(pixels, domain, options)

    def domain_name(self, domain: int, options: PermutedOptions) -> str:
        return f"permutation {domain}"


class RotatedDigits(Domains):
    """Handwritten digits, enlarged to 32x32 and rotated by 180 / `tasks` more degrees per task; domain-incremental.

    Name: Rotated digits

    The counterpart of rotated MNIST (Lopez-Paz & Ranzato 2017, who draw angles up to 180 degrees) that needs no
    download.
    """

    name = "rotated-digits"

    def look(self, pixels: PixelArray, domain: int, options: DomainOptions) -> PixelArray:
        from PIL import Image

        angle, bicubic = 180 * domain / options.tasks, Image.Resampling.BICUBIC
        large = (Image.fromarray(image[..., 0]).resize((SIDE, SIDE), bicubic) for image in pixels)
        return np.stack([np.asarray(image.rotate(angle, bicubic)) for image in large])[..., None]

    def domain_name(self, domain: int, options: DomainOptions) -> str:
        return f"{180 * domain / options.tasks:g} degrees"
