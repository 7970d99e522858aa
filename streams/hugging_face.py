"""Datasets of the Hugging Face hub by name, class-incremental: `hf:ORG/NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cl.data.store import Dataset, Progress
from cl.declared.declaration import DatasetEntry, check_hub
from cl.errors import MissingData, UsageError, counted
from cl.options import option
from cl.settings.read_first import OwnOptions, ReadFirst

_NOT_STATED = "not stated in the dataset"


class HuggingFace(ReadFirst):
    """A dataset of the Hugging Face hub by name (`hf:ORG/NAME`), or a local copy of one (`hf:/path/to/copy`).

    Needs the package datasets: `pip install 'clbench[hub]'`. A copy in a folder of CLBENCH_DATA_PATH is read instead of
    a download, and alone with CLBENCH_OFFLINE=1. The images are the only column of images, the classes the only
    `ClassLabel`; name others with `image` and `label`. Without a test split the validation images are tested; without
    either, a fixed share of every class (`test_fraction`, `split_seed`). Images are decoded at the size that the
    network sees, see `size`. By default 5 tasks, see `tasks`. See the page "Declare a stream" for what is read.
    """

    family = "hf"

    @dataclass(frozen=True)
    class Options(OwnOptions):
        """Options of streams of the hub."""

        config: str = option("", "the subset of the dataset; empty: its only one")
        revision: str = option("", "a commit of 40 hexadecimal digits; empty: the newest, or the local copy")
        image: str = option("", "the column of the images; empty: the only one")
        label: str = option("", "the column of the classes; empty: the only ClassLabel")

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data import hub, reads
        from cl.data.sources import missing

        name, copy = _place(argument)
        check_hub(DatasetEntry(name, "hub", hub=name, revision=options.revision), f"hf:{argument}")
        if copy is None and (copy := hub.find(name)) is None and not hub.reachable():
            if (folder := hub.unusable(name)) is not None:
                raise MissingData(
                    f"{folder} holds no Parquet files and no save_to_disk folder; put a copy of it there."
                )
            raise missing(f"hf:{name}", [f"the dataset {name} of the Hugging Face hub"])
        if copy is not None:
            reads.note(copy)
        dataset = hub.read(
            hub.HubDataset(name, options.config, options.revision, options.image, options.label), copy, options.size,
            keep_val=False, test_fraction=options.test_fraction, split_seed=options.split_seed, progress=progress,
        )  # fmt: skip
        citation = dataset.citation or f"https://huggingface.co/datasets/{name}"
        notes = dataset.notes
        if dataset.val is not None:
            notes += (f"Left out: {counted(len(dataset.val), 'validation image')}.",)
        licence = dataset.licence or _NOT_STATED
        return replace(dataset, licence=licence, citation=citation, val=None, notes=notes)

    def title(self, argument: str) -> str:
        return f"hf:{_place(argument)[0]}"

    def extra(self, options: Any, argument: str) -> dict[str, Any]:
        revision = {"revision": options.revision} if options.revision else {}
        return {**super().extra(options, argument), **revision}


def _place(argument: str) -> tuple[str, Path | None]:
    """The name of a dataset, and its folder if a path was given."""
    path = Path(argument).expanduser()
    if path.is_absolute() or re.match(r"[.~]", argument):
        if not path.is_dir():
            raise UsageError(f"There is no folder {path}; give the name ORG/NAME of a dataset, or the path of a copy.")
        return path.resolve().name, path.resolve()
    return argument, None
