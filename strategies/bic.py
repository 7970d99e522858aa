"""BiC: after a task, correct the logits of its classes by a line fitted on held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone.devices import positions
from cl.bases.joined import Taught
from cl.parts.exemplars import Held, hold_out
from cl.strategy import Batch, ImageSet, Inputs, StreamInfo, TensorBatches, View, adam, option


class BiC(Taught):
    """Bias correction: distil, rehearse exemplars, then fit alpha z + beta to the logits of the new classes.

    Name: BiC
    Paper: Wu, Chen, Wang, Ye, Liu, Guo, Fu. Large Scale Incremental Learning. CVPR 2019, arXiv 1905.13260. Published:
        56.69 % after five tasks of CIFAR-100 with 2,000 exemplars and a ResNet-32 from scratch, as Mammoth's
        scripts/reproduce.json has it.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head, on the images of the task and the exemplars, shuffled, by (1 - r) L_CE + r
        L_KD with r = old classes / classes seen and T = 2, as in WA. Then only alpha and beta of the task, by the
        cross-entropy of the corrected logits on images held out of the training: of each class, new or old, `held_out`
        of the exemplars that a class has.
    Stores: `memory_size` exemplars as bytes, or `memory_per_class` for each class; alpha and beta of each task; a copy
        of the trained tensors and of the head from before the task.
    Cost: one forward pass per test image; in training a pass of the old model for every image; after the task one pass
        over held-out images, and one over the images of the task, to choose exemplars.
    Differences from the paper: published codes differ. As in G-U-N/PyCIL@87cc411, corrections of earlier tasks stay in
        the logits, also in those of the teacher, and held-out images are equally many of each class. As in the paper
        and in aimagelab/mammoth@e75a491, alpha and beta are fitted by Adam on the cross-entropy; PyCIL takes a softmax
        twice, and fits by SGD. Mammoth corrects the last task only, multiplies L_KD by T^2, and has r = 1 / (tasks so
        far). Held-out images are not augmented, so their logits are computed once. A class of one image holds none out;
        if nothing can be held out, alpha and beta stay 1 and 0. Exemplars are chosen by herding.
    """

    @dataclass(frozen=True)
    class Options(Taught.Options):
        held_out: float = option(0.1, "share of the exemplars of a class that fit alpha and beta", gt=0, lt=1)
        bias_epochs: int = option(250, "epochs that fit alpha and beta", ge=1)
        bias_lr: float = option(1e-3, "learning rate of alpha and beta (Adam)", gt=0)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.line = nn.Parameter(torch.tensor([1.0, 0.0], device=self.device), requires_grad=False)
        self.lines = self.line.detach().repeat(info.n_tasks, 1)  # alpha and beta of each task

    def corrected(self, logits: Tensor) -> Tensor:
        """alpha z + beta, with the numbers of the task of each column."""
        task = [number for number, width in enumerate(self.head.widths) for _ in range(width)]
        alpha, beta = self.lines[positions(task[: logits.shape[1]], logits.device)].T
        return alpha * logits + beta

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        features = self._features(batch)
        taught = self.taught(batch, features)
        old = None if taught is None else self.corrected(taught)
        return self.shared_out(self.corrected(self.head(features)), batch.y, old)

    def learn(self, view: View) -> None:
        count = max(int(self.options.held_out * len(self.memory) / max(self.teacher.classes, 1)), 1)
        old, held = hold_out(self.memory.labels, count, self.rng("held-out exemplars"))
        new, kept = hold_out(view.train.labels, count if len(held) else 0, self.rng("held-out images"))
        self._old = old
        self._train([view.train.subset(new)], view.classes, len(view.seen))
        if len(held) and len(kept):
            self._fit_line(view.train.subset(kept), self.memory.subset(held), view.task)
        self.compute("after the task", lambda: self.remember(view))
        self._old = old[:0].clone()

    def exemplars(self) -> Held:
        return self.memory.subset(self._old)

    def _fit_line(self, new: ImageSet, old: Held, task: int) -> None:
        features = torch.cat([self.encode(new), self.compute("held-out exemplars", lambda: self.features_of(old))])
        logits, first = self.corrected(self.head(features)), self.teacher.classes
        with torch.no_grad():
            self.line.copy_(self.lines[task])

        def loss(batch: Batch) -> Tensor:
            newest = self.line[0] * batch.x[:, first:] + self.line[1]
            return F.cross_entropy(torch.cat([batch.x[:, :first], newest], 1), batch.y)

        o, labels = self.options, torch.cat([new.labels, old.labels]).to(self.device)
        data = TensorBatches(logits.detach(), labels, o.batch_size)
        self.fit("line", data, loss, [self.line], epochs=o.bias_epochs, optimizer=adam(o.bias_lr))
        self.lines[task] = self.line.detach()

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.corrected(super().predict(inputs, task))
