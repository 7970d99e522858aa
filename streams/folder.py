"""Your own images, class-incremental: `folder:/path/to/images`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cl.data.store import Progress
from cl.errors import UsageError
from cl.options import option
from cl.settings.class_incremental import IncrementalOptions, check_options, class_incremental, with_defaults

if TYPE_CHECKING:
    from cl.stream import Stream

DEFAULT_TASKS = 5


class Folder:
    """Your own images: a folder with one subfolder per class, or with train/ and test/ (or val/) of that form.

    Without train/ and test/ a fixed share of every class becomes the test set (`test_fraction`, `split_seed`), which is
    part of the stream's identity. Images become RGB, shorter side `size`, centre crop. 5 tasks unless `tasks` or
    `increment` says otherwise, fewer where there are fewer classes.
    """

    version = "1"

    @dataclass(frozen=True)
    class Options(IncrementalOptions):
        """Options of folder streams."""

        size: int = option(224, "side of the square images in pixels", ge=1, le=4096)
        test_fraction: float = option(
            0.2, "share of every class that is tested on, where the folder has no test/ or val/", gt=0, lt=1
        )
        split_seed: int = option(0, "seed of that split; the seeds of a run do not change it")

    def build(
        self,
        options: Options,
        *,
        order_seed: int,
        data_seed: int,
        argument: str = "",
        progress: Progress | None = None,
    ) -> Stream:
        """Build the stream from the folder `argument`; raises `UsageError` or `DataError`, see `read_image_folder`."""
        from cl.data.folders import read_image_folder, scan

        if not argument:
            raise UsageError("Give the path of a folder of images, as in folder:/path/to/images.")
        if not 1 <= options.size <= 4096:
            raise UsageError(f"size={options.size} must lie in 1..4096 pixels.")
        if not 0 < options.test_fraction < 1:
            raise UsageError(f"test_fraction={options.test_fraction} must lie between 0 and 1.")
        root = Path(argument).expanduser().resolve()
        classes, _, _ = scan(root, options.test_fraction, options.split_seed)
        tasks = max(1, min(DEFAULT_TASKS, len(classes) - max(options.base - 1, 0)))
        options = with_defaults(options, len(classes), tasks=tasks)
        check_options(options, len(classes))  # before anything is decoded
        dataset, own_split = read_image_folder(
            root,
            size=options.size,
            test_fraction=options.test_fraction,
            split_seed=options.split_seed,
            progress=progress,
        )
        split = {"test_fraction": options.test_fraction, "split_seed": options.split_seed} if own_split else {}
        return class_incremental(
            dataset,
            options,
            name=f"folder:{root.name}",
            version=self.version,
            order_seed=order_seed,
            data_seed=data_seed,
            extra={"size": options.size, **split},
        )
