"""Avalanche's side: its own strategies, training loop, data loaders and evaluator, on the same images and network.

Its data sets hold the uint8 images in memory. A plugin gives every training batch clbench's batched augmentation, and
the network resizes and normalises other images; Avalanche's usual transforms of single images would cost more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.peers import work
from benchmarks.peers.counting import Counter, flat
from benchmarks.peers.ours import Turn, plan_of
from benchmarks.peers.work import Job, Measured

ORDERED = ("naive", "ewc", "lwf")
"""Methods that take their batches in clbench's order; others keep subsets of the data, which must not be permuted."""


class Images(Dataset):
    """Images [N, C, h, w] uint8 in memory, with labels; `order` permutes them."""

    def __init__(self, pixels: Tensor, labels: Tensor) -> None:
        self.pixels, self.targets = pixels, labels.tolist()
        self.order = list(range(len(labels)))

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.order[index]
        return self.pixels[row], self.targets[row]


class Features(nn.Module):
    """The network without a classifier; bytes are resized and normalised first."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.network, self.transform = backbone.model, backbone.transform

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images if images.is_floating_point() else self.transform(images))


class Batches:
    """A plugin: clbench's order of the images, augmentation, and initial values of new classifier rows."""

    def __init__(self, job: Job, seeds: Any, backbone: Any, classifier: Any) -> None:
        from cl.parts.heads.growing import GrowingHead

        self.job, self.seeds, self.transform, self.classifier = job, seeds, backbone.transform, classifier
        self.head = GrowingHead(backbone.dim)
        self.task, self.epoch, self.step = 0, 0, 0
        self.images: Images | None = None

    def _rng(self, *purpose: str | int) -> torch.Generator:
        from cl.training.generators import generator

        return generator(self.seeds.data, "fit", self.task, "train", 1, self.epoch, *purpose)

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Copy clbench's initial values for the rows of the new classes."""
        from cl.training.generators import generator

        self.epoch = 0
        if self.classifier is None:
            return
        rows = self.classifier.classifier
        old, new = self.head.classes, rows.out_features
        self.head.grow_to(new, generator(self.seeds.init, "init", self.task, "head"))
        block = self.head.blocks[-1]
        with torch.no_grad():
            rows.weight[old:] = block.weight
            rows.bias[old:] = block.bias

    def before_training_epoch(self, strategy: Any, **_: Any) -> None:
        self.step = 0
        if self.images is not None:
            self.images.order = torch.randperm(len(self.images), generator=self._rng("order")).tolist()

    def before_training_iteration(self, strategy: Any, **_: Any) -> None:
        from cl.training.augment import augment

        rng = self._rng("augment", self.step)
        strategy.mbatch[0] = augment(strategy.mb_x, work.AUGMENT, self.transform, rng)
        self.step += 1

    def after_training_epoch(self, strategy: Any, **_: Any) -> None:
        self.epoch += 1


def benchmark_of(stream: Any) -> tuple[Any, list[Images]]:
    """The stream as an Avalanche benchmark, and its training images by task."""
    from cl.avalanche.lib import benchmark_from_datasets, make_dataset, quiet, with_classes_timeline
    from cl.training.encodings import pixels_of

    def images(split: str, rows: Any) -> Images:
        store = stream.store(split)
        labels = torch.as_tensor(stream.positions[store.labels[rows]])
        return Images(pixels_of(store, rows), labels)

    train = [images("train", each.train) for each in stream.experiences]
    test = [images("test", group.rows["test"]) for group in stream.groups]
    with quiet():
        datasets = {
            name: [make_dataset(each, targets=each.targets, task_labels=0) for each in sets]
            for name, sets in (("train", train), ("test", test))
        }
        benchmark = with_classes_timeline(benchmark_from_datasets(**datasets))
    benchmark.n_classes_per_exp = list(stream.info.classes_per_task)
    benchmark.classes_order = list(range(stream.info.n_classes))
    for each in benchmark.streams.values():
        for experience in each:
            experience.benchmark = benchmark
    return benchmark, train


