"""Class names in files of the user: the order of the classes, or the classes of each task.

Importing this module imports neither NumPy nor torch: plans read such files.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cl.data import reads
from cl.errors import UsageError, counted, printable

_SHOWN = 10
"""Names in an error message."""


def labels_in_order(path: str, class_names: Sequence[str], dataset: str) -> list[int]:
    """The labels of a dataset in the order of a file with one class name per line; empty lines do not count.

    Raises `UsageError` for a file that cannot be read, or that does not name each class of the dataset once: one
    sentence lists the names that are unknown, missing and named twice.
    """
    lines = (line.strip() for line in _text(path, "classes_file").splitlines())
    names = [unicodedata.normalize("NFC", line) for line in lines if line]
    twice = [name for name, count in Counter(names).items() if count > 1]
    problems = _problems(names, class_names, twice, "named twice")
    if problems:
        raise UsageError(
            f"{path} does not name each of the {counted(len(class_names), 'class')} of {dataset} once: {problems}; "
            "write one name per line."
        )
    place = {unicodedata.normalize("NFC", name): label for label, name in enumerate(class_names)}
    return [place[name] for name in names]


def names_by_task(path: str) -> list[list[str]]:
    """The names of the classes of each task, from a JSON file: a list with one list of names for each task.

    A class may be in several tasks. Raises `UsageError` for a file that cannot be read or has another form.
    """
    try:
        content: Any = json.loads(_text(path, "tasks_file"))
    except ValueError as error:
        raise UsageError(f'{path} is not JSON ({error}); write [["cat", "dog"], ["cat", "owl"]].') from error
    if not (
        isinstance(content, list)
        and content
        and all(isinstance(task, list) and task and all(isinstance(name, str) for name in task) for task in content)
    ):
        raise UsageError(
            f"{path} must hold a list with one list of class names for each task, such as "
            '[["cat", "dog"], ["cat", "owl"]].'
        )
    tasks = [[unicodedata.normalize("NFC", name) for name in task] for task in content]
    for number, task in enumerate(tasks):
        if twice := [name for name, count in Counter(task).items() if count > 1]:
            raise UsageError(f"Task {number} of {path} names {_listed(twice)} twice; name each class of a task once.")
    return tasks


def labels_by_task(path: str, class_names: Sequence[str], dataset: str) -> list[list[int]]:
    """The labels of each task of a file of `names_by_task`; every class must be in some task. Raises `UsageError`."""
    tasks = names_by_task(path)
    if problems := _problems([name for task in tasks for name in task], class_names, [], ""):
        raise UsageError(
            f"{path} does not divide the {counted(len(class_names), 'class')} of {dataset} among tasks: {problems}; "
            "name every class in at least one task."
        )
    place = {unicodedata.normalize("NFC", name): label for label, name in enumerate(class_names)}
    return [[place[name] for name in task] for task in tasks]


def classes_return(path: str) -> bool:
    """Whether a file of `names_by_task` has a class in several tasks."""
    names = [name for task in names_by_task(path) for name in task]
    return len(set(names)) < len(names)


def _problems(names: Sequence[str], class_names: Sequence[str], twice: Sequence[str], said: str) -> str:
    known = [unicodedata.normalize("NFC", name) for name in class_names]
    unknown = [name for name in dict.fromkeys(names) if name not in set(known)]
    missing = [name for name in known if name not in set(names)]
    found = {"unknown": unknown, "missing": missing, said: twice}
    return "; ".join(f"{what}: {_listed(each)}" for what, each in found.items() if each)


def _listed(names: Iterable[str]) -> str:
    names = [printable(name) for name in names]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _text(path: str, option: str) -> str:
    file = Path(path).expanduser()
    if not file.is_file():
        raise UsageError(f"There is no file {path}; set stream.{option} to the path of one.")
    reads.note_written(Path(path))
    reads.note(file)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"Cannot read {path} ({error}); write it as a text file in UTF-8.") from error
    except OSError as error:
        raise UsageError(f"Cannot read {path} ({error.strerror or error}); check its permissions.") from error
