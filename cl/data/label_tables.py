"""Classes of images in a table beside them: CSV, TSV, JSON or JSON Lines, whose columns the user names."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.data import reads
from cl.data.tree_walk import LeftOut, images_below
from cl.errors import DataError, UsageError, counted, printable

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl")
"""Suffixes of the tables that are read."""

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val", "valid": "val",
           "validation": "val"}  # fmt: skip
_SHOWN = 10
"""Names in an error message."""

Classes = dict[str, list[Path]]


@dataclass(frozen=True)
class LabelTable:
    """A table with a row for each image, and the names of its columns; `split` may be empty."""

    path: str
    image: str = ""
    label: str = ""
    split: str = ""


@dataclass(frozen=True)
class Labelled:
    """The images of each class, sorted by path: of each split that the table has, else of "all"."""

    classes: tuple[str, ...]
    splits: Mapping[str, Classes]


def find(table: LabelTable, root: Path, next_to: Path | None = None) -> Path:
    """The file of a table: its path, or its name in the folder of the images, next to it, or next to a stream file.

    Raises `UsageError` if there is none, or one of another kind.
    """
    written = Path(table.path).expanduser()
    places = [written] if written.is_absolute() else [root / written, root.parent / written, written]
    if next_to is not None:
        places.insert(0, next_to / written)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise UsageError(
            f"There is no file {table.path} in {root} or next to it; set labels to the path of the table with the "
            "classes of the images."
        )
    if found.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{found} is no table that clbench reads; write it as {', '.join(SUFFIXES)}.")
    reads.note(found)
    return found


def read(table: LabelTable, root: Path, left: LeftOut, next_to: Path | None = None) -> Labelled:
    """The images below `root` by class, as the table says; `left` gets a sentence about those that it does not list.

    A path in the table is relative to `root` or to the folder of the table; without its suffix if that is clear.
    Numbers are classes in their own order, texts in the order of their names. Raises `UsageError` if columns are not
    named or not there, `DataError` for rows that cannot be read as one class of one image.
    """
    where = find(table, root, next_to)
    rows = _rows(where)
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    _check_columns(table, where, columns)
    images = {each.path: each for each in images_below(root, left)}
    stems: dict[str, list[str]] = {}
    for path in images:
        stems.setdefault(os.path.splitext(path)[0], []).append(path)
    found: dict[str, tuple[str, str]] = {}
    absent, several = list[str](), list[str]()
    for line, row in rows:
        name, label = (_cell(row.get(column), column, where, line) for column in (table.image, table.label))
        part = _split(row.get(table.split), where, line) if table.split else "all"
        place = _image(name, root, where.parent, images, stems)
        if place is None:
            absent.append(name)
        elif found.setdefault(place, (label, part)) != (label, part):
            several.append(name)
    if absent:
        raise DataError(
            f"{where} lists {counted(len(absent), 'image')} that {'is' if len(absent) == 1 else 'are'} not in {root}: "
            f"{_listed(absent)}; add the files, or remove the rows."
        )
    if several:
        raise DataError(
            f"{where} gives more than one class or split to {counted(len(several), 'image')}: {_listed(several)}; "
            "clbench reads one class per image, so keep one row for each."
        )
    if unlisted := len(images) - sum(path in images for path in found):
        left.sentences.append(f"Left out: {counted(unlisted, 'image')} that {where.name} does not list.")
    classes = _in_order({label for label, _ in found.values()})
    splits: dict[str, Classes] = {}
    for path in sorted(found, key=lambda each: each.replace(os.sep, "/")):
        label, split = found[path]
        splits.setdefault(split, {}).setdefault(label, []).append(Path(path))
    return Labelled(classes, splits)


def columns_of(path: Path) -> list[str]:
    """The columns of a table, for messages; empty if it cannot be read."""
    try:
        return list(dict.fromkeys(key for _, row in _rows(path) for key in row))
    except DataError:
        return []


def _check_columns(table: LabelTable, where: Path, columns: Sequence[str]) -> None:
    """Raise `UsageError` if a column is not named, or named and not there."""
    shown = f"{where} has the columns {_listed(columns)}"
    for key, name in (("image_column", table.image), ("label_column", table.label), ("split_column", table.split)):
        if name and name not in columns:
            raise UsageError(f"{shown}, and no {name!r}; set {key} to one of them.")
    if not table.image or not table.label:
        raise UsageError(
            f"{shown}; name the column of the files with image_column and that of the classes with label_column."
        )


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a table with their numbers from 1, of a CSV with the lines. Raises `DataError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"Cannot read {path} ({error}); write it again in UTF-8.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path} ({error.strerror or error}); check its permissions.") from error
    if path.suffix.lower() in (".csv", ".tsv"):
        try:
            return _of_csv(path, text)
        except csv.Error as error:
            raise DataError(f"{path} is no table of cells ({error}); close the quotes of its cells.") from error
    content = _of_json(path, text)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content) or not content:
        raise DataError(f"{path} holds no list of rows; write it as {_JSON}.")
    return list(enumerate(content, 1))


_JSON = '[{"file": "a.jpg", "class": "cat"}, ...] with one object for each image'


def _of_json(path: Path, text: str) -> Any:
    """The value in a JSON file, or those of its lines. Raises `DataError`, which names the line."""
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not JSON ({error}); write it as {_JSON}.") from error
    content = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            content += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"Line {number} of {path} is not JSON ({error}); write one object for each image."
            ) from error
    return content


def _of_csv(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    first = text.partition("\n")[0]
    most = max(",;\t", key=first.count)
    lines = csv.reader(text.splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else most, strict=True)
    header = [name.strip() for name in next(lines, [])]
    if not header or len(set(header)) < len(header) or not all(header):
        raise DataError(f"{path} must begin with a line that gives each column a name of its own; write one.")
    rows = []
    for row in lines:
        if row and len(row) != len(header):
            raise DataError(
                f"Line {lines.line_num} of {path} has {counted(len(row), 'cell')}, and the first line has "
                f"{len(header)}; put cells with the delimiter in quotes."
            )
        if row:
            rows.append((lines.line_num, dict(zip(header, row, strict=True))))
    if not rows:
        raise DataError(f"{path} has no rows; write one for each image.")
    return rows


def _cell(value: Any, column: str, where: Path, line: int) -> str:
    """The text of a cell; whole numbers of JSON are texts too."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    text = unicodedata.normalize("NFC", text.strip())
    if not text or not text.isprintable():
        raise DataError(
            f"Row {line} of {where} has no text and no whole number in column {column!r}; fill it in, or remove the "
            "row."
        )
    return text


def _split(value: Any, where: Path, line: int) -> str:
    text = str(value).strip().lower()
    if text not in _SPLITS:
        raise DataError(f"Row {line} of {where} has the split {value!r}; write train, test or val.")
    return _SPLITS[text]


def _image(
    name: str, root: Path, beside: Path, images: Mapping[str, Any], stems: Mapping[str, Sequence[str]]
) -> str | None:
    """The path of an image that a table names; None if it is not below `root`."""
    below = os.path.join(root, "")
    for folder in (root, beside):
        path = os.path.normpath(folder / name.replace("\\", "/"))
        if path in images or (path.startswith(below) and os.path.isfile(path)):
            return path
        if len(named := stems.get(path, ())) == 1:
            return named[0]
    return None


def _in_order(labels: Iterable[str]) -> tuple[str, ...]:
    labels = list(labels)
    if all(label.removeprefix("-").isdecimal() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more
