"""A finished learner in use: classes and probabilities of any images, with the image preparation of its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cl.data.damaged import DamagedImages
from cl.errors import UsageError, did_you_mean
from cl.protocol import ANYTIME, TASK, belongs
from cl.running.calibration import Calibration
from cl.running.given_images import images_in
from cl.strategy import Inputs, Strategy
from cl.values import parse_value, shortened

NO_CALIBRATION = Calibration(why="the learner was saved without it; run again with --save-learner --existing always")

_SHOWN = 20
"""Tasks in an error message."""


@dataclass(frozen=True)
class _Task:
    """A task that a learner knows: its name, its index from 0, its classes, and whether an image may have several."""

    name: str
    index: int
    classes: tuple[int, ...]
    several: bool


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a learner answers to some images, in their order.

    `names` [N] are paths, or numbers of images without one; `probabilities` float64 [N, K], a column for each of
    `class_names` that could be answered (0 for one that could not). `calibration` says what they are worth; `skipped`
    are images that were left out because they cannot be decoded, with the reason of each.
    """

    names: tuple[str, ...]
    class_names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    calibration: Calibration
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        """Name, class and probability of every image."""
        return ((name, *best[0]) for name, best in zip(self.names, self.top(1), strict=True))

    @property
    def positions(self) -> NDArray[np.int64]:
        """The answered class of each image, as a position in `class_names`, int64 [N]."""
        return self.probabilities.argmax(1)

    @property
    def classes(self) -> list[str]:
        """The name of the answered class of each image."""
        return [self.class_names[position] for position in self.positions]

    def top(self, number: int) -> list[list[tuple[str, float]]]:
        """The likeliest classes of each image with their probabilities, best first; fewer if there are fewer.

        Raises `UsageError` if `number` is no whole number from 1.
        """
        most = parse_value(int, number, "The number of classes", {"ge": 1})
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :most]
        return [
            [(self.class_names[place], float(row[place])) for place in best if row[place] > 0 or place == best[0]]
            for row, best in zip(self.probabilities, order, strict=True)
        ]