def algorithm_of(job: Job, stream: Any, backbone: Any, plugin: Batches, classifier: Any) -> Any:
    """Avalanche's strategy object."""
    from avalanche.evaluation.metrics import accuracy_metrics

    from cl.avalanche import lib

    features = Features(backbone)
    common: dict[str, Any] = {
        "train_mb_size": job.batch_size,
        "train_epochs": job.epochs,
        "eval_mb_size": work.EVAL_BATCH,
        "device": torch.device("cpu"),
        "evaluator": lib.EvaluationPlugin(accuracy_metrics(experience=True, stream=True), loggers=[]),
    }
    if job.method == "slda":
        return lib.StreamingLDA(
            slda_model=features, criterion=nn.CrossEntropyLoss(), input_size=backbone.dim,
            num_classes=stream.info.n_classes, shrinkage_param=work.SLDA_SHRINKAGE, streaming_update_sigma=True,
            **{**common, "train_epochs": 1},
        )  # fmt: skip
    features.requires_grad_(True)
    common["plugins"] = [plugin]
    model = nn.Sequential(features, classifier)
    optimizer = torch.optim.SGD(model.parameters(), work.LEARNING_RATE, work.MOMENTUM)
    if job.method == "icarl":
        return lib.ICaRL(
            feature_extractor=features, classifier=classifier, memory_size=work.MEMORY, buffer_transform=None,
            fixed_memory=True, optimizer=optimizer, **common,
        )  # fmt: skip
    common |= {"model": model, "criterion": nn.CrossEntropyLoss(), "optimizer": optimizer}
    if job.method == "replay":
        return lib.Replay(mem_size=work.MEMORY, **common)
    if job.method == "ewc":
        return lib.EWC(ewc_lambda=work.EWC_LAMBDA, mode="separate", **common)
    if job.method == "lwf":
        return lib.LwF(alpha=1.0, temperature=work.TEMPERATURE, **common)
    return lib.Naive(**common)


def run(job: Job, stream: Any, turn: Turn, *, tasks: int | None = None, in_detail: bool = False) -> Measured:
    """One run; see `benchmarks.peers.ours.run`."""
    from pathlib import Path

    from avalanche.models import IncrementalClassifier

    from cl.avalanche.lib import quiet
    from cl.random import Seeds
    from cl.running.build import build_backbone

    plan = plan_of(job, Path())
    object.__setattr__(plan, "precision", "fp32")
    backbone, seeds = build_backbone(plan), Seeds(**plan.seeds)
    benchmark, train = benchmark_of(stream)
    found = Measured()
    counter = Counter(found, in_detail)
    counter.watch(backbone.model)
    torch.manual_seed(seeds.data)
    with quiet(), found.whole.running(), counter.counting():
        first = stream.info.classes_per_task[0]
        if job.method == "icarl":
            classifier: Any = nn.Linear(backbone.dim, stream.info.n_classes)
        else:
            classifier = IncrementalClassifier(backbone.dim, first, masking=False)
        plugin = Batches(job, seeds, backbone, classifier if isinstance(classifier, IncrementalClassifier) else None)
        algorithm = algorithm_of(job, stream, backbone, plugin, classifier)
        shuffle = job.method not in ORDERED
        for task, experience in enumerate(benchmark.train_stream[:tasks]):
            plugin.task, plugin.images = task, None if shuffle else train[task]
            counter.begin_task()
            # A fresh optimiser per task, as in clbench
            with found.learn.running():
                algorithm.train(experience, eval_streams=[], shuffle=shuffle, reset_optimizer_state=True)
            if in_detail:
                found.weights.append(flat(backbone.model))
            turn()
            seen = benchmark.test_stream[: task + 1]
            with found.evaluation.running():
                metrics = algorithm.eval(seen)
            found.evaluated.append(sum(len(each.dataset) for each in seen))
            found.accuracy.append(next(v for k, v in metrics.items() if k.startswith("Top1_Acc_Stream")))
            turn()
    return found
