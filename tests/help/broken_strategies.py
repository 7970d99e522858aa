"""A strategy that keeps the contract, and one for each way to break it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.options import option
from cl.parts.attached import Attached
from cl.parts.heads.growing import GrowingHead
from cl.strategy import Inputs, Needs, Strategy
from cl.stream import StreamInfo, View
from cl.training.optim import sgd


class Good(Strategy):
    """A head trained on frozen features, started from class means.

    Paper: none.
    Trains: the head.
    Stores: the head and one mean per class.
    Cost: one forward per image.
    Differences from the paper: none.
    """

    rules: ClassVar[tuple[str, ...]] = ("cil_seen", "til_masked", "til_oracle")
    multi_label = True

    @dataclass(frozen=True)
    class Options:
        lr: float = option(0.1, "learning rate", gt=0)

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim)
        self.means = torch.empty(0, self.backbone.dim)

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.compute("means", lambda: self.add_means(view))
        self.train_head(view, self.options.lr)

    def add_means(self, view: View) -> Any:
        features, labels = self.encode(view.train), view.train.labels
        self.means = torch.cat([self.means, torch.stack([features[labels == c].mean(0) for c in view.classes])])

    def train_head(self, view: View, lr: float) -> None:
        def loss(batch: Any) -> Tensor:
            scores = self.head(batch.x)
            if batch.tags is not None:
                return F.binary_cross_entropy_with_logits(scores[:, list(view.classes)], batch.tags.float())
            return F.cross_entropy(scores, batch.y)

        data = self.encoded_batches(view.train, 16)
        self.fit("head", data, loss, self.head.parameters(), epochs=2, optimizer=sgd(lr))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        features = inputs.encode(self.backbone)
        return self.head(features) - torch.cdist(features, self.means)


class Undocumented(Good):
    """A head.

    Paper: none.
    Trains: the head.
    """


class UnreadOption(Good):
    @dataclass(frozen=True)
    class Options(Good.Options):
        momentum_that_nobody_reads: float = option(0.9, "momentum")


class DefaultOutOfBounds(Good):
    @dataclass(frozen=True)
    class Options(Good.Options):
        lr: float = option(0.0, "learning rate", gt=0)


class UnknownRule(Good):
    rules = ("cil_sene",)


class NamesNoIdentifier(Good):
    answers = ("the head",)


class AnswersToAnyName(Good):
    answers = ("head",)

    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.predict(inputs, task)


class AnswersAtRandom(AnswersToAnyName):
    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        return torch.rand(len(inputs), len(self.means))


class AnswersByTheBatch(AnswersToAnyName):
    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = self.predict(inputs, task)
        return scores - scores.mean(0)


class AnswersTooFew(AnswersToAnyName):
    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.predict(inputs, task)[:, :5]


class UnknownNeeds(Good):
    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(batches="some")


class ProbesTheWrongNetwork(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(Attached(self.backbone, lambda images: -self.backbone(images), [])))


class TooFewColumns(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return super().predict(inputs, task)[:, :5]


class CountsPredictions(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.asked = 0

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        self.asked += 1
        return super().predict(inputs, task)


class RandomAnswers(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores + torch.rand(scores.shape)


class RandomOfItsOwn(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._noise = torch.Generator().manual_seed(0)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores + torch.rand(scores.shape, generator=self._noise)


class BatchNormalised(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores - scores.mean(0)


class OrderDependent(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores + 0.01 * torch.arange(len(scores))[:, None]


class AdaptsToTestImages(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._drift = torch.zeros(self.backbone.dim)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        self._drift += inputs.encode(self.backbone).mean(0)
        return super().predict(inputs, task)

    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self.means = self.means + 1e-3 * self._drift


class TrainsBackboneBesideFit(Good):
    def learn(self, view: View) -> None:
        super().learn(view)
        with torch.no_grad():
            next(self.backbone.model.parameters()).mul_(1.01)


class PrivateState(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._bias = 0.0

    def learn(self, view: View) -> None:
        super().learn(view)
        self._bias += 1.0

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self._bias * super().predict(inputs, task)


class PrivateStateMissing(Good):
    def learn(self, view: View) -> None:
        super().learn(view)
        self._bias = 1.0

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self._bias * super().predict(inputs, task)


class ForgetsWhatComputeLeft(Good):
    """What `compute` puts into a private attribute is not there when its entry is restored."""

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._scale = 1.0

    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self._scale = 3.0

    def learn(self, view: View) -> None:
        self._scale = 1.0
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.compute("means", lambda: self.add_means(view))
        self.train_head(view, self.options.lr * self._scale)


class UnseededDraws(Good):
    def add_means(self, view: View) -> Any:
        super().add_means(view)
        noise = torch.Generator()
        noise.seed()
        self.means = self.means + torch.randn(self.means.shape, generator=noise)


class RemembersInTheClass(Good):
    runs = itertools.count()

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.number = next(self.runs)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return super().predict(inputs, task) + self.number * torch.arange(len(self.means)) ** 2


class HidesItsStore(Good):
    def stored(self) -> dict[str, int]:
        return {"samples": 0, "statistics": 0, "parameters": 0}


class TrainsForFree(Good):
    def train_head(self, view: View, lr: float) -> None:
        images, labels = self.backbone.transform(view.train.pixels(slice(None))), view.train.labels
        weights = torch.zeros(len(view.seen), self.backbone.dim, requires_grad=True)
        for _ in range(3):
            loss = F.cross_entropy(self.backbone(images) @ weights.T, labels)
            weights.data -= lr * torch.autograd.grad(loss, weights)[0]
        self.weights = weights.detach()


class KeepsEveryImage(Good):
    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self._images = [*getattr(self, "_images", []), view.train.pixels(slice(None))]


class KeepsEveryFeature(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.features = torch.empty(0, self.backbone.dim)

    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self.features = torch.cat([self.features, self.encode(view.train)])


class NoColumnsForSeveralClasses(Good):
    several = 0

    def learn(self, view: View) -> None:
        super().learn(view)
        self.several += view.train.tags is not None

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores[:, :1] if self.several else scores


class ForgetsTagsWhenInterrupted(Good):
    """Learns from tags that only the process that read them has."""

    def learn(self, view: View) -> None:
        self.compute("shares", lambda: self.read(view))
        super().learn(view)

    def read(self, view: View) -> None:
        self._shares = None if view.train.tags is None else view.train.tags.float().mean(0)

    def train_head(self, view: View, lr: float) -> None:
        shares = getattr(self, "_shares", None)
        super().train_head(view, lr if shares is None else lr * float(shares.sum()))


BROKEN: list[tuple[type[Strategy], str, str]] = [
    (Undocumented, "documented", "no 'Stores:' and no 'Cost:'"),
    (UnreadOption, "declarations", "'momentum_that_nobody_reads' of Options is never read"),
    (DefaultOutOfBounds, "declarations", "lr must be above 0"),
    (UnknownRule, "declarations", "cil_sene"),
    (NamesNoIdentifier, "declarations", "answers = ('the head',)"),
    (AnswersToAnyName, "runs", "answer with an unknown name returned scores"),
    (AnswersTooFew, "runs", "answer('head') returned 5 columns after 10 classes"),
    (AnswersAtRandom, "pure", "drew from torch's global random stream"),
    (AnswersByTheBatch, "batch-independent", "in a batch of 1 instead of"),
    (UnknownNeeds, "declarations", "needs(options) returned Needs("),
    (ProbesTheWrongNetwork, "declarations", "another network than extractor() returns"),
    (TooFewColumns, "runs", "5 columns after 10 classes"),
    (CountsPredictions, "pure", "state.asked is"),
    (RandomAnswers, "pure", "global random stream"),
    (RandomOfItsOwn, "pure", "differ by up to"),
    (BatchNormalised, "batch-independent", "in a batch of 1 instead of"),
    (OrderDependent, "batch-independent", "in a batch of 1 instead of"),
    (AdaptsToTestImages, "test-blind", "with noise instead of the test images, after 3 tasks state.means differs"),
    (TrainsBackboneBesideFit, "frozen", "changed in task 0 although no fit was given it"),
    (PrivateState, "state-round-trip", "predicts other scores"),
    (PrivateStateMissing, "state-round-trip", "AttributeError"),
    (ForgetsWhatComputeLeft, "resume", "interrupted 6 times ends with another result"),
    (NoColumnsForSeveralClasses, "several-classes", "no scores under til_oracle for a task with several classes"),
    (ForgetsTagsWhenInterrupted, "several-classes", "was interrupted 3 times ends with another result"),
    (UnseededDraws, "seeded", "a second run with the same seeds"),
    (RemembersInTheClass, "seeded", "a second run with the same seeds"),
    (HidesItsStore, "costs", "stored() says 0 bytes"),
    (TrainsForFree, "costs", "FLOPs are counted where"),
    (KeepsEveryImage, "memory", "most in '_images.0'"),
    (KeepsEveryFeature, "memory", "most in 'features'"),
]
