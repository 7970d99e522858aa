"""NEVIS-style streams: many datasets in the order of their years, each a task with labels of its own."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cl.declared.declaration import DatasetEntry, Declaration
from cl.declared.family import Declared
from cl.declared.obtain import find
from cl.declared.options import DeclaredOptions
from cl.errors import UsageError
from cl.options import option

if TYPE_CHECKING:
    pass

_FOLDER = Path(__file__).with_name("declared")


class NevisReal(Declared):
    """29 small real datasets from 1994 to 2020 in the order of their years, each a task with classes of its own.

    Faces, characters, objects, scenes, defects, cells and more, at 64 pixels. The protocol is that of NEVIS'22
    (Bornschein et al., arXiv 2211.11747): the task is told; of the training images 15 % are for choices (dev) and 15 %
    for tests while developing (`split=dev_test`); each task is tested right after it was learned, and all of them at
    the end. Most datasets are resized and capped, about half have a split of our own.
    """

    file = _FOLDER / "nevis-real.toml"


class Nevis(Declared):
    """The 106 tasks of NEVIS'22 in their official order, built from those datasets that are here.

    Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research, arXiv
    2211.11747. A dataset NAME of the official table (`streams/declared/nevis-tasks.csv`) is here if a folder of
    CLBENCH_DATA_PATH, or of the cache, holds NAME/ (train/ and test/, or class folders), NAME.npz, or NAME_train.npz
    and NAME_test.npz; what is not here is named and left out. Multi-label tasks are left out. Their validation sets
    are not read: splits are 70/15/15 % of the training images, and counting sets must come binned. The official code
    develops on the tasks before 2020: `stop_year=2020`.
    """

    variant: ClassVar[str] = ""

    @dataclass(frozen=True)
    class Options(DeclaredOptions):
        """Options of the official streams."""

        stop_year: int | None = option(None, "leave out tasks from this year on; the official default is 2020")

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """The tasks whose images have one label, each with the form in which it is here."""
        tasks = list(_tasks(cls.variant))
        single = [task for task in tasks if task["labels"] == "single"]
        names = Counter(task["name"] for task in single)
        return Declaration(
            name=f"nevis-{cls.variant}" if cls.variant else "nevis",
            title=f"NEVIS'22, {len(tasks)} tasks",
            setting="task-incremental",
            size=64,
            missing="skip",
            splits="nevis",
            omitted=tuple(f"{task['task']} (multi-label)" for task in tasks if task["labels"] != "single"),
            datasets=tuple(_entry(task, repeated=names[task["name"]] > 1) for task in single),
        )

    def chosen(self, options: DeclaredOptions, argument: str) -> Declaration:
        """The tasks before `stop_year`."""
        declared, year = self.declaration(argument), getattr(options, "stop_year", None)
        if year is None:
            return declared
        kept = tuple(entry for entry in declared.datasets if (entry.year or 0) < year)
        if not kept:
            raise UsageError(f"stop_year={year} leaves no task; the first is of 1992.")
        return replace(declared, datasets=kept)


class NevisShort(Nevis):
    """The SHORT variant of NEVIS'22: 29 tasks, built from those datasets that are here; see `clbench info nevis`."""

    variant = "short"


class NevisTiny(Nevis):
    """The TINY variant of NEVIS'22: 7 tasks, built from those datasets that are here; see `clbench info nevis`."""

    variant = "tiny"


def _tasks(variant: str) -> Iterator[dict[str, str]]:
    """Rows of the official table in the order of a variant, which has years of its own."""
    with open(_FOLDER / "nevis-tasks.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not variant:
        return iter(rows)
    chosen = sorted((row for row in rows if row[variant]), key=lambda row: int(row[variant]))
    return iter({**row, "year": row[f"{variant}_year"]} for row in chosen)


def _entry(task: dict[str, str], repeated: bool) -> DatasetEntry:
    """A task in the first form that is here; where none is, the folder to provide."""
    name, year = task["name"], int(task["year"])
    common = DatasetEntry(
        name=f"{name}-{year}" if repeated else name,
        reader="folder",
        path=name,
        year=year,
        title=task["task"],
        splits=task["splits"],
        source={"torchvision": "downloadable, torchvision has a class for it"}.get(task["get"], task["get"]),
    )
    packs = [(f"{each}.npz",) for each in (name, task["pack"]) if each] + [(f"{name}_train.npz", f"{name}_test.npz")]
    forms = [common, *(replace(common, reader="pack", path="", files=files) for files in packs)]
    return next((form for form in forms if find(form, None) is not None), common)
