"""Your own images, class-incremental: `folder:/path/to/images`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.data import reads
from cl.data.label_tables import LabelTable
from cl.data.store import Dataset, Progress
from cl.errors import UsageError
from cl.options import option
from cl.settings.class_incremental import ClassIncremental
from cl.settings.read_first import WITHOUT_NETWORK, OwnOptions, with_size, with_tasks


class Folder(ClassIncremental):
    """Your own images: a folder with one subfolder per class, or with train/ and test/ (or val/) of that form.

    Without train/ and test/, a fixed share of every class becomes the test set (`test_fraction`, `split_seed`); this
    split is part of the stream's identity. Images are converted to RGB, shorter side `size`, centre crop. By default
    `size` is that to which the backbone's transform resizes (its input size / its crop_pct, such as 32 or 224 / 0.9),
    so an image is resized once. By default 5 tasks (fewer if there are fewer than 10 classes: each has at least 2);
    change this with `tasks`, `increment`, `sizes`, `classes_file` or `tasks_file`. The classes may also be in a table
    beside the images (`labels`). See the page "Your own images".
    """

    family = "folder"
    sized_by_network = True

    @dataclass(frozen=True)
    class Options(OwnOptions):
        """Options of folder streams."""

        labels: str = option(
            "",
            "a table with the classes of the images instead of class folders (.csv, .tsv, .json, .jsonl): a path, or "
            "the name of a file in the folder or next to it",
            unlisted=True,
        )
        image_column: str = option("", "labels: the column with the files, as paths in the folder", unlisted=True)
        label_column: str = option("", "labels: the column with the classes", unlisted=True)
        split_column: str = option(
            "", "labels: the column with train, test or val; none: the split is drawn", unlisted=True
        )
        skip_damaged: bool = option(
            False, "leave out images that cannot be read, and list them, instead of ending the run", unlisted=True
        )

    def prepared(self, options: Any, argument: str) -> Any:
        """The options for the classes of the folder; raises `UsageError` or `DataError` for an unusable folder."""
        from cl.data.folders import refuse_single_class, scan

        if not argument:
            raise UsageError("Give the path of a folder of images, as in folder:/path/to/images.")
        options = with_size(options, WITHOUT_NETWORK)
        root = _root(argument)
        classes = scan(root, options.test_fraction, options.split_seed, _table(options)).classes
        refuse_single_class(root, classes)
        return with_tasks(options, len(classes))

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data.folders import read_image_folder

        dataset, _ = read_image_folder(
            _root(argument), size=options.size, test_fraction=options.test_fraction, split_seed=options.split_seed,
            labels=_table(options), skip_damaged=options.skip_damaged, progress=progress,
        )  # fmt: skip
        return dataset

    def title(self, argument: str) -> str:
        return f"folder:{_root(argument).name}"

    def extra(self, options: Any, argument: str) -> dict[str, Any]:
        from cl.data.folders import official_folders

        own_split = not options.split_column if options.labels else official_folders(_root(argument)) is None
        split = {"test_fraction": options.test_fraction, "split_seed": options.split_seed} if own_split else {}
        return {"size": options.size, **split}


def _table(options: Any) -> LabelTable | None:
    columns = options.image_column, options.label_column, options.split_column
    if not options.labels and any(columns):
        raise UsageError("The columns belong to a table with the classes; set stream.labels to its path.")
    return LabelTable(options.labels, *columns) if options.labels else None


def _root(argument: str) -> Path:
    reads.note_written(Path(argument))
    return Path(argument).expanduser().resolve()
