"""A mask per task over shared weights: what CL-DST and PackNet have in common."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from cl.bases.told_task import ToldTask
from cl.parts.heads import TaskHeads
from cl.parts.weights import Lent, TaskMasks, maskable, selected
from cl.parts.weights.task_tensors import TaskTensors
from cl.strategy import RECIPES, Needs, StreamInfo, View, option, scales


class Subnetworks(ToldTask):
    """Each task trains weights of one network that no earlier task uses, and predicts with the weights in its mask.

    A subclass trains (`find`) and returns the masks of the task; the weights of earlier masks must be as they were.
    Biases, norms and their running averages are kept per task.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(64, "images per step", ge=1)
        lr: float = option(1e-3, "learning rate", gt=0, search=scales.log(1e-4, 1e-1))
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Options) -> Needs:
        return Needs(compares="its softmax over the classes of a task", batch_size=options.batch_size)

    def setup(self, info: StreamInfo) -> None:
        self._names = maskable(self.backbone)
        self.masks = TaskMasks([weight.shape for weight in self._weights], self.device)
        self.kept = TaskTensors(self.device)
        self.head = TaskHeads(self.backbone.dim).to(self.device)
        self._lent: tuple[object, Lent] | None = None

    def find(self, view: View) -> list[Tensor]:
        """Train the task; returns its masks, bool, one per layer."""
        raise NotImplementedError

    def keeps(self) -> dict[str, Tensor]:
        """The tensors that are kept for the task just learned: by default all that no mask covers."""
        return self._small(buffers=True)

    def learn(self, view: View) -> None:
        self.head.add(view.classes, self.init_rng("head"))
        self.masks.add(self.find(view))
        self.kept.add(self.keeps())

    def report(self) -> dict[str, float]:
        """Shares of the weights that tasks use, after each task, and of those that are free."""
        after = {f"task{task}.density": self.masks.density_of(task + 1) for task in range(len(self.masks))}
        return {"density": self.masks.density, "free": 1 - self.masks.density, **after}

    def tensors(self, task: int) -> dict[str, Tensor]:
        """The tensors of a task's network that differ from the shared ones, by name."""
        return {**selected(self._names, self._weights, self.masks[task]), **self.kept.tasks[task]}

    @property
    def _weights(self) -> list[nn.Parameter]:
        return [self.backbone.model.get_parameter(name) for name in self._names]

    def _small(self, buffers: bool = False) -> dict[str, Tensor]:
        """The parameters that no mask covers, by name, with or without the running averages of norms."""
        model, masked = self.backbone.model, set(self._names)
        found: dict[str, Tensor] = {name: value for name, value in model.named_parameters() if name not in masked}
        if buffers:
            found |= {name: value for name, value in model.named_buffers() if value.is_floating_point()}
        return found

    def network(self, task: int) -> Lent:
        """The extractor of a task; the latest is cached until a weight changes."""
        key = (task, [(id(weight), weight._version) for weight in self._weights])
        if self._lent is None or self._lent[0] != key:
            self._lent = key, Lent(self.backbone, self.tensors(task))
        return self._lent[1]
