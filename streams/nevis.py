"""NEVIS-style streams: many datasets in the order of their years, each a task with its own labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from cl.data import releases
from cl.data.official.release import absent, how_to_get
from cl.declared.declaration import DatasetEntry, Declaration
from cl.declared.family import Declared
from cl.declared.obtain import find
from cl.declared.options import DeclaredOptions
from cl.errors import UsageError
from cl.options import option

_FOLDER = Path(__file__).with_name("declared")

ABLATIONS = ("large", "major-domain", "without-first-30", "without-last-30", "without-imagenet")
"""Reduced streams in google-deepmind/dm_nevis @7dc53a2, dm_nevis/streams/nevis_stream.py: LARGE_DATASET_ONLY,
MAJOR_DOMAIN_ONLY, REMOVE_FIRST_30_TASKS, REMOVE_LAST_30_TASKS and NO_IMAGENET."""
_DEVELOPMENT = 2020
"""The first year that the official code holds out."""


class NevisReal(Declared):
    """29 small real datasets from 1994 to 2020 in the order of their years, each a task with its own classes.

    Name: NEVIS-real

    Faces, characters, objects, scenes, defects, cells and more, at 64 pixels. The protocol is that of NEVIS'22
    (Bornschein et al., arXiv 2211.11747): the task is given; 15 % of the training images are for model selection (dev)
    and 15 % for tests during development (`split=dev_test`); each task is tested right after it is learned, and all
    tasks at the end. Most datasets are resized and capped; about half have our own split.
    """

    file = _FOLDER / "nevis-real.toml"


class NevisLarge(Declared):
    """The seven datasets of nevis-real with at least 4,000 training images, at 32 pixels; see the stream nevis-real.

    Name: NEVIS-large

    NEVIS'22 has a stream of its large datasets too: networks from scratch can gain from earlier tasks there.
    """

    file = _FOLDER / "nevis-large.toml"


class Nevis(Declared):
    """The 106 tasks of NEVIS'22 in their official order, built from the datasets available on this machine.

    Name: NEVIS'22

    Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research, arXiv
    2211.11747. A dataset NAME of the official table (`streams/declared/nevis-tasks.csv`) is read from the files that
    its authors published, packed or unpacked in a folder NAME/ of CLBENCH_DATA_PATH or of the cache (`clbench data
    status nevis` lists them all); else from a folder NAME/ with train/ and test/, or class folders; else from a pack
    NAME.npz, or NAME_train.npz and NAME_test.npz. Missing datasets are listed and left out. Nine tasks have several
    labels per image: they are read from official files only, measured by mean average precision, and left out with
    `multi_label=skip`. Official validation sets are dev_test; datasets without one are split by the paper's shares,
    drawn by us. The official code uses the tasks before 2020 for development: `stop_year=2020`. `ablation` takes one of
    its reduced streams.
    """

    variant: ClassVar[str] = ""

    @dataclass(frozen=True)
    class Options(DeclaredOptions):
        """Options of the official streams."""

        stop_year: int | None = option(None, "leave out tasks of this year and later; the official default is 2020")
        ablation: str | None = option(
            None,
            "a reduced stream of the official code: of its large datasets (67 tasks), or of its major domains (70); of "
            "the tasks before 2020, without the first or last 30, or without ImageNet; the tasks from 2020 on stay",
            choices=ABLATIONS,
            unlisted=True,
        )

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """The tasks, each with the form in which it is available."""
        tasks = list(_tasks(cls.variant))
        return Declaration(
            name=f"nevis-{cls.variant}" if cls.variant else "nevis",
            title=f"NEVIS'22, {len(tasks)} tasks",
            setting="task-incremental",
            size=64,
            missing="skip",
            splits="nevis",
            datasets=tuple(_entry(task, name) for task, name in zip(tasks, _names(tasks), strict=True)),
        )

    def chosen(self, options: DeclaredOptions, argument: str) -> Declaration:
        """The tasks of `ablation` before `stop_year`, without those that `multi_label=skip` leaves out.

        Raises `UsageError` if none is left, and for an ablation of another stream than `nevis`.
        """
        assert isinstance(options, Nevis.Options)
        declared, year = super().chosen(options, argument), options.stop_year
        if options.ablation is not None:
            if self.variant:
                raise UsageError(f"ablation={options.ablation} is of the stream nevis; {declared.name} has none.")
            names = _reduced(options.ablation)
            declared = replace(declared, datasets=tuple(each for each in declared.datasets if each.name in names))
        if year is None:
            return declared
        kept = tuple(entry for entry in declared.datasets if (entry.year or 0) < year)
        if not kept:
            first = min(entry.year or 0 for entry in declared.datasets)
            raise UsageError(f"stop_year={year} leaves no task; the first task is from {first}.")
        return replace(declared, datasets=kept)


class NevisShort(Nevis):
    """The SHORT variant of NEVIS'22: 29 tasks, built from the available datasets; see `clbench info nevis`.

    Name: NEVIS'22 SHORT
    """

    variant = "short"


class NevisTiny(Nevis):
    """The TINY variant of NEVIS'22: 7 tasks, built from the available datasets; see `clbench info nevis`.

    Name: NEVIS'22 TINY
    """

    variant = "tiny"


def _tasks(variant: str) -> Iterator[dict[str, str]]:
    """Rows of the official table in the order and with the years of a variant."""
    with open(_FOLDER / "nevis-tasks.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not variant:
        return iter(rows)
    chosen = sorted((row for row in rows if row[variant]), key=lambda row: int(row[variant]))
    return iter({**row, "year": row[f"{variant}_year"]} for row in chosen)


def _names(tasks: Sequence[dict[str, str]]) -> list[str]:
    """The name of each task in the stream: its dataset's, with the year if the dataset returns."""
    times = Counter(task["name"] for task in tasks)
    return [f"{task['name']}-{task['year']}" if times[task["name"]] > 1 else task["name"] for task in tasks]


