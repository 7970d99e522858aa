"""DomainNet and 5-Datasets, declared."""

from __future__ import annotations

from pathlib import Path

from cl.declared import Declared


class DomainNet(Declared):
    """DomainNet (345 classes, about 590,000 images) in six domains, one after the other; domain-incremental.

    Labels are shared, answers are chosen among all of them. 64 pixels (7 GB once decoded) unless `size` says otherwise;
    the split is ours. Verified: never run by us on the real files.
    """

    file = Path(__file__).with_name("declared") / "domainnet.toml"


class FiveDatasets(Declared):
    """5-Datasets (SVHN, MNIST, CIFAR-10, notMNIST, Fashion-MNIST), ten classes each, one after the other.

    Class-incremental. 32 pixels, RGB. SVHN and notMNIST are read from folders. Verified: never run by us on the real
    files.
    """

    file = Path(__file__).with_name("declared") / "5-datasets.toml"
