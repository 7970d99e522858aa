"""ImageNet-R, ImageNet-A, CUB-200, Tiny-ImageNet and Stanford Cars, class-incremental, from trees of image files."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Options of streams that are read from trees of image files."""

    size: int = option(224, "side of the square images in pixels: shorter side, then centre crop", ge=1, le=4096)
    split: str = option(
        "seeded",
        "whose split: ours over sorted file names (20 % of every class to test on), lists of files, or folders train/ "
        "and test/ or val/; numbers on different splits do not compare",
        choices=OURS,
    )
    split_seed: int = option(0, "seed of our split; the seeds of a run do not change it", ge=0)
    train_list: str | None = option(None, "split=lists: the file that names the training images")
    test_list: str | None = option(None, "split=lists: the file that names the test images")
    folder: str | None = option(None, "where the images lie; none: looked for, see `clbench data where`")
    evaluate_split: str = option(
        "test",
        "the images to evaluate on: test, or val, held-out training images (a fifth where val_fraction is 0)",
        choices=("test", "val"),
        unlisted=True,
    )

    @property
    def evaluated(self) -> str:
        """The split that is evaluated; `split` says here whose split it is."""
        return self.evaluate_split


@dataclass(frozen=True)
class OfficialOptions(TreeOptions):
    """The same for datasets that have a split of their own."""

    split: str = option(
        "official",
        "whose split: the dataset's own, ours (seeded), lists of files, or folders train/ and test/ or val/; numbers "
        "on different splits do not compare",
        choices=("official", *OURS),
    )


class _Tree(ClassIncremental):
    """What they share."""

    Options: ClassVar[type[IncrementalOptions]] = TreeOptions
    n_classes = 200
    usual: ClassVar[Mapping[str, int]] = {"increment": 20}
    below: ClassVar[str] = ""

    def official(self, root: Path) -> tuple[Files, Files]:
        """Training and test files of the dataset's own split; raises `UsageError` where it has none."""
        raise UsageError(f"{self.name} has no split of its own; choose one of {', '.join(OURS)}.")

    def build(
        self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Progress | None = None
    ) -> Stream:
        """As `ClassIncremental.build`; the images say which split they are of, and that joins the options."""
        from cl.data.trees import Split, read_tree

        options = self.prepared(options, argument)
        split = Split(options.split, options.split_seed, options.train_list, options.test_list)
        split.check()  # before anything is downloaded
        dataset, about = read_tree(
            self.dataset, split, size=options.size, folder=options.folder, official=self.official, below=self.below,
            progress=progress,
        )  # fmt: skip
        stream = class_incremental(
            dataset, options, name=self.name, version=self.version, order_seed=order_seed, data_seed=data_seed,
            extra=about,
        )  # fmt: skip
        kept: dict[str, Any] = {key: value for key, value in stream.options.items() if key not in _WHERE}
        return replace(stream, options=kept | about)  # where files lie on this machine is nobody's business


class ImageNetR(_Tree):
    """ImageNet-R (30,000 renditions of 200 ImageNet classes) in 10 tasks of 20 classes; `increment=40`, 10 or 5 for 5,
    20 or 40 tasks.

    There is no official split, and papers use three kinds that do not compare: lists of files (CODA-Prompt: 24,000 +
    6,000; `split=lists`), folders that were made once (PILOT, SLCA, MOS; L2P's PyTorch port makes its own on first use;
    `split=folders`), and by default ours: 20 % of every class by a fixed seed over the sorted file names.
    """

    name = dataset = "imagenet-r"


class ImageNetA(_Tree):
    """ImageNet-A (7,500 natural adversarial photographs of 200 ImageNet classes) in 10 tasks of 20 classes.

    There is no official split; PILOT's is one of folders (`split=folders`), the default is ours.
    """

    name = dataset = "imagenet-a"


class CUB200(_Tree):
    """CUB-200-2011 (5,994 training and 5,794 test photographs of 200 birds) in 10 tasks of 20 classes.

    `increment=10` is the B0-Inc10 of APER, EASE and MOS, which use a split of PILOT's own (`split=folders`).
    """

    name = dataset = "cub-200"
    Options = OfficialOptions
    below = "images"

    def official(self, root: Path) -> tuple[Files, Files]:
        """images.txt numbers the files, train_test_split.txt says 1 for training."""
        paths = dict(_pairs(root / "images.txt"))
        parts: tuple[Files, Files] = ({}, {})
        for number, is_train in _pairs(root / "train_test_split.txt"):
            owner = parts[0 if is_train == "1" else 1]
            owner.setdefault(paths[number].partition("/")[0], []).append(root / "images" / paths[number])
        return _sorted(parts)


class TinyImageNet(_Tree):
    """Tiny-ImageNet (100,000 training images and the 10,000 of the official validation set, 200 classes, 64x64) in 10
    tasks of 20 classes."""

    @dataclass(frozen=True)
    class Options(OfficialOptions):
        """Options of Tiny-ImageNet."""

        size: int = option(64, "side of the square images in pixels", ge=1, le=4096)

    name = dataset = "tiny-imagenet"

    def official(self, root: Path) -> tuple[Files, Files]:
        """train/CLASS/images/, and val/images/ with classes in val_annotations.txt; the test images have no labels."""
        from cl.data.folders import class_files

        test: Files = {}
        for name, owner in _pairs(root / "val" / "val_annotations.txt"):
            test.setdefault(owner, []).append(root / "val" / "images" / name)
        if not (root / "train").is_dir():
            raise _incomplete(root / "train")
        return _sorted((class_files(root / "train"), test))


class StanfordCars(_Tree):
    """Stanford Cars (8,144 training and 8,041 test photographs of 196 models) in 10 tasks: 9 of 20 classes, one of 16.

    The authors' site no longer has the files; put them together as torchvision describes. Classes are numbered by name.
    """

    name = dataset = "stanford-cars"
    n_classes = 196
    Options = OfficialOptions

    def official(self, root: Path) -> tuple[Files, Files]:
        """As torchvision reads it: cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat."""
        from torchvision.datasets import StanfordCars as Cars

        if root.name != "stanford_cars":
            raise DataError(f"torchvision reads Stanford Cars from a folder named stanford_cars; rename {root}.")
        parts: list[Files] = []
        for split in ("train", "test"):
            try:
                found = Cars(str(root.parent), split=split)
            except (RuntimeError, OSError, KeyError) as error:
                raise _incomplete(root) from error
            files: Files = {}
            for path, label in found._samples:
                files.setdefault(str(found.classes[label]), []).append(Path(path))
            parts.append(files)
        return _sorted((parts[0], parts[1]))


def _pairs(path: Path) -> list[tuple[str, str]]:
    """The first two words of every line."""
    if not path.is_file():
        raise _incomplete(path)
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [(words[0], words[1]) for words in lines]


def _incomplete(path: Path) -> DataError:
    return DataError(f"{path} is not there or not whole; unpack the whole dataset, or choose another split.")


def _sorted(parts: tuple[Files, Files]) -> tuple[Files, Files]:
    train, test = ({name: sorted(files) for name, files in sorted(part.items())} for part in parts)
    if absent := next((path for part in (train, test) for files in part.values() for path in files[:1]
                       if not path.is_file()), None):  # fmt: skip
        raise _incomplete(absent)
    if not train or not test:
        raise UsageError("The official split of this tree is empty; choose another one with stream.split.")
    return train, test
