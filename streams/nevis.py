"""NEVIS-style streams: many datasets in the order of their years, each a task with its own labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
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


class NevisReal(Declared):
    """29 small real datasets from 1994 to 2020 in the order of their years, each a task with its own classes.

    Faces, characters, objects, scenes, defects, cells and more, at 64 pixels. The protocol is that of NEVIS'22
    (Bornschein et al., arXiv 2211.11747): the task is given; 15 % of the training images are for model selection (dev)
    and 15 % for tests during development (`split=dev_test`); each task is tested right after it is learned, and all
    tasks at the end. Most datasets are resized and capped; about half have our own split.
    """

    file = _FOLDER / "nevis-real.toml"


class NevisLarge(Declared):
    """The seven datasets of nevis-real with at least 4,000 training images, at 32 pixels; see the stream nevis-real.

    NEVIS'22 has a stream of its large datasets too: networks from scratch can gain from earlier tasks there.
    """

    file = _FOLDER / "nevis-large.toml"


class Nevis(Declared):
    """The 106 tasks of NEVIS'22 in their official order, built from the datasets available on this machine.

    Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research, arXiv
    2211.11747. A dataset NAME of the official table (`streams/declared/nevis-tasks.csv`) is read from the files that
    its authors published, packed or unpacked in a folder NAME/ of CLBENCH_DATA_PATH or of the cache (`clbench data
    status nevis` lists them all); else from a folder NAME/ with train/ and test/, or class folders; else from a pack
    NAME.npz, or NAME_train.npz and NAME_test.npz. Missing datasets are listed and left out. Nine tasks have several
    labels per image: they are read from official files only, measured by mean average precision, and left out with
    `multi_label=skip`. Official validation sets are dev_test; datasets without one are split by the paper's shares,
    drawn by us. The official code uses the tasks before 2020 for development: `stop_year=2020`.
    """

    variant: ClassVar[str] = ""

    @dataclass(frozen=True)
    class Options(DeclaredOptions):
        """Options of the official streams."""

        stop_year: int | None = option(None, "leave out tasks of this year and later; the official default is 2020")

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """The tasks, each with the form in which it is available."""
        tasks = list(_tasks(cls.variant))
        names = Counter(task["name"] for task in tasks)
        return Declaration(
            name=f"nevis-{cls.variant}" if cls.variant else "nevis",
            title=f"NEVIS'22, {len(tasks)} tasks",
            setting="task-incremental",
            size=64,
            missing="skip",
            splits="nevis",
            datasets=tuple(_entry(task, repeated=names[task["name"]] > 1) for task in tasks),
        )

    def chosen(self, options: DeclaredOptions, argument: str) -> Declaration:
        """The tasks before `stop_year`, without those that `multi_label=skip` leaves out."""
        declared, year = super().chosen(options, argument), getattr(options, "stop_year", None)
        if year is None:
            return declared
        kept = tuple(entry for entry in declared.datasets if (entry.year or 0) < year)
        if not kept:
            raise UsageError(f"stop_year={year} leaves no task; the first task is from 1992.")
        return replace(declared, datasets=kept)


class NevisShort(Nevis):
    """The SHORT variant of NEVIS'22: 29 tasks, built from the available datasets; see `clbench info nevis`."""

    variant = "short"


class NevisTiny(Nevis):
    """The TINY variant of NEVIS'22: 7 tasks, built from the available datasets; see `clbench info nevis`."""

    variant = "tiny"


def _tasks(variant: str) -> Iterator[dict[str, str]]:
    """Rows of the official table in the order and with the years of a variant."""
    with open(_FOLDER / "nevis-tasks.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not variant:
        return iter(rows)
    chosen = sorted((row for row in rows if row[variant]), key=lambda row: int(row[variant]))
    return iter({**row, "year": row[f"{variant}_year"]} for row in chosen)


def _entry(task: dict[str, str], repeated: bool) -> DatasetEntry:
    """A task in the first form that is available; if there is none, as the official files to provide."""
    name, year = task["name"], int(task["year"])
    common = DatasetEntry(
        name=f"{name}-{year}" if repeated else name,
        reader="folder",
        path=name,
        year=year,
        title=task["task"],
        splits=task["splits"],
    )
    packs = [(f"{each}.npz",) for each in (name, task["pack"]) if each] + [(f"{name}_train.npz", f"{name}_test.npz")]
    published = releases.release(name)
    official = replace(common, reader="official", path="", release=name, source=how_to_get(published))
    forms = (official, common, *(replace(common, reader="pack", path="", files=files) for files in packs))
    try:
        if task["labels"] == "multi" or absent(published):  # other forms hold one class; a part is no folder of classes
            return official
        return next((form for form in forms if find(form, None) is not None), official)
    except OSError:  # who reads it says so, of this dataset alone
        return official
