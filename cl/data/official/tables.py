"""Tables in text files, CSV with a header, and lists of names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from cl.data.official.files import Files
from cl.errors import DataError


def rows(files: Files, name: str, columns: Sequence[str], delimiter: str = ",") -> Iterator[tuple[str, ...]]:
    """The values of some columns of the file `name`, row by row, without spaces around them.

    Raises `DataError` for a file that is missing, or lacks a column or a value.
    """
    reader = csv.DictReader(files.text(name).splitlines(), delimiter=delimiter, skipinitialspace=True)
    header = [each.strip() for each in reader.fieldnames or ()]
    if lacking := [column for column in columns if column not in header]:
        raise DataError(f"{name} of {files.where} has no column {lacking[0]}; get it again.")
    reader.fieldnames = header
    for number, row in enumerate(reader, 2):
        values = tuple(row[column] for column in columns)
        if any(value is None for value in values):
            raise DataError(f"Line {number} of {name} of {files.where} is cut off; get it again.")
        yield tuple(value.strip() for value in values)


def listed(text: str) -> tuple[str, ...]:
    """The names in a text, separated by commas; a line break counts as a space."""
    return tuple(each.strip() for each in " ".join(text.split()).split(","))
