"""Weights & Biases: curves of a run in its web application, kept in the folder of the run until they are sent."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cl.data.sources import is_offline
from cl.loggers import Logger, described

FOLDER = "wandb"
REPORTED = "clbench.txt"
"""The id of the run in its first line, then a line for each number: step, tab, name."""


class WandB(Logger):
    """Losses, metrics and the accuracy on every group, for Weights & Biases: `wandb sync RUN/wandb/offline-run-*`.

    Writes to `wandb/` in the folder of the run and sends nothing, unless WANDB_MODE=online and CLBENCH_OFFLINE is not
    set. The project is `clbench`, or WANDB_PROJECT. Losses are drawn over `step`, accuracies and metrics over
    `experiences`, the number of experiences learned. A resumed run continues the same run; numbers written before are
    not written again. Of a run with several offline folders, send the first with `wandb sync` and the others with
    `wandb sync --append`.
    """

    requires = {"wandb": "clbench[wandb]"}  # noqa: RUF012 - never changed

    def start(self, run: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import; its crash reports need the network
        import wandb

        folder = Path(run["folder"])
        mode: Any = "offline" if is_offline() else os.environ.get("WANDB_MODE", "offline")
        (folder / FOLDER).mkdir(exist_ok=True)
        name, self._last, rows = reported(folder / FOLDER / REPORTED)
        self._file = (folder / FOLDER / REPORTED).open("a", encoding="utf-8")
        if not name:
            name = uuid.uuid4().hex[:12]
            self._note(name)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "clbench"),
            id=name,
            resume="allow",
            reinit="create_new",  # a notebook may have a run of its own
            name=run["title"],
            group=run["strategy"],
            dir=str(folder),
            mode=mode,
            config=described(run),
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True
            ),
        )
        self._row = max(rows, self._run.step)  # rows are numbered on, or the application would drop them
        self._run.define_metric("loss/*", step_metric="step")
        for curves in ("accuracy/*", "metrics/*"):
            self._run.define_metric(curves, step_metric="experiences")

    def scalar(self, name: str, value: float, step: int) -> None:
        if step <= self._last.get(name, -1):
            return
        axis = "step" if name.startswith("loss/") else "experiences"
        self._run.log({name: value, axis: step}, step=self._row)
        self._row += 1
        self._note(f"{step}\t{name}")

    def close(self, status: str) -> None:
        self._file.close()
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "complete" else 1)

    def _note(self, line: str) -> None:
        self._file.write(line.replace("\n", " ") + "\n")
        self._file.flush()  # what a killed process has logged must not be logged twice


def reported(file: Path) -> tuple[str, dict[str, int], int]:
    """The id of the run, the last step of every curve, and how many numbers were written; empty without the file."""
    if not file.is_file():
        return "", {}, 0
    name, *lines = file.read_text(encoding="utf-8").split("\n")[:-1] or [""]  # what a kill cut off is no line
    last: dict[str, int] = {}
    for line in lines:
        step, _, curve = line.partition("\t")
        last[curve] = max(int(step), last.get(curve, -1))
    return name, last, len(lines)
