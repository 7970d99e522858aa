"""Wrappers that correct a finished learner, one wrong answer at a time, and measure what that costs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cl.bases.wrapper import Wrapper
from cl.parts.attached import Held, LayerOutput
from cl.parts.memory import Memory
from cl.strategy import (
    CHUNK,
    SETTINGS,
    Extractor,
    ImageSet,
    Inputs,
    Least,
    Needs,
    StoredImages,
    Strategy,
    StreamInfo,
    TaskSize,
    UsageError,
    View,
    Work,
    option,
)
from cl.training import state

PART = 512
"""Images between two points at which a killed run continues."""


class Edited(Wrapper):
    """The base learns the tasks before `edit_from` and is finished; of later tasks, its errors are corrections.

    A subclass corrects the images of a set in `correct`, and calls `corrected` for each correction. The answers are the
    classes that the finished learner has seen; images of others are counted as unknown. The record has the number of
    corrections, which of them succeeded, and, over at most `measured` images each, how many past corrections are still
    right, and how many images of the learned tasks: of their validation images if the stream holds some out.
    """

    settings = SETTINGS  # of class-incremental streams, those that a setting makes blurry; see `setup`

    @dataclass(frozen=True)
    class Options(Wrapper.Options):
        edit_from: int = option(1, "first task with corrections; the base learns those before it, and no other", ge=1)
        max_edits: int | None = option(None, "corrections after which no more are made; 0: none at all", ge=0)
        measured: int = option(200, "corrections, and images of the learned tasks, kept to measure retention", ge=0)
        period: int = option(50, "corrections between two measurements of retention, at the ends of tasks", ge=1)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        """The needs of the base, and a task to correct."""
        first = options.edit_from
        return replace(
            super().needs(options), tasks=Least(first + 1, f"to correct one after edit_from={first}", "lower edit_from")
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        """The work of the base until the first task of corrections, whose number is known only after them."""
        if task.number < options.edit_from:
            return super().work(options, task)
        return Work(looked_up=task.images, known="assumed")

    def setup(self, info: StreamInfo) -> None:
        if sum(info.classes_per_task) == info.n_classes:
            raise UsageError(
                f"no class of {info.name} comes back in a later task, so a finished learner knows none of the right "
                "answers; choose a domain-incremental stream, or set stream.setting=i-blurry."
            )
        super().setup(info)
        self.upstream, self.past = Memory(self.options.measured), Memory(self.options.measured)
        self.before = torch.empty(0, dtype=torch.long)  # answers of the finished learner to the upstream images
        self.seen, self.width = 0, 0  # classes seen, and classes that the finished learner has seen and can answer
        self.edits, self.successes, self.unknown, self.due, self.held_out = 0, 0, 0, 0, False
        self.measurements: list[dict[str, float]] = []

    def learn(self, view: View) -> None:
        self.seen = max(self.seen, max(view.seen) + 1)
        if view.task < self.options.edit_from:
            super().learn(view)
            self.compute("images to measure", lambda: self._remember(view))
            return
        for module in state.modules_of(self):
            module.eval()
        order = torch.randperm(len(view.train), generator=self.rng("order"))
        for part in order.split(PART):
            if not self.full:
                self.compute("corrections", partial(self.correct, view.train.subset(part)))
        if view.last or self.edits >= self.due:
            self.due = self.edits + self.options.period
            found = self.compute("retention", self.retention)
            self.measurements = [*self.measurements, {"task": float(view.task), **found}]

    def correct(self, images: ImageSet) -> None:
        """Correct the wrong answers to some images, one after the other."""
        raise NotImplementedError

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.padded(self.base.predict(inputs, task))

    def report(self) -> dict[str, float]:
        """Corrections, and success and retention as last measured; `taskT.NAME` as measured after task T."""
        found = {"edits": float(self.edits), "unknown": float(self.unknown), "held_out": float(self.held_out)}
        for each in self.measurements:
            now = {name: value for name, value in each.items() if name != "task"}
            found |= now | {f"task{each['task']:.0f}.{name}": value for name, value in now.items()}
        return {**self.base.report(), **found}

    # ----------------------------------------------------------------------------------------- what subclasses use

    @property
    def full(self) -> bool:
        """Whether no more corrections are allowed."""
        return self.options.max_edits is not None and self.edits >= self.options.max_edits

    def repeated(self, key: Hashable, call: Callable[[], bool], times: int) -> None:
        """Up to `times` calls of equal FLOPs, until one returns true; as `alike`, but only the first can be slow."""
        cost = self.trainer.cost
        ended, flops = cost.alike((key, state.digest(self.structure())), call)
        done = 1
        with cost.uncounted():
            while done < times and not ended:
                ended, done = call(), done + 1
            cost.add_flops(flops * (done - 1))

    def corrected(self, images: ImageSet, right: Tensor) -> None:
        """Count the success of corrections already counted in `edits`, and keep their images."""
        self.successes += int(right.sum())
        self.past.add(images, self.rng("past corrections"))

    def known(self, images: ImageSet) -> Tensor:
        """Which images have a class that the finished learner can answer; the others are counted as unknown."""
        found = images.labels < self.width
        self.unknown += int((~found).sum())
        return found

    def taught(self, inputs: Inputs) -> Tensor:
        """Scores of the base that take gradients; raises `UsageError` if they take none."""
        scores = self.base.predict(inputs)
        if not scores.requires_grad:
            raise UsageError(
                f"base={self.options.base} predicts without gradients, so no layer can be trained to correct it; "
                "choose another base, such as finetune or simplecil."
            )
        return scores

    def base_answers(self, images: ImageSet) -> Tensor:
        """Answers [N] of the base, by memoised features."""
        return torch.cat([self._base_answers(images.subset(part)) for part in torch.arange(len(images)).split(CHUNK)])

    @torch.no_grad()
    def _base_answers(self, images: ImageSet) -> Tensor:
        source = StoredImages(self.trainer.encodings, images.store, images.rows)
        return self.answers_in(self.base.predict(Inputs(None, self.device, source))).cpu()

    def answers_in(self, scores: Tensor) -> Tensor:
        """Answers [B]: the best of the classes that the finished learner has seen, also if it scores others."""
        return scores[:, : self.width].argmax(1)

    def padded(self, scores: Tensor) -> Tensor:
        """Scores [B, at least the classes seen]; those of classes that came later are below all others."""
        scores = scores[:, : self.width] if self.width else scores
        missing = self.seen - scores.shape[1]
        if missing <= 0 or not scores.shape[1]:
            return scores
        return torch.cat([scores, (scores.amin(1, keepdim=True) - 1).expand(-1, missing)], 1)

    # ----------------------------------------------------------------------------------------------------- measures

    def _remember(self, view: View) -> None:
        """Keep images of a learned task; of the last one, the answers to all images kept."""
        self.held_out = view.val is not None and (view.task == 0 or self.held_out)
        self.upstream.add(view.val if view.val is not None else view.train, self.rng("upstream"))
        if view.task == self.options.edit_from - 1:
            with torch.no_grad():
                scored = self.base.predict(Inputs(view.train.pixels([0]), self.device)).shape[1]
            self.width = min(scored, self.seen)  # some bases score all classes of the stream from the start
            self.before = self._answers_to(self.upstream)

    def scores(self, inputs: Inputs) -> Tensor:
        """As `predict`, for images whose features are not memoised; a subclass may save passes."""
        return self.base.predict(inputs)

    def retention(self) -> dict[str, float]:
        """The numbers that are measured after a task; a subclass may add its own."""
        found = {"edits": float(self.edits)}
        if self.edits:
            found["edit_success"] = self.successes / self.edits
        if len(self.past):
            found["edit_retention"] = _share(self._answers_to(self.past) == self.past.labels)
        if len(self.upstream):
            now = self._answers_to(self.upstream)
            found["test_retention_before"] = _share(self.before == self.upstream.labels)
            found["test_retention"] = _share(now == self.upstream.labels)
            found["unchanged_answers"] = _share(now == self.before)
        return found

    @torch.no_grad()
    def _answers_to(self, held: Memory) -> Tensor:
        parts = [held.pixels[part] for part in torch.arange(len(held)).split(CHUNK) if len(part)]
        answers = [self.answers_in(self.scores(Inputs(pixels, self.device))).cpu() for pixels in parts]
        return torch.cat([torch.empty(0, dtype=torch.long), *answers])


def _share(right: Tensor) -> float:
    return float(right.double().mean())


class EditedInputs(Inputs):
    """Images whose features are of a network with other outputs in a layer, and take gradients from there on.

    After `hold`, the layers before it are not computed again. Without `values`, the layer computes its own output.
    """

    def __init__(self, inner: Inputs, layer: LayerOutput, values: Tensor | None = None) -> None:
        self.inner, self.layer, self.values = inner, layer, values
        self.held: Held | None = None
        self._holding = False
        self._view: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inner)

    def hold(self, base: Strategy) -> Held:
        """Compute the layers up to the edited one for these images, as `base` does, and keep what they give."""
        self._holding = True
        base.predict(self)
        self._holding = False
        if self.held is None:
            raise UsageError(f"{type(base).__name__} does not predict from features, so its layers cannot be edited.")
        return self.held

    def encode(self, extractor: Extractor) -> Tensor:
        if self._view is None:
            self._view = self.inner.images(extractor.transform)
        if self._holding:
            self.held = self.layer.held(extractor, self._view)
            return self.held.features
        if self.held is not None:
            with self.held.skipped(self.values):
                return extractor(self._view)
        assert self.values is not None
        return self.layer.features(extractor, self._view, self.values)
