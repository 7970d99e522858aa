"""What methods with parts of their own for every task have in common: they are told the task of a test image."""

from __future__ import annotations

from torch import Tensor

from cl.parts.heads import TaskHeads
from cl.strategy import Extractor, Inputs, Strategy, UsageError


class ToldTask(Strategy):
    """Predicts with the network and the head of a given task.

    A subclass gives `network`, and has a `head` that gets a block when a task begins.
    """

    rules = ("til_oracle",)
    one_network = False
    head: TaskHeads

    def network(self, task: int) -> Extractor:
        """The extractor of a task learned earlier."""
        raise NotImplementedError

    def predict_task(self, inputs: Inputs, task: int) -> Tensor:
        """Scores [B, classes of the stream] of a task learned earlier."""
        return self.head.scores(task, inputs.encode(self.network(task)))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        if task is None:
            raise UsageError(
                f"{type(self).__name__} has parts of its own for every task and cannot choose among them; say which "
                "task: task=0, ..."
            )
        return self.predict_task(inputs, task) if task < len(self.head) else self.head.no_opinion(len(inputs))

    @property
    def ready(self) -> bool:
        return len(self.head) > 0
