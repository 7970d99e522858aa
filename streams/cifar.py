"""CIFAR-100 and CIFAR-10, class-incremental."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cl.data.store import Progress
from cl.settings.class_incremental import IncrementalOptions, check_options, class_incremental, with_defaults

if TYPE_CHECKING:
    from cl.stream import Stream


class _SplitCifar:
    """What the two share."""

    version = "1"
    Options = IncrementalOptions
    name: ClassVar[str]
    dataset: ClassVar[str]
    n_classes: ClassVar[int]
    increment: ClassVar[int]

    def build(
        self,
        options: IncrementalOptions,
        *,
        order_seed: int,
        data_seed: int,
        argument: str = "",
        progress: Progress | None = None,
    ) -> Stream:
        """Build the stream; raises `UsageError` for options that do not fit, `DataError` where the data is missing or
        wrong."""
        from cl.data.catalog import load

        options = with_defaults(options, self.n_classes, increment=self.increment)
        check_options(options, self.n_classes)  # before anything is downloaded
        return class_incremental(
            load(self.dataset, progress),
            options,
            name=self.name,
            version=self.version,
            order_seed=order_seed,
            data_seed=data_seed,
        )


class SplitCIFAR100(_SplitCifar):
    """CIFAR-100 (50,000 training and 10,000 test images, 32x32) in 10 tasks of 10 classes (B0-Inc10).

    `increment=5` gives B0-Inc5, `base=50` B50-Inc10. The fine labels in CIFAR's alphabetical numbering, the official
    split.
    """

    name = "split-cifar100"
    dataset = "cifar100"
    n_classes = 100
    increment = 10


class SplitCIFAR10(_SplitCifar):
    """CIFAR-10 (50,000 training and 10,000 test images, 32x32) in 5 tasks of 2 classes."""

    name = "split-cifar10"
    dataset = "cifar10"
    n_classes = 10
    increment = 2
