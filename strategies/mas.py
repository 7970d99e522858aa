"""MAS: fine-tuning with a penalty by how sensitive the network's answers are to each parameter."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from cl.bases.importance import Importance
from cl.parts.statistics import Parameters, Tensors, sensitivity
from cl.strategy import TaskSize, View, Work, option


class MAS(Importance):
    """Memory aware synapses: a parameter's importance is the mean absolute gradient of the squared norm of the logits.

    Name: MAS
    Paper: Aljundi, Babiloni, Elhoseiny, Rohrbach, Tuytelaars. Memory Aware Synapses: Learning What (Not) to Forget.
        ECCV 2018, arXiv 1711.09601.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone, or its query, key and value projections (`trains=qkv`), and one linear head. After each task
        Omega += mean over its images of |d |f(x)|^2 / d theta|, without labels. From task 2 on, reg * sum_j Omega_j
        (theta_j - anchor_j)^2 is added to the loss.
    Stores: Omega and anchor, each as large as the penalised parameters (ViT-B: 686 MB; projections 170 MB).
    Cost: one forward pass per test image; after each task one more backward pass over its images.
    Differences from the paper: the network has one head over all classes seen, and f is all of it; the paper has a head
        per task, and heads of other tasks are free. Importance is measured on the training images of the task. The
        authors' code (@c3e6a85) takes the gradient of the sum over a batch as that of one image, unless its batches
        have one image; `gradients=batches` does so. Its weight decay is that of an L1 norm; here that of L2.
    """

    @dataclass(frozen=True)
    class Options(Importance.Options):
        gradients: str = option("images", "gradients of images, or of batches", choices=("images", "batches"))
        chunk: int = option(8, "images whose gradients are in memory at once, for gradients=images", ge=1)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return super().work(options, task) + Work(trained=task.images)

    def importance(self, view: View, old: Tensors) -> dict[str, Tensor]:
        o, model = self.options, nn.Sequential(OrderedDict(backbone=self.backbone, head=self.head))

        def logits(parameters: Parameters, x: Tensor) -> Tensor:
            found: Tensor = functional_call(model, dict(parameters), (x,))
            return found

        order = self.rng("order of the importance")
        batches = self.batches(view.train, o.batch_size).epoch(0, lambda *key: order)
        new = sensitivity(
            logits, self.held(), batches, per_image=o.gradients == "images", chunk=o.chunk, run=self.alike
        )
        return {name: value + old.get(name, 0.0) for name, value in new.items()}
