"""torchvision's datasets by name, class-incremental: `torchvision:Food101`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl.data.store import Dataset, Progress
from cl.settings.read_first import ReadFirst


class Torchvision(ReadFirst):
    """A dataset of torchvision by the name of its class there (`torchvision:Food101`), in its own layout on disk.

    It is searched in the folders of CLBENCH_DATA_PATH, in their `torchvision/` and in the cache, and else downloaded by
    torchvision. The split is the dataset's own, validation images are left out; of a dataset without one a fixed share
    of every class becomes the test set (`test_fraction`, `split_seed`). Images are decoded at the size that the network
    sees, but not larger than they are if all have one size. By default 5 tasks, see `tasks`.
    """

    @classmethod
    def side_of(cls, argument: str, edge: int) -> int:
        from cl.data.torchvision_sets import known

        return min(edge, known(_name(argument)).side or edge)

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        from cl.data.torchvision_sets import read

        return read(
            _name(argument), options.size, test_fraction=options.test_fraction, split_seed=options.split_seed,
            progress=progress,
        )  # fmt: skip

    def title(self, argument: str) -> str:
        return f"torchvision:{_name(argument)}"

    def extra(self, options: Any, argument: str) -> dict[str, Any]:
        from cl.data.torchvision_sets import known

        own_split = known(_name(argument)).test is not None
        return {"size": options.size} if own_split else super().extra(options, argument)


def _name(argument: str) -> str:
    """The name; a plan makes it a path where a folder of this name is in the current folder."""
    return Path(argument).name
