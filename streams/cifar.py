"""CIFAR-100 and CIFAR-10, class-incremental."""

from __future__ import annotations

from typing import Any

from cl.data.store import Dataset, Progress
from cl.settings.class_incremental import ClassIncremental


class _SplitCifar(ClassIncremental):
    """The common part of both streams."""

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data.catalog import load

        return load(self.dataset, progress)


class SplitCIFAR100(_SplitCifar):
    """CIFAR-100 (50,000 training and 10,000 test images, 32x32) in 10 tasks of 10 classes (B0-Inc10).

    `increment=5` gives B0-Inc5, `base=50` B50-Inc10. Fine labels in CIFAR's alphabetical numbering, official split.
    """

    name, dataset = "split-cifar100", "cifar100"
    n_classes, usual = 100, {"increment": 10}


class SplitCIFAR10(_SplitCifar):
    """CIFAR-10 (50,000 training and 10,000 test images, 32x32) in 5 tasks of 2 classes."""

    name, dataset = "split-cifar10", "cifar10"
    n_classes, usual = 10, {"increment": 2}
