"""Datasets of the Hugging Face hub, read by its own library `datasets`: an optional package."""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cl.data import reads
from cl.data.hub_names import Part, all_names, names_of_rows, parts, quiet
from cl.data.images import native, readable
from cl.data.official.listing import Examples, Listing, drawn, learnable
from cl.data.official.storing import stored
from cl.data.sources import candidates, is_offline, next_to_or_candidates
from cl.data.store import Dataset, ImageStore, PixelArray, Progress
from cl.errors import DataError, UsageError, counted
from cl.paths import writable_cache

HUB_READER = 1
"""Version of the decoding of the hub's datasets; increased when the same files would give other pixels."""

_SPLITS = {"train": "train", "training": "train", "validation": "val", "valid": "val", "val": "val", "dev": "val",
           "test": "test", "testing": "test"}  # fmt: skip
"""Our split by the name of the hub's."""
_SAVED = ("dataset_dict.json", "state.json")
"""Files of `save_to_disk`: of several splits, and of one."""
_BATCH = 1_000


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the hub, and what of it is read; empty texts take the defaults of `read`."""

    name: str
    config: str = ""
    revision: str = ""
    image: str = ""
    label: str = ""

    @property
    def page(self) -> str:
        return f"https://huggingface.co/datasets/{self.name}"


@dataclass(frozen=True, eq=False)
class _Split:
    """The rows of one split as `datasets` has them; the images are not decoded by it."""

    name: str
    rows: Any
    image: str
    labels: list[Any]  # texts or whole numbers; None: the image has none
    classes: tuple[str, ...]  # of a ClassLabel; empty for other columns
    identity: tuple[str, ...]


def find(name: str, next_to: Path | None = None) -> Path | None:
    """The local copy of a dataset: a folder ORG/NAME or NAME, next to a stream file or where data is searched for.

    It has what `save_to_disk` wrote, or Parquet files, as a clone of its repository has; other folders are passed over.
    """
    for each in dict.fromkeys((name, name.rpartition("/")[2])):
        near = next_to_or_candidates(next_to, (each,), ()) if next_to is not None else None
        for (folder,) in [*([near] if near is not None else []), *candidates((each,))]:
            if any((folder / saved).is_file() for saved in _SAVED) or any(_parquet(folder)):
                return folder
    return None


def unusable(name: str, next_to: Path | None = None) -> Path | None:
    """The first folder of that name that `find` passes over, None if there is none."""
    for each in dict.fromkeys((name, name.rpartition("/")[2])):
        near = [(next_to / each,)] if next_to is not None else []
        for (folder,) in [*near, *candidates((each,))]:
            if folder.is_dir():
                return folder
    return None


def _parquet(folder: Path) -> Iterator[Path]:
    for depth in ("*", "*/*", "*/*/*"):
        yield from sorted(folder.glob(f"{depth}.parquet"))


def reachable() -> bool:
    """Whether a dataset that is not here may be downloaded now."""
    return not is_offline()


def read(
    wanted: HubDataset, copy: Path | None, size: int, *, keep_val: bool, test_fraction: float, split_seed: int,
    progress: Progress | None = None,
) -> Dataset:  # fmt: skip
    """A dataset, decoded to RGB [size, size] once and cached: from a local copy, or downloaded by `datasets`.

    The images are those of the only column of images, the classes those of the only `ClassLabel`, or of the columns
    that are named; texts become classes in the order of their names. Where splits or files number their classes in
    different orders, images keep the names of their classes, and the order is that of the training images. Without a
    test split, validation images are tested unless `keep_val`; without either, `test_fraction` of every class is drawn
    with `split_seed`: all for 1, none for 0 and with `keep_val`. Splits whose images have no labels are left out, which
    a note says. Raises `UsageError` if `datasets` is not installed or a column is not clear, `DataError` for what
    cannot be read.
    """
    content, named = _load(wanted, copy)
    where = str(copy or wanted.page)
    notes: list[str] = []
    found: dict[str, _Split] = {}
    for key, name in _splits(content, where, notes).items():
        split = _split(wanted, name, content[name], copy, named.get(name, ()))
        hidden = sum(label is None for label in split.labels)
        if hidden == len(split.labels) and key not in ("train", "all"):
            notes.append(f"Left out: the {counted(hidden, 'image')} of split {split.name}, which have no labels.")
            continue
        if hidden:
            raise DataError(
                f"{counted(hidden, 'image')} of split {split.name} of {where} have no label; remove them, or name "
                "another column with label = ..."
            )
        found[key] = split
    if "val" in found and "test" not in found and not keep_val:
        found["test"] = found.pop("val")
    if set(found) == {"train"}:
        found = {"all": found["train"]}
    classes = _classes(found, where)
    number = {name: label for label, name in enumerate(classes)}
    splits = {
        key: _examples(split, np.array([number[each] for each in split.labels], np.int64), where)
        for key, split in found.items()
    }
    listing = Listing(tuple(map(str, classes)), splits, tuple(notes))
    if 0 < test_fraction < 1 and not keep_val:
        listing = drawn(listing, test_fraction, split_seed)
    listing = _learnable(listing, where)
    version = f"hub {HUB_READER} {wanted.name} {wanted.config}"
    stores = {
        key: stored(f"{wanted.name} {key}", f"{version} {key}", each, size, progress)
        for key, each in listing.splits.items()
    }
    none = ImageStore.from_arrays(np.empty((0, size, size, 3), np.uint8), np.empty(0, np.int64))
    train, test = stores["all"] if "all" in stores else stores["train"], stores.get("test", none)
    if "all" in stores and test_fraction == 1:
        train, test = none, train
    info = next(iter(found.values())).rows.info
    return Dataset(
        name=wanted.name.rpartition("/")[2],
        train=train,
        test=test,
        val=stores.get("val"),
        class_names=listing.class_names,
        origin=where,
        licence=str(info.license or ""),
        citation=" ".join(str(info.citation or "").split()),
        notes=listing.notes,
    )


def _load(wanted: HubDataset, copy: Path | None) -> tuple[Mapping[str, Any], Mapping[str, Sequence[Part]]]:
    """The rows of each split by its name on the hub; and its files, if these number their classes differently."""
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            f"{wanted.name} of the Hugging Face hub needs the package datasets, which is not installed here; run: "
            "pip install 'clbench[hub]'."
        ) from error
    named: Mapping[str, Sequence[Part]] = {}
    try:
        with quiet():
            if copy is not None and any((copy / saved).is_file() for saved in _SAVED):
                content = datasets.load_from_disk(str(copy), keep_in_memory=False)
            else:
                place = (
                    {"path": wanted.name, "revision": wanted.revision or None}
                    if copy is None
                    else {"path": str(copy), "cache_dir": str(writable_cache() / "hub")}
                )
                builder = datasets.load_dataset_builder(name=wanted.config or None, **place)
                named = _named_parts(builder, copy)
                builder.download_and_prepare()
                content = builder.as_dataset()
    except DataError:
        raise
    except Exception as error:  # it raises nearly every type, of its own and of the libraries that it uses
        cause = error.__cause__ or error
        why = " ".join(str(cause).split()) or type(cause).__name__
        fix = "check the name, the network and your token" if copy is None else "get it again, or name a config"
        raise DataError(f"Cannot read {copy or wanted.page} with datasets ({why[:300]}); {fix}.") from error
    return dict(content) if isinstance(content, dict) else {str(content.split or "train"): content}, named


def _named_parts(builder: Any, copy: Path | None) -> Mapping[str, Sequence[Part]]:
    """The files of each split if they number their classes differently; the builder then knows all their names."""
    import datasets

    files = {str(split): [str(path) for path in paths] for split, paths in (builder.config.data_files or {}).items()}
    if not files or not all(path.endswith(".parquet") for paths in files.values() for path in paths):
        return {}
    if copy is None:  # to the cache from which the builder takes them
        files = datasets.DownloadManager().download(files)
    found = parts(files)
    if found:
        import pyarrow.parquet as pq

        first = next(path for paths in files.values() for path in paths)
        features = (builder.info.features or datasets.Features.from_arrow_schema(pq.read_schema(first))).copy()
        for column in next(iter(found.values()))[0].names:
            features[column] = datasets.ClassLabel(names=list(all_names(found, column)))
        builder.info.features = features
    return found


def _splits(content: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, str]:
    """The names of the splits by ours; the only one of a dataset is "all". `notes` gets what is left out."""
    found = {"all": next(iter(content))} if len(content) == 1 else {}
    for name, rows in content.items() if not found else ():
        key = _SPLITS.get(name.lower())
        if key is None or key in found:
            notes.append(f"Left out: split {name} of {where} ({counted(len(rows), 'row')}).")
        else:
            found[key] = name
    if "train" not in found and "all" not in found:
        raise DataError(f"{where} has no split called train, but {', '.join(content)}; choose another config.")
    if empty := [name for name in found.values() if not len(content[name])]:
        raise DataError(f"{where} has no {empty[0]} images: the split is empty; get it again.")
    return found


def _split(wanted: HubDataset, name: str, rows: Any, copy: Path | None, named: Sequence[Part] = ()) -> _Split:
    """The rows with the undecoded images, their labels, and what changes if the images do."""
    import datasets

    features, where = rows.features, str(copy or wanted.page)
    image, label = _image(wanted, rows, where), _label(wanted, rows, where)
    if isinstance(features[image], datasets.Image):
        rows = rows.cast_column(image, datasets.Image(decode=False))
    labels = rows.select_columns([label]).with_format("arrow")[:].column(label).to_pylist()
    classes: tuple[str, ...] = ()
    if isinstance(features[label], datasets.ClassLabel):
        classes = tuple(features[label].names)
        names = names_of_rows(named, label, classes) if named else itertools.repeat(classes, len(labels))
        labels = [
            None if number is None or number < 0 else each[number] for number, each in zip(labels, names, strict=True)
        ]
    files = [Path(each["filename"]) for each in rows.cache_files]
    if copy is None:  # else the folder is noted
        reads.note(*files)
    elif not all(
        file.is_relative_to(copy) for file in files
    ):  # what `datasets` made of Parquet files, made again if lost
        files = list(_parquet(copy))
    identity = [f"{image} {len(rows)}", *(f"{path.name} {reads.text_of(path.stat())}" for path in files)]
    return _Split(name, rows.select_columns([image]), image, labels, classes, (*identity, *_linked(rows, image)))


def _linked(rows: Any, image: str) -> Iterable[str]:
    """For images that are not in the table but in files: their paths, sizes and times."""
    table = rows.select_columns([image]).with_format("arrow")
    for start in range(0, len(rows), _BATCH):
        column = table[start : start + _BATCH].column(image).combine_chunks()
        names = [field.name for field in column.type] if str(column.type).startswith("struct") else []
        if "path" in names and "bytes" in names and column.field("bytes").null_count:
            for path, data in zip(column.field("path"), column.field("bytes"), strict=True):
                if not data.is_valid and path.is_valid and (file := Path(path.as_py())).is_file():
                    yield f"{file} {reads.text_of(file.stat())}"


def _image(wanted: HubDataset, rows: Any, where: str) -> str:
    """The name of the column of images."""
    import datasets

    features = rows.features
    if wanted.image:
        feature = _named(features, "image", wanted.image, where)
        packed = isinstance(feature, dict) and "bytes" in feature
        if not (isinstance(feature, datasets.Image) or packed or getattr(feature, "dtype", "").endswith("binary")):
            raise UsageError(f"Column '{wanted.image}' of {where} holds no images; name another with image = ...")
        return wanted.image
    return _only([key for key, each in features.items() if isinstance(each, datasets.Image)], "image", features, where)


def _label(wanted: HubDataset, rows: Any, where: str) -> str:
    """The name of the column of labels."""
    import datasets

    features = rows.features
    if not wanted.label:
        labels = [key for key, each in features.items() if isinstance(each, datasets.ClassLabel)]
        return _only(labels, "label", features, where)
    feature = _named(features, "label", wanted.label, where)
    dtype = str(getattr(feature, "dtype", "")).removeprefix("large_")
    if not (isinstance(feature, (datasets.ClassLabel, datasets.Value)) and dtype.startswith(("int", "uint", "string"))):
        raise UsageError(
            f"Column '{wanted.label}' of {where} holds no class of each image (a ClassLabel, texts or whole numbers); "
            "name another with label = ..."
        )
    return wanted.label


def _named(features: Mapping[str, Any], key: str, name: str, where: str) -> Any:
    if name not in features:
        raise UsageError(f"{where} has no column '{name}' ({key}); it has {', '.join(features)}.")
    return features[name]


def _only(found: Sequence[str], key: str, features: Mapping[str, Any], where: str) -> str:
    what = "images" if key == "image" else "classes (ClassLabel)"
    if len(found) != 1:
        raise UsageError(
            f"{where} has {counted(len(found), 'column')} of {what}; name one of {', '.join(found or features)} with "
            f"{key} = ... in the stream file, or with stream.{key}=... for hf:NAME."
        )
    return found[0]


def _classes(found: Mapping[str, _Split], where: str) -> tuple[Any, ...]:
    """The classes in order: as the `ClassLabel` of the training images has them, then those of other splits; or sorted.

    Raises `DataError` if one split has numbers and another names.
    """
    first = found["all" if "all" in found else "train"]
    others = [split for split in found.values() if split is not first]
    for split in others:
        if isinstance(split.labels[0], str) != isinstance(first.labels[0], str):
            raise DataError(
                f"The classes of split {split.name} of {where} and of split {first.name} are numbers in one and names "
                "in the other; write both alike, or name another column with label = ..."
            )
    used = {label for split in found.values() for label in split.labels}
    if not first.classes:
        return tuple(sorted(used))
    declared = (name for split in (first, *others) for name in split.classes)
    return tuple(dict.fromkeys((*declared, *sorted(used))))


def _learnable(listing: Listing, where: str) -> Listing:
    """As `learnable`; raises `DataError` for a split with other classes than the training images alone."""
    left = learnable(listing)
    for split, examples in left.splits.items():
        if len(listing.splits[split]) and not len(examples):
            raise DataError(
                f"The {split} images of {where} have none of the classes of its training images; make the names of "
                "the classes of both splits the same."
            )
    return left


def _examples(split: _Split, labels: np.ndarray, where: str) -> Examples:
    lock = threading.Lock()  # `datasets` does not say that threads may share it; decoding takes most of the time

    def decode(index: int) -> PixelArray:
        from PIL import Image

        with readable(f"{index} of split {split.name} of {where}"):
            with lock:
                value = split.rows[index][split.image]
            with Image.open(io.BytesIO(_bytes(value))) as opened:
                return native(opened)

    stamp = hashlib.sha256("\n".join(split.identity).encode(errors="surrogateescape")).hexdigest()
    return Examples(labels, decode, lambda: (f"{stamp} {index}" for index in range(len(labels))))


def _bytes(value: Any) -> bytes:
    """The encoded image in a cell. Raises `ValueError` for an empty one."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None and isinstance(value, dict) and value.get("path"):
        return Path(value["path"]).read_bytes()
    if not data:
        raise ValueError("its cell is empty")
    return bytes(data)
