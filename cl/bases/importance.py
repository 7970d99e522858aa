"""Fine-tuning with a penalty on changes of parameters by their importance, summed over tasks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from cl.bases.regularized import Regularized
from cl.parts.statistics import Anchors, Tensors
from cl.strategy import StreamInfo, UsageError, View, option, scales


class Importance(Regularized):
    """Adds reg * sum_j Omega_j (theta_j - anchor_j)^2 from task 2 on; subclasses measure each task's Omega."""

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        reg: float = option(1.0, "weight of the penalty", ge=0, search=scales.log(1e-2, 1e2))
        hold_head: bool = option(True, "also penalise changes of old rows of the head")

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.anchors = Anchors(self.device)
        if not self.options.hold_head and not self.tuned():
            raise UsageError(
                f"there is nothing to hold: trains={self.options.trains} trains nothing of backbone "
                f"{self.backbone.identity['name']}, and the head is free; set trains=all or hold_head=true."
            )

    def importance(self, view: View, old: Tensors) -> dict[str, Tensor]:
        """Omega after a task, in place of the old one (empty after the first task), by name of the held parameters."""
        raise NotImplementedError

    def penalty(self) -> Tensor | None:
        distance = self.anchors.penalty(self.held()) if self.options.reg else None
        return None if distance is None else self.options.reg * distance

    def held(self) -> dict[str, nn.Parameter]:
        """The penalised parameters, by name in backbone and head; also those that appear in this task."""
        tuned = {f"backbone.model.{name}": parameter for name, parameter in self.tuned().items()}
        head = self.head.named_parameters() if self.options.hold_head else ()
        return tuned | {f"head.{name}": parameter for name, parameter in head}

    def remember(self, view: View) -> None:
        super().remember(view)
        old = self.anchors.terms[0]["weights"] if len(self.anchors) else {}
        importance = self.importance(view, old)
        self.anchors.hold({name: value.detach().clone() for name, value in self.held().items()}, importance)