def _reduced(ablation: str) -> set[str]:
    """The names of the tasks of a reduced stream, those from 2020 on included.

    Of the last 30 tasks the code removes whole years from the end, then the first tasks of the year that it cuts.
    """
    tasks = list(_tasks(""))
    names = _names(tasks)
    if ablation in ("large", "major-domain"):
        column = ablation.partition("-")[0]
        return {name for task, name in zip(tasks, names, strict=True) if task[column]}
    early = [name for task, name in zip(tasks, names, strict=True) if int(task["year"]) < _DEVELOPMENT]
    if ablation == "without-first-30":
        return {*names} - {*early[:30]}
    if ablation == "without-last-30":
        backwards = sorted(range(len(early)), key=lambda place: -int(tasks[place]["year"]))
        return {*names} - {names[place] for place in backwards[:30]}
    return {*names} - {name for name in early if name.startswith("imagenet2012")}


def _entry(task: dict[str, str], name: str) -> DatasetEntry:
    """A task in the first form that is available; if there is none, as the official files to provide."""
    source = task["name"]
    common = DatasetEntry(
        name=name,
        reader="folder",
        path=source,
        year=int(task["year"]),
        title=task["task"],
        domain=task["domain"],
        splits=task["splits"],
    )
    packs: list[tuple[str, ...]] = [(f"{each}.npz",) for each in (source, task["pack"]) if each]
    packs += [(f"{source}_train.npz", f"{source}_test.npz")]
    published = releases.release(source)
    official = replace(common, reader="official", path="", release=source, source=how_to_get(published))
    forms = (official, common, *(replace(common, reader="pack", path="", files=files) for files in packs))
    try:
        if task["labels"] == "multi" or absent(published):  # other forms hold one class; a part is no folder of classes
            return official
        return next((form for form in forms if find(form, None) is not None), official)
    except OSError:  # who reads it says so, of this dataset alone
        return official
