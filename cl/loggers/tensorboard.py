"""TensorBoard: curves of a run in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cl.loggers import Logger

FOLDER = "tensorboard"


class TensorBoard(Logger):
    """Losses, metrics and the accuracy on every group, as curves: `tensorboard --logdir results`.

    Writes event files to `tensorboard/` in the folder of the run. A resumed run continues the same curves; steps
    written before are not written again.
    """

    requires = {"tensorboard": "clbench[tensorboard]"}  # noqa: RUF012 - never changed

    def start(self, run: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(run["folder"]) / FOLDER
        self._written = last_steps(folder)
        self._writer = SummaryWriter(str(folder))

    def scalar(self, name: str, value: float, step: int) -> None:
        if step > self._written.get(name, -1):
            self._writer.add_scalar(name, value, step)

    def evaluated(self, record: Mapping[str, Any]) -> None:
        self._writer.flush()

    def close(self, status: str) -> None:
        self._writer.close()


def last_steps(folder: Path) -> dict[str, int]:
    """The last step of every curve in a folder of event files; empty without such a folder."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 1}).Reload()
    return {name: events.Scalars(name)[-1].step for name in events.Tags()["scalars"]}
