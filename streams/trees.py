"""ImageNet-R, ImageNet-A, CUB-200, Tiny-ImageNet and Stanford Cars, class-incremental, from trees of image files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cl.data.store import Progress
from cl.errors import DataError, UsageError
from cl.options import option
from cl.settings.class_incremental import ClassIncremental, IncrementalOptions, class_incremental

if TYPE_CHECKING:
    from cl.data.folders import Files
    from cl.stream import Stream

OURS = ("seeded", "lists", "folders")
_WHERE = ("folder", "train_list", "test_list")


@dataclass(frozen=True)
class TreeOptions(IncrementalOptions):
    """Options of streams read from trees of image files."""

    size: int = option(224, "side of the square images in pixels: shorter side, then centre crop", ge=1, le=4096)
    split: str = option(
        "seeded",
        "the split: seeded over sorted file names (20 % of every class for tests), lists of files, or folders train/ "
        "and test/ or val/; numbers on different splits are not comparable",
        choices=OURS,
    )
    split_seed: int = option(0, "seed of split=seeded, independent of the seeds of a run", ge=0)
    train_list: str | None = option(None, "for split=lists: the file that names the training images")
    test_list: str | None = option(None, "for split=lists: the file that names the test images")
    folder: str | None = option(None, "folder of the images; none: search, see `clbench data where`")
    evaluate_split: str = option(
        "test",
        "the images to evaluate: test, or held-out training images (val; a fifth if val_fraction is 0)",
        choices=("test", "val"),
        unlisted=True,
    )

    @property
    def evaluated(self) -> str:
        """The evaluated split; here `split` means another thing, the split of the dataset."""
        return self.evaluate_split


@dataclass(frozen=True)
class OfficialOptions(TreeOptions):
    """The options for datasets with an official split."""

    split: str = option(
        "official",
        "the split: official, seeded (20 % of every class for tests), lists of files, or folders train/ and test/ or "
        "val/; numbers on different splits are not comparable",
        choices=("official", *OURS),
    )


class _Tree(ClassIncremental):
    """The common part of these streams."""

    Options: ClassVar[type[IncrementalOptions]] = TreeOptions
    n_classes = 200
    usual: ClassVar[Mapping[str, int]] = {"increment": 20}
    below: ClassVar[str] = ""
    release: ClassVar[str] = ""  # of `cl.data.releases`, whose tables have the official split

    def official(self, root: Path) -> tuple[Files, Files]:
        """Training and test files of the official split; raises `UsageError` if there is none."""
        raise UsageError(f"{self.name} has no official split; choose one of {', '.join(OURS)}.")

    def build(
        self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Progress | None = None
    ) -> Stream:
        """As `ClassIncremental.build`; the split found with the images is added to the options."""
        from cl.data import releases
        from cl.data.trees import Split, read_release, read_tree

        options = self.prepared(options, argument)
        split = Split(options.split, options.split_seed, options.train_list, options.test_list)
        split.check()  # before anything is downloaded
        if split.name == "official" and self.release:
            dataset, about = read_release(
                self.dataset, releases.release(self.release), size=options.size, folder=options.folder,
                progress=progress,
            )  # fmt: skip
        else:
            dataset, about = read_tree(
                self.dataset, split, size=options.size, folder=options.folder, official=self.official,
                below=self.below, progress=progress,
            )  # fmt: skip
        stream = class_incremental(
            dataset, options, name=self.name, version=self.version, order_seed=order_seed, data_seed=data_seed,
            extra=about,
        )  # fmt: skip
        kept: dict[str, Any] = {key: value for key, value in stream.options.items() if key not in _WHERE}
        return replace(stream, options=kept | about)  # without paths of this machine


class ImageNetR(_Tree):
    """ImageNet-R (30,000 renditions of 200 ImageNet classes), 10 tasks of 20 classes.

    Name: ImageNet-R

    `increment=40`, 10 or 5 gives 5, 20 or 40 tasks. There is no official split. Papers use three kinds that are not
    comparable: lists of files (CODA-Prompt: 24,000 + 6,000; `split=lists`), existing folders (PILOT, SLCA, MOS;
    L2P's PyTorch port makes its own on first use; `split=folders`), and the default here: 20 % of every class by a
    fixed seed over the sorted file names.
    """

    name = dataset = "imagenet-r"


class ImageNetA(_Tree):
    """ImageNet-A (7,500 natural adversarial photographs of 200 ImageNet classes) in 10 tasks of 20 classes.

    Name: ImageNet-A

    There is no official split. PILOT's split consists of folders (`split=folders`); the default is ours.
    """

    name = dataset = "imagenet-a"


class CUB200(_Tree):
    """CUB-200-2011 (5,994 training and 5,794 test photographs of 200 birds) in 10 tasks of 20 classes.

    Name: CUB-200-2011

    `increment=10` is the B0-Inc10 of APER, EASE and MOS, which use PILOT's split (`split=folders`).
    """

    name = dataset = "cub-200"
    Options = OfficialOptions
    below = "images"

    def official(self, root: Path) -> tuple[Files, Files]:
        """images.txt numbers the files; train_test_split.txt marks training images with 1."""
        paths = dict(_pairs(root / "images.txt"))
        parts: tuple[Files, Files] = ({}, {})
        for number, is_train in _pairs(root / "train_test_split.txt"):
            owner = parts[0 if is_train == "1" else 1]
            owner.setdefault(paths[number].partition("/")[0], []).append(root / "images" / paths[number])
        return _sorted(parts)


class TinyImageNet(_Tree):
    """Tiny-ImageNet (100,000 training images and 10,000 test images, 200 classes, 64x64) in 10 tasks of 20 classes.

    Name: Tiny-ImageNet

    The test images are the official validation set, because those of the official test set have no labels.
    """

    @dataclass(frozen=True)
    class Options(OfficialOptions):
        """Options of Tiny-ImageNet."""

        size: int = option(64, "side of the square images in pixels", ge=1, le=4096)

    name = dataset = "tiny-imagenet"

    def official(self, root: Path) -> tuple[Files, Files]:
        """train/CLASS/images/, and val/images/ with classes in val_annotations.txt, or val/CLASS/ as many scripts sort
        them."""
        from cl.data.folders import class_files

        if not (root / "train").is_dir():
            raise _incomplete(root / "train")
        train, val = class_files(root / "train"), root / "val"
        if test := _sorted_by_class(val, train):
            return _sorted((train, test))
        for name, owner in _pairs(val / "val_annotations.txt"):
            test.setdefault(owner, []).append(val / "images" / name)
        return _sorted((train, test))


class StanfordCars(_Tree):
    """Stanford Cars (8,144 training and 8,041 test photographs of 196 models) in 10 tasks: 9 of 20 classes, one of 16.

    Name: Stanford Cars

    The authors' site no longer has the files. Read are car_ims.tgz with cars_annos.mat, or cars_train.tgz and
    cars_test.tgz with car_devkit.tgz and cars_test_annos_withlabels.mat, packed or unpacked, as torchvision lays them
    out or as Kaggle nests them. Classes are numbered by name.
    """

    name = dataset = "stanford-cars"
    release = "stanford_cars"
    n_classes = 196
    Options = OfficialOptions


def _sorted_by_class(val: Path, classes: Collection[str]) -> Files:
    """The validation images that a script has put into class folders, in val/ or val/images/; empty: none are.

    Scripts leave val_annotations.txt, and some leave the folder images/, with images or without.
    """
    from cl.data.tree_walk import LeftOut, folders_in, images_below

    for folder in (val, val / "images"):
        found = [path for path in (folders_in(folder) if folder.is_dir() else ()) if path.name in classes]
        if found:
            return {path.name: [Path(each.path) for each in images_below(path, LeftOut())] for path in found}
    return {}


def _pairs(path: Path) -> list[tuple[str, str]]:
    """The first two words of every line."""
    if not path.is_file():
        raise _incomplete(path)
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [(words[0], words[1]) for words in lines]


def _incomplete(path: Path) -> DataError:
    return DataError(f"{path} is missing or incomplete; unpack the whole dataset, or choose another split.")


def _sorted(parts: tuple[Files, Files]) -> tuple[Files, Files]:
    train, test = ({name: sorted(files) for name, files in sorted(part.items())} for part in parts)
    if absent := next((path for part in (train, test) for files in part.values() for path in files[:1]
                       if not path.is_file()), None):  # fmt: skip
        raise _incomplete(absent)
    if not train or not test:
        raise UsageError("The official split of this tree is empty; choose another one with stream.split.")
    return train, test
