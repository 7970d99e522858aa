"""Strategies of avalanche-lib 0.6 in our loop: Avalanche's training steps and plugins, our streams and records."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cl.avalanche import lib
from cl.avalanche.adapter import AvalancheStrategy, Kept, PixelFeatures, pixels_dataset, plugin_with
from cl.avalanche.slda import AnalysisStrategy
from cl.strategy import Inputs, StreamInfo, UsageError, option, scales


class AvalancheNaive(AvalancheStrategy):
    """Avalanche's Naive: fine-tuning of backbone and classifier, task after task.

    Name: Naive (Avalanche)
    Paper: none; avalanche-lib 0.6, `avalanche.training.Naive`.
    Family: baselines
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: backbone and one linear classifier over all classes of the stream (global softmax).
    Stores: the optimiser's momentum buffers, which Avalanche carries over to the next task (one float per weight).
    Cost: one forward pass per test image.
    Differences from the paper: we resize and augment images in batches, not one by one.
    """

    def build(self, model: nn.Module, **common: Any) -> lib.SupervisedTemplate:
        return lib.Naive(model=model, criterion=nn.CrossEntropyLoss(), **common)


class AvalancheEWC(AvalancheStrategy):
    """Avalanche's EWC: a quadratic penalty on changes of weights that were important for earlier tasks.

    Name: EWC (Avalanche)
    Paper: Kirkpatrick et al. Overcoming catastrophic forgetting in neural networks. PNAS 2017; as
        `avalanche.training.EWC` of avalanche-lib 0.6 implements it.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: backbone and one linear classifier over all classes of the stream.
    Stores: importances and old values of every weight, per task (`mode=separate`) or once (`mode=online`).
    Cost: a second pass over the task's images for the importances; one forward pass per test image.
    Differences from the paper: as in Avalanche, importances are squared gradients of the mean loss of a batch, not of
        single images. They are small, so useful values of `ewc_lambda` are large.
    """

    @dataclass(frozen=True)
    class Options(AvalancheStrategy.Options):
        ewc_lambda: float = option(
            1.0, "weight of the penalty; Avalanche has no default", ge=0, search=scales.log(0.1, 1e4)
        )
        mode: str = option(
            "separate", "a penalty per task (separate), or one penalty that decays", choices=("separate", "online")
        )
        decay_factor: float = option(0.9, "decay of old importances in mode=online; Avalanche has no default", ge=0)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.penalties = Kept("statistics")  # {"task", "weights", "importances"}

    def build(self, model: nn.Module, **common: Any) -> lib.SupervisedTemplate:
        criterion, o = nn.CrossEntropyLoss(), self.options
        decay = o.decay_factor if o.mode == "online" else None
        return lib.EWC(
            model=model, criterion=criterion, ewc_lambda=o.ewc_lambda, mode=o.mode, decay_factor=decay, **common
        )

    def restore(self, algorithm: lib.SupervisedTemplate) -> None:
        plugin = plugin_with(algorithm, "importances")
        for item in self.penalties:
            plugin.saved_params[item["task"]] = self._as_data(item["weights"])
            plugin.importances[item["task"]] = self._as_data(item["importances"])

    def keep(self, algorithm: lib.SupervisedTemplate) -> None:
        plugin = plugin_with(algorithm, "importances")
        self.penalties.items = [
            {
                "task": task,
                "weights": {name: value.data for name, value in plugin.saved_params[task].items()},
                "importances": {name: value.data for name, value in importances.items()},
            }
            for task, importances in plugin.importances.items()
        ]

    def _as_data(self, tensors: dict[str, Tensor]) -> dict[str, lib.ParamData]:
        return {
            name: lib.ParamData(name, init_tensor=value.to(self.device), device=self.device)
            for name, value in tensors.items()
        }


class AvalancheLwF(AvalancheStrategy):
    """Avalanche's LwF: the model before the task is the teacher for old classes while new classes are learned.

    Name: LwF (Avalanche)
    Paper: Li and Hoiem. Learning without Forgetting. ECCV 2016; as `avalanche.training.LwF` of avalanche-lib 0.6
        implements it.
    Family: distillation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: backbone and one linear classifier over all classes of the stream.
    Stores: as avalanche/naive; the teacher is the model after the previous task, so no copy is stored between tasks.
    Cost: two forward passes per training image; one per test image.
    Differences from the paper: no warm-up of new outputs; the teacher stays in training mode, as in Avalanche.
    """

    @dataclass(frozen=True)
    class Options(AvalancheStrategy.Options):
        alpha: float = option(1.0, "weight of distillation; Avalanche's default", ge=0, search=scales.log(0.1, 10.0))
        temperature: float = option(2.0, "temperature of distillation; Avalanche's default", gt=0)

    def build(self, model: nn.Module, **common: Any) -> lib.SupervisedTemplate:
        criterion, o = nn.CrossEntropyLoss(), self.options
        return lib.LwF(model=model, criterion=criterion, alpha=o.alpha, temperature=o.temperature, **common)

    def restore(self, algorithm: lib.SupervisedTemplate) -> None:
        if self.seen:
            lwf = plugin_with(algorithm, "lwf").lwf
            lwf.prev_model = copy.deepcopy(algorithm.model).train()
            lwf.prev_classes_by_task[0] = set(range(self.seen))
            lwf.expcount = algorithm.clock.train_exp_counter


class AvalancheReplay(AvalancheStrategy):
    """Avalanche's Replay: every batch holds as many remembered images as new images.

    Name: Replay (Avalanche)
    Paper: none; avalanche-lib 0.6, `avalanche.training.Replay` with its default storage policy: reservoir sampling, the
        memory divided equally among the tasks.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: backbone and one linear classifier over all classes of the stream.
    Stores: `mem_size` images as bytes, in addition to the buffers of avalanche/naive.
    Cost: two forward passes per training image; one per test image.
    Differences from the paper: remembered images are stored without augmentation and augmented like new images.
    """

    @dataclass(frozen=True)
    class Options(AvalancheStrategy.Options):
        mem_size: int = option(200, "number of remembered images; Avalanche's default", ge=1)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.memory = Kept("samples")  # per task {"pixels", "labels", "weights"}

    def build(self, model: nn.Module, **common: Any) -> lib.SupervisedTemplate:
        return lib.Replay(model=model, criterion=nn.CrossEntropyLoss(), mem_size=self.options.mem_size, **common)

    def restore(self, algorithm: lib.SupervisedTemplate) -> None:
        policy = plugin_with(algorithm, "storage_policy").storage_policy
        policy._num_exps = len(self.memory.items)
        for task, item in enumerate(self.memory):
            group = policy.buffer_groups[task] = lib.ReservoirSamplingBuffer(len(item["labels"]))
            group.buffer = pixels_dataset(item["pixels"].cpu(), item["labels"].cpu())
            group._buffer_weights = item["weights"].cpu()

    def keep(self, algorithm: lib.SupervisedTemplate) -> None:
        policy = plugin_with(algorithm, "storage_policy").storage_policy
        self.memory.items = []
        for group in policy.buffer_groups.values():
            images = [group.buffer[i] for i in range(len(group.buffer))]
            empty = torch.empty(0, *self.info.image_shape, dtype=torch.uint8)
            self.memory.items.append(
                {
                    "pixels": torch.stack([pixels for pixels, *_ in images]) if images else empty,
                    "labels": torch.tensor([int(label) for _, label, *_ in images], dtype=torch.int64),
                    "weights": group._buffer_weights,
                }
            )


class AvalancheICaRL(AvalancheStrategy):
    """Avalanche's iCaRL: exemplars chosen by herding, distillation, and the nearest mean of exemplars.

    Name: iCaRL (Avalanche)
    Paper: Rebuffi, Kolesnikov, Sperl, Lampert. iCaRL: Incremental Classifier and Representation Learning. CVPR 2017; as
        `avalanche.training.ICaRL` of avalanche-lib 0.6 implements it.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: backbone and one linear classifier over all classes, by binary cross-entropy.
    Stores: `memory_size` exemplars as bytes (in total, or per class), one mean per class, and the buffers of
        avalanche/naive.
    Cost: two forward passes per training image and one more for herding; one per test image.
    Differences from the paper: a pretrained backbone instead of a ResNet, with a learning rate for it.
    """

    @dataclass(frozen=True)
    class Options(AvalancheStrategy.Options):
        memory_size: int = option(2000, "number of exemplars, the paper's K; Avalanche has no default", ge=1)
        fixed_memory: bool = option(True, "memory_size is the total number of exemplars; false: the number per class")

    def setup(self, info: StreamInfo) -> None:
        if sum(info.classes_per_task) != info.n_classes:
            raise UsageError(
                f"avalanche/icarl cannot learn {info.name}: it needs every class in one task only; "
                "choose a class-incremental stream, or avalanche/replay."
            )
        super().setup(info)
        self.exemplars = Kept("samples")  # per class {"pixels", "label", "order"}
        self.class_means = torch.empty(0, self.backbone.dim, device=self.device)

    def build(self, model: nn.Module, **common: Any) -> lib.SupervisedTemplate:
        return lib.ICaRL(
            feature_extractor=PixelFeatures(self.backbone),
            classifier=self.classifier,
            memory_size=self.options.memory_size,
            fixed_memory=self.options.fixed_memory,
            buffer_transform=None,
            **common,
        )

    def restore(self, algorithm: lib.SupervisedTemplate) -> None:
        plugin = plugin_with(algorithm, "x_memory")
        plugin.embedding_size = plugin.output_size = plugin.input_size = self.backbone.dim  # avoids a second pass
        if not self.seen:
            return
        plugin.observed_classes = list(range(self.seen))
        plugin.x_memory = [item["pixels"].to(self.device) for item in self.exemplars]
        plugin.y_memory = [[item["label"]] * len(item["pixels"]) for item in self.exemplars]
        plugin.order = [item["order"].cpu() for item in self.exemplars]
        plugin.class_means = dict(enumerate(self.class_means))
        algorithm.model.eval_classifier.replace_class_means_dict(plugin.class_means)
        loss = algorithm._criterion
        loss.old_model = copy.deepcopy(algorithm.model).train()
        loss.old_classes = list(range(self.seen))

    def keep(self, algorithm: lib.SupervisedTemplate) -> None:
        plugin = plugin_with(algorithm, "x_memory")
        self.exemplars.items = [
            {"pixels": pixels, "label": int(labels[0]), "order": order}
            for pixels, labels, order in zip(plugin.x_memory, plugin.y_memory, plugin.order, strict=True)
        ]
        self.class_means = torch.stack([plugin.class_means[label] for label in range(self.info.n_classes)])

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        classifier = lib.NCMClassifier(normalize=True)
        classifier.replace_class_means_dict(dict(enumerate(self.class_means[: self.seen])))
        return classifier(inputs.encode(self.backbone).to(self.class_means.dtype))


class AvalancheSLDA(AnalysisStrategy):
    """Avalanche's StreamingLDA: linear discriminant analysis on frozen features, one image at a time.

    Name: SLDA (Avalanche)
    Paper: Hayes and Kanan. Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis. CVPR Workshops
        2020; as `avalanche.training.StreamingLDA` of avalanche-lib 0.6 implements it.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing.
    Stores: one mean per class, one covariance and its inverse.
    Cost: one forward pass per training image and per test image, memoised across runs.
    Differences from the paper: no base initialisation; the covariance is estimated online from the first image on.
    """

    @dataclass(frozen=True)
    class Options:
        shrinkage: float = option(
            1e-4, "shrinkage of the covariance; the paper's value and Avalanche's", ge=0, le=1,
            search=scales.log(1e-5, 0.5),
        )  # fmt: skip
        streaming_sigma: bool = option(True, "update the covariance with every image; Avalanche's default")
        batch_size: int = option(128, "images between inversions of the covariance; the result is the same", ge=1)
