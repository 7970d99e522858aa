"""EAR: hypervectors say which inputs are new; new inputs get an adaptor of their own, others reuse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Depths
from cl.parts.heads import TaskHeads
from cl.parts.hyperdimensional import Bundles, Hypervectors, KeptCodes
from cl.parts.shallow_adaptors import AdaptorPool, ShallowAdaptor, Shape, naswot, shapes
from cl.parts.statistics import auroc
from cl.protocol import TaskSize, Work
from cl.strategy import (
    DISJOINT,
    DOMAIN,
    Batch,
    Cosine,
    Inputs,
    Needs,
    Strategy,
    StreamInfo,
    UsageError,
    View,
    option,
    scales,
)
from cl.training.optim import OPTIMIZERS, optimizer


class EAR(Strategy):
    """A frozen encoder, shallow adaptors that grow where inputs are new, and hypervectors that route images to them.

    Name: EAR
    Paper: Daniels, Hu, Lomnitz, Miller, Raghavan, Zhang, Piacentino, Zhang. Efficient Model Adaptation for Continual
        Learning at the Edge. 2023, arXiv 2308.02084 (Encoder-Adaptor-Reconfigurator).
    Family: adapters
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: a linear head per task (the reconfigurator), and where the task's images are new, an adaptor: a shallow
        network on features of the encoder at several depths, whose output is added to the last. Nothing learned earlier
        changes.
    Stores: random projections (23 MB for three depths of 192 and 10,000 dimensions), the sum of the hypervectors of
        each class of each task (40 KB), adaptors and heads. The hypervectors of `probes` held-out images per task
        (1.25 KB each) serve the numbers of the record only.
    Cost: one forward pass per image, once per run, its projection, and one adaptor and head.
    Differences from the paper: of its text we know the abstract, and there is no official code: this is our reading.
        The hypervector of an image is sign(sum_l B_l * sign(P_l f_l)) for features f_l at depth l. A task has a sum of
        them per class, and a threshold: the `quantile` of the highest cosine of held-out training images with its sums.
        An image is new if its highest cosine with all sums is below the threshold of that sum's task; a task is new if
        more than `new_share` of its images are. If it is not, its head reads the adaptor that most of its images
        resemble. Quantile and share were chosen by the training images of four streams. A new adaptor is the one of
        all shapes within `budget` with the highest NASWOT score (ICML 2021; compared with BayesWatch/
        nas-without-training @b3a82a6) before training; the score favours many units. Heads compare the classes of their
        task only. A test image goes to the task of its most similar sum; classes of other tasks score below all of its
        own, in the order of their cosines. If the task is told, its own head answers.
    """

    settings = (*DISJOINT, DOMAIN)
    rules = ("cil_seen", "til_oracle")
    one_network = False

    @dataclass(frozen=True)
    class Options:
        depths: int = option(3, "depths of the encoder that are read, the last being its features", ge=1)
        dims: int = option(10_000, "dimensions of a hypervector", ge=8)
        held_out: float = option(
            0.2, "share of the images left out of the sums: half set the threshold, half measure it", gt=0, lt=1
        )
        quantile: float = option(0.25, "share of a task's own images that its threshold calls new", gt=0, lt=1)
        new_share: float = option(0.5, "a task is new if more than this share of its images are", ge=0, lt=1)
        grow: str = option(
            "new", "add an adaptor for tasks that are new, for every task, or for the first only",
            choices=("new", "always", "never"),
        )  # fmt: skip
        route: str = option(
            "image", "choose the task of each test image, or one for a batch by its mean similarity",
            choices=("image", "batch"),
        )  # fmt: skip
        probes: int = option(100, "held-out images per task that measure routing and novelty; 0: none", ge=0)
        proxy: str = option("naswot", "choose the adaptor by this score, or at random", choices=("naswot", "random"))
        proxy_images: int = option(128, "images that the score sees", ge=2)
        budget: int = option(100_000, "maximum number of parameters of an adaptor", ge=1)
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(64, "images per step", ge=1)
        optimizer: str = option("adam", "optimiser, fresh for every task", choices=OPTIMIZERS)
        lr: float = option(
            1e-3, "learning rate of adaptor and head, which falls along a half cosine", gt=0,
            search=scales.log(1e-4, 1e-1),
        )  # fmt: skip
        momentum: float = option(0.9, "momentum of SGD", ge=0, lt=1)
        weight_decay: float = option(0.0, "weight decay of adaptor and head", ge=0)

    @classmethod
    def marks(cls, options: Options) -> tuple[str, ...]:
        return ("batch-dependent",) if options.route == "batch" else ()

    @classmethod
    def needs(cls, options: Any) -> Needs:
        compares = "its softmax over the classes of a task"
        return Needs(images_per_class=2, purpose="for a sum and a held-out image", compares=compares)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        return Work(looked_up=found.trained + 2 * task.images, steps=found.steps, test_passes=0, test_lookups=1)

    def setup(self, info: StreamInfo) -> None:
        o = self.options
        self._depths = Depths(self.backbone, o.depths)
        self._shapes = shapes(self._depths.dims, o.budget)
        if not self._shapes:
            least = shapes(self._depths.dims, 2**62)[0].parameters(self._depths.dims)
            raise UsageError(
                f"budget={o.budget} holds no adaptor: the smallest one for backbone {self.backbone.identity['name']} "
                f"has {least:,} parameters; set budget={least} or more."
            )
        self.hypervectors = Hypervectors(self._depths.dims, o.dims, self.init_rng("hypervectors")).to(self.device)
        self.bundles = Bundles(o.dims, self.device)
        self.kept = KeptCodes(o.dims)
        self.pool = AdaptorPool(self._depths.dims, self.device)
        self.head = TaskHeads(self.backbone.dim, init="linear").to(self.device)
        self.thresholds: list[float] = []  # of each task
        self.adaptor_of: list[int] = []  # the adaptor that the head of each task reads
        self.found: list[dict[str, float]] = []  # of each task, when it came
        self.measured: dict[str, float] = {}

    def learn(self, view: View) -> None:
        o, task = self.options, len(self.head)
        found = self.compute("novelty", lambda: self._novelty(view)) if task else {}
        grows = not task or o.grow == "always" or (o.grow == "new" and found["new"] > o.new_share)
        if grows:
            chosen = self.compute("architecture", lambda: self._architecture(view))
            self.pool.add(self._shapes[chosen], self.init_rng("adaptor"))
        number = len(self.pool) - 1 if grows else int(found["nearest"])
        self.found, self.adaptor_of = [*self.found, found], [*self.adaptor_of, number]
        self.head.add(view.classes, self.init_rng("head"))
        self._train(view, self.pool[number], trains=grows)
        self.compute("sums", lambda: self._remember(view))
        self.compute("measures", self._measure)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        features = inputs.encode(self._depths)
        if task is not None:
            return self._told(features, task) if task < len(self.head) else self.head.no_opinion(len(features))
        similarity = self.bundles.similarity(self._codes(features), features.dtype)
        labels = torch.tensor(self.bundles.labels, device=features.device).expand(len(features), -1)
        scores = features.new_full((len(features), self.head.seen), -1.0).scatter_reduce(1, labels, similarity, "amax")
        routed = self._routed(similarity)
        for chosen in routed.unique().tolist():
            rows = (routed == chosen).nonzero()[:, 0]
            own = self._told(features[rows], chosen)
            known = own > float("-inf")
            below = own.where(known, float("inf")).amin(1, keepdim=True) - 2 + scores[rows]
            scores[rows] = own.where(known, below)
        return scores

    @property
    def ready(self) -> bool:
        return len(self.bundles) > 0

    def report(self) -> dict[str, float]:
        """Adaptors and their parameters; routing accuracy, false alarms and the AUROC of novelty on held-out images."""
        parameters = float(sum(value.numel() for value in self.pool.parameters()))
        return {"adaptors": float(len(self.pool)), "parameters": parameters, **self.measured}

    # ------------------------------------------------------------------------------------------ what is new, and where

    def _codes(self, features: Tensor) -> Tensor:
        """Hypervectors of features at all depths, side by side."""
        return cast(Tensor, self.hypervectors(self._depths.parts(features)))

    def _owners(self) -> Tensor:
        return torch.tensor(self.bundles.tasks, device=self.device)

    def _routed(self, similarity: Tensor) -> Tensor:
        """The task [B] of the most similar sum; with `route=batch` one for all, by means over images."""
        if self.options.route == "image":
            return self._owners()[similarity.argmax(1)]
        owners, count = self._owners().expand(len(similarity), -1), len(self.head)
        best = similarity.new_full((len(similarity), count), -1.0).scatter_reduce(1, owners, similarity, "amax")
        return best.mean(0).argmax().expand(len(similarity))

    def _margins(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Highest cosines less the threshold of that sum's task (below 0: new), and that task."""
        highest, row = self.bundles.similarity(codes).max(1)
        owner = self._owners()[row]
        return highest - torch.tensor(self.thresholds, device=self.device)[owner], owner

    def _novelty(self, view: View) -> dict[str, float]:
        """The share of new images, the adaptor that most images resemble, and how well novelty is told (AUROC)."""
        margins, owner = self._margins(self._codes(self.encode(view.train, self._depths)))
        nearest = torch.tensor(self.adaptor_of, device=self.device)[owner].mode().values
        found = {"new": float((margins < 0).float().mean()), "nearest": float(nearest)}
        known = torch.cat([self.kept.of(task) for task in range(len(self.kept))])
        if len(known):
            found["auroc"] = auroc(-margins, -self._margins(known.to(self.device))[0])
        return found

    def _remember(self, view: View) -> None:
        """Sums of the classes, the threshold, and the images that measure; every class leaves one image in its sum."""
        o, task, labels = self.options, len(self.thresholds), view.train.labels
        order = torch.randperm(len(labels), generator=self.rng("held out"))
        _, inverse = labels[order].unique(return_inverse=True)
        earlier = torch.stack([(inverse == c).cumsum(0) for c in range(int(inverse.max()) + 1)], 1)
        free = earlier.gather(1, inverse[:, None])[:, 0] > 1  # not the first of its class
        left = free.nonzero()[: max(1, round(o.held_out * len(labels))), 0]
        summed = torch.ones(len(order), dtype=torch.bool)
        summed[left] = False
        codes = self._codes(self.encode(view.train, self._depths))
        self.bundles.add(codes[order[summed]], labels[order[summed]], task)
        cut = (len(left) + 1) // 2
        calibrating, measuring = codes[order[left[:cut]]], codes[order[left[cut:]]][: o.probes]
        own = self._owners() == task
        highest = self.bundles.similarity(calibrating)[:, own].amax(1)
        self.thresholds = [*self.thresholds, float(highest.quantile(o.quantile))]
        self.kept.add(measuring)

    def _measure(self) -> None:
        """Routing and false alarms on held-out images of all tasks, by all sums; what each task was when it came."""
        measured: dict[str, float] = {}
        routed, reached, alarms = [], [], []
        adaptors = torch.tensor(self.adaptor_of, device=self.device)
        for task, (found, number) in enumerate(zip(self.found, self.adaptor_of, strict=True)):
            measured[f"task{task}.adaptor"] = float(number)
            measured |= {f"task{task}.{name}": found[name] for name in ("new", "auroc") if name in found}
            codes = self.kept.of(task).to(self.device)
            if len(codes):
                margins, owner = self._margins(codes)
                routed.append((owner == task).float())
                reached.append((adaptors[owner] == number).float())
                alarms.append((margins < 0).float())
                measured[f"task{task}.routing"] = float(routed[-1].mean())
        if routed:
            measured["routing"] = float(torch.cat(routed).mean())
            measured["adaptor_routing"] = float(torch.cat(reached).mean())
            measured["false_alarms"] = float(torch.cat(alarms).mean())
        if rates := [found["auroc"] for found in self.found if "auroc" in found]:
            measured["auroc"] = sum(rates) / len(rates)
        self.measured = measured

    # ------------------------------------------------------------------------------------------- adaptors and heads

    def _told(self, features: Tensor, task: int) -> Tensor:
        """Scores by the adaptor and the head of a task, -inf for classes of other tasks."""
        return self.head.scores(task, self.pool[self.adaptor_of[task]](self._depths.parts(features)))

    def _architecture(self, view: View) -> int:
        """The shape of the new adaptor: that of the highest score before training, the smaller one of equal scores."""
        rng = self.rng("architecture")
        if self.options.proxy == "random":
            return int(torch.randint(len(self._shapes), (), generator=rng))
        some = torch.randperm(len(view.train), generator=rng)[: self.options.proxy_images]
        parts = self._depths.parts(self.encode(view.train, self._depths)[some.to(self.device)])
        return max(range(len(self._shapes)), key=lambda number: self._score(self._shapes[number], parts))

    def _score(self, shape: Shape, parts: list[Tensor]) -> float:
        candidate = ShallowAdaptor(shape, self._depths.dims, self.init_rng("candidate")).to(self.device)
        return naswot(candidate.activations(parts))

    def _train(self, view: View, adaptor: ShallowAdaptor, *, trains: bool) -> None:
        o, head, column = self.options, self.head.blocks[-1], self.head.targets(self.info.n_classes)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(head(adaptor(self._depths.parts(batch.x))), column[batch.y])

        self.fit(
            "train", self.encoded_batches(view.train, o.batch_size, self._depths), loss,
            [*(adaptor.parameters() if trains else ()), *head.parameters()], epochs=o.epochs,
            optimizer=optimizer(o.optimizer, o.lr, o.weight_decay, o.momentum), schedule=Cosine(),
        )  # fmt: skip
