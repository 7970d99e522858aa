"""Class names in the footers of Parquet files of the Hugging Face hub, which `datasets` reads from one file alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cl.errors import DataError

Names = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """The rows of a file, in order: their number, and the class names by column; None where `datasets` has them."""

    rows: int
    names: Mapping[str, Names | None]


def parts(files: Mapping[str, Sequence[str]]) -> dict[str, list[Part]]:
    """The files of every split, if the class names of a column differ between them; else empty.

    `datasets` takes the names of the first file for all others, and the labels of those would mean other classes.
    Raises `DataError` for a file that numbers the classes of such a column and names none.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    read: dict[str, list[tuple[str, int, Any, Any]]] = {}
    said: dict[str, set[Names]] = {}
    for split, paths in files.items():
        for path in paths:
            metadata = pq.read_metadata(path)
            schema = metadata.schema.to_arrow_schema()
            features = datasets.Features.from_arrow_schema(schema)
            read.setdefault(split, []).append((path, metadata.num_rows, schema, features))
            for column, feature in features.items():
                if isinstance(feature, datasets.ClassLabel):
                    said.setdefault(column, set()).add(tuple(feature.names))
    differ = [column for column, names in said.items() if len(names) > 1]

    def names_in(path: str, schema: Any, features: Any, column: str) -> Names | None:
        if column not in features or not pa.types.is_integer(schema.field(column).type):
            return None  # texts, which `datasets` compares with its names
        if not isinstance(features[column], datasets.ClassLabel):
            raise DataError(
                f"{path} numbers the classes of column '{column}' without naming them, and the other files name them "
                "in different orders; write it again with the names."
            )
        return tuple(features[column].names)

    return {
        split: [
            Part(rows, {column: names_in(path, schema, features, column) for column in differ})
            for path, rows, schema, features in found
        ]
        for split, found in (read if differ else {}).items()
    }


def all_names(found: Mapping[str, Sequence[Part]], column: str) -> Names:
    """The class names of a column in all files: those of the split train first, without repetition."""
    ordered = sorted(found, key=lambda split: split.lower() not in ("train", "training"))
    names = (part.names.get(column) or () for split in ordered for part in found[split])
    return tuple(dict.fromkeys(name for each in names for name in each))


def names_of_rows(found: Sequence[Part], column: str, known: Names) -> Iterator[Names]:
    """For each row of a split the names that its number counts; `known` are those of `datasets`."""
    for part in found:
        names = part.names.get(column) or known
        for _ in range(part.rows):
            yield names


@contextmanager
def quiet() -> Iterator[None]:
    """Switches off the progress bars and the log lines of `datasets` and huggingface_hub; restores them afterwards."""
    import datasets
    import huggingface_hub.utils as hub_utils

    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    shown = [each for each in (datasets, hub_utils) if not each.are_progress_bars_disabled()]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where the environment demands its bars
            for each in shown:
                each.disable_progress_bars()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for each in shown:
            each.enable_progress_bars()