class Learner:
    """A trained strategy, and what its run knew of classes and tasks; attributes of the strategy are its own too.

    `result` is that of the run's record; without one, tasks cannot be told and all columns of scores are answers.
    """

    batch = 64
    """Images per call of the strategy's `predict`."""

    def __init__(
        self, strategy: Strategy, result: Mapping[str, Any] | None = None, calibration: Calibration = NO_CALIBRATION
    ) -> None:
        self.strategy, self.calibration = strategy, calibration
        stream = result["stream"] if result is not None else {}
        rows = result["rows"] if result is not None else []
        learned = [row["task"] for row in rows if row["task"] is not None]
        self.name = str(result["strategy"]["name"]) if result is not None else type(strategy).__name__
        self.setting = str(stream.get("setting", ""))
        self.tasks_learned = max(learned, default=-1) + 1 if rows else strategy.info.n_tasks
        """Number of tasks that it learned, from the first."""
        self._rules = tuple(result["accuracy"]) if result is not None else ()
        groups = [
            _Task(str(group["name"]), int(group["task"]), tuple(group["classes"]), "measure" in group)
            for group in stream.get("groups", ())
            if group.get("task") is not None
        ]
        self._tasks = [task for task in groups if task.index < self.tasks_learned]
        self._seen = self._classes_seen(rows[-1] if rows else {})

    def __getattr__(self, name: str) -> Any:
        if name == "strategy":  # before __init__, as in a copy
            raise AttributeError(name)
        return getattr(self.strategy, name)

    def _classes_seen(self, last: Mapping[str, Any]) -> int:
        if "seen" in last:
            return int(last["seen"])
        every = self.strategy.info.n_classes
        if not last or not self._tasks or belongs(ANYTIME, self.setting):
            return every
        return max(max(task.classes, default=-1) for task in self._tasks) + 1

    @property
    def classes_seen(self) -> int:
        """The number of classes that it learned, the first of `info.class_names`."""
        return self._seen

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks that can be told."""
        return tuple(task.name for task in self._tasks)

    def predict(self, images: Any, task: str | int | None = None, *, skip_damaged: bool = False) -> Any:
        """Class and probability of every image; see `Predicted`.

            learner.predict("photos/")                      # paths of files or folders
            learner.predict([image, other])                 # Pillow images
            learner.predict(pixels)                         # uint8 [B, C, H, W] or [B, H, W, C], or floats from 0 to 1
            learner.predict(loader)                         # a DataLoader of such arrays, not normalised

        Images are brought to the size and colours of the training images, and then prepared as in the evaluation. A
        `task` (its name, or its index from 0) restricts the answers to its classes; a learner of a task-incremental
        stream needs it, and one of a method with parts of its own for each task. For `Inputs`, which strategies
        exchange, it is the strategy's own `predict`. With `skip_damaged` files that cannot be decoded are left out, see
        `Predicted.skipped`. Raises `UsageError` for anything that is no image and for an unknown task, `DamagedImages`,
        a `DataError`, that names all files that cannot be decoded.
        """
        if isinstance(images, Inputs):
            return self.strategy.predict(images, task if isinstance(task, int) else None)
        chosen = self.told(task)
        names: list[str] = []
        found: list[Tensor] = []
        damaged: dict[str, str] = {}
        for part, pixels in self._batches(images, damaged):
            if damaged and not skip_damaged:  # nothing will be answered; the others are decoded to name all
                continue
            names += part
            index = chosen.index if chosen is not None else None
            scores = self.choices(pixels, index, chosen.classes if chosen is not None else None)
            found.append((scores / (self.calibration.temperature or 1.0)).softmax(1))
        if damaged and not skip_damaged:
            raise DamagedImages(damaged)
        classes = tuple(self.info.class_names)
        probabilities = torch.cat(found).numpy() if found else np.empty((0, len(classes)))
        return Predicted(tuple(names), classes, probabilities, self.calibration, damaged)

    def told(self, task: str | int | None, *, option: bool = False) -> _Task | None:
        """The task of a name or an index from 0; raises `UsageError` if there is none, or if one must be told.

        With `option` it is the value of --task, a name or a number from 1, and errors say so.
        """
        if task is None:
            if (why := self._needs_task) is not None:
                known = f"give {'--task' if option else 'task'}, one of: {self._known(option)}"
                lost = "the record of its run, which names the tasks, is missing or damaged; put it back"
                raise UsageError(
                    f"This learner is told the task of every image ({why}); {known if self._tasks else lost}."
                )
            return None
        given = isinstance(task, str | int | np.integer)  # an array equals no name
        found = [each for each in self._tasks if given and task in (each.name, each.index)]
        if option and not found and isinstance(task, str) and task.isdecimal():
            found = [each for each in self._tasks if each.index == int(task) - 1]
        if not found:
            hint = did_you_mean(task, list(self.task_names)) if isinstance(task, str) else ""
            named = task if given else shortened(task)
            raise UsageError(f"This learner knows no task '{named}'.{hint} It knows: {self._known(option)}.")
        if found[0].several:
            raise UsageError(
                f"An image of task {found[0].name} may have several classes, so no single class is its answer; take "
                "the scores of predict_images."
            )
        return found[0]

    @property
    def chooses_no_task(self) -> bool:
        """Whether the method has parts of its own for each task, and answers only if it is told which to use."""
        return all(rule.startswith("til_oracle") for rule in self.strategy.rules)

    @property
    def _needs_task(self) -> str | None:
        """Why the task of every image must be told; None if it need not be."""
        if belongs(TASK, self.setting):
            return f"its stream is {TASK}"
        if self.chooses_no_task:
            return f"{self.name} has parts of its own for each task and does not choose among them"
        return None

    def _known(self, option: bool) -> str:
        """The tasks that can be told, each with its index from 0, or its number from 1 as --task takes it."""
        shown = [f"{task.index + option} ({task.name})" for task in self._tasks[:_SHOWN]]
        more = f" and {len(self._tasks) - _SHOWN} more" if len(self._tasks) > _SHOWN else ""
        return f"{', '.join(shown)}{more}" if shown else "none"

    def choices(self, pixels: Tensor, task: int | None, classes: Sequence[int] | None) -> Tensor:
        """Scores float64 [B, K] of uint8 images [B, C, H, W] that may be answered, -inf for classes that may not.

        `task` is told to a strategy that the run told it; `classes` are those of a task, None: all seen.
        """
        told = task if any(rule.startswith("til_oracle") for rule in self._rules) else None
        scores = self.strategy.predict_images(pixels, told).double().cpu()
        if classes is None:
            return scores[:, : self._seen]
        allowed = torch.zeros(scores.shape[1], dtype=torch.bool)
        allowed[[place for place in classes if place < scores.shape[1]]] = True
        return scores.masked_fill(~allowed, -torch.inf)

    def _batches(self, images: Any, damaged: dict[str, str]) -> Iterator[tuple[list[str], Tensor]]:
        names: list[str] = []
        held: list[Tensor] = []
        for name, pixels in images_in(images, self.info.image_shape, damaged):
            names.append(name)
            held.append(pixels)
            if len(held) == self.batch:
                yield names, torch.stack(held)
                names, held = [], []
        if held:
            yield names, torch.stack(held)

    def __repr__(self) -> str:
        return f"Learner({type(self.strategy).__name__}, {len(self.info.class_names)} classes)"
