"""DomainNet, CORe50 and 5-Datasets, declared in TOML."""

from __future__ import annotations

from pathlib import Path

from cl.declared.family import Declared


class DomainNet(Declared):
    """DomainNet (345 classes, about 590,000 images) in six domains, one after the other; domain-incremental.

    Name: DomainNet

    Tasks share their labels, and predictions are over all of them. 64 pixels (7 GB decoded) by default, see `size`; the
    split is ours, of all images in the archives or in the folders; `domainnet-official` has the authors'. Verified:
    never run by us on the real files.
    """

    file = Path(__file__).with_name("declared") / "domainnet.toml"


class DomainNetOfficial(Declared):
    """DomainNet as `domainnet`, with the authors' lists of training and test images (409,832 and 176,743 images).

    Name: DomainNet (official lists)

    Read are the six archives, packed or unpacked, with the lists next to them or in splits/. Papers use this split. The
    lists have no training image of the class t-shirt among the paintings, so its test images there are left out.
    Verified: never run by us on the real files.
    """

    file = Path(__file__).with_name("declared") / "domainnet-official.toml"


class CORe50(Declared):
    """CORe50 (fifty objects, about 165,000 images of 128 pixels): eight sessions, one after the other, tested on three.

    Name: CORe50

    Domain-incremental, the "new instances" protocol of Lomonaco & Maltoni (CoRL 2017): sessions 3, 7 and 10 are tested
    after every task and never learned. The classes are the fifty objects. Sessions are learned in the order of their
    numbers; the authors use ten random orders. Read are core50_128x128.zip, its folder, or core50_imgs.npz with
    paths.pkl. Verified: never run by us on the real files.
    """

    file = Path(__file__).with_name("declared") / "core50.toml"


class FiveDatasets(Declared):
    """5-Datasets (SVHN, MNIST, CIFAR-10, notMNIST, Fashion-MNIST), ten classes each, one after the other.

    Name: 5-Datasets

    Class-incremental. 32 pixels, RGB. All are read from their official files; SVHN and notMNIST also from folders of
    classes. Verified: never run by us on the real files.
    """

    file = Path(__file__).with_name("declared") / "5-datasets.toml"
