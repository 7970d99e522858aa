"""Our streams as Avalanche benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cl.avalanche.lib import benchmark_from_datasets, make_dataset, quiet, with_classes_timeline, with_task_labels
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.stream import ImageSet, Stream
from cl.values import shortened

if TYPE_CHECKING:
    from avalanche.benchmarks.scenarios import CLScenario

ImageTransform = Callable[[Tensor], Any]
"""Takes one uint8 image [C, H, W]."""


class LabelledImages(Dataset):
    """The images of a set as a torch dataset of (uint8 [C, H, W], position), read one by one."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images
        self.targets = images.labels.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images.pixels([index])[0], self.targets[index]


def to_avalanche(
    stream: Stream,
    *,
    transform: Transform | ImageTransform | None = None,
    train_transform: ImageTransform | None = None,
    task_labels: bool = False,
) -> CLScenario:
    """A stream as a benchmark of avalanche-lib: `train_stream` with one experience per task, `test_stream` with one per
    group, and `valid_stream` if the stream holds out images.

    `transform` is `backbone.transform` or any callable on one uint8 image [C, H, W] (default: float32 in [0, 1]);
    `train_transform` replaces it for training images. With `task_labels`, task labels are task numbers instead of 0.
    Targets are positions. Raises `ClbenchError` if avalanche-lib cannot be imported, `UsageError` for a stream whose
    images may have several classes.
    """
    if not isinstance(stream, Stream):
        raise UsageError(f"to_avalanche takes a stream, such as that of build() of a family, not {shortened(stream)}.")
    if stream.multi_label:
        raise UsageError(
            f"Images of {stream.multi_label[0]} may have several classes, which Avalanche's benchmarks do not hold; "
            "build the stream with multi_label=skip."
        )
    evaluation = _per_image(transform)
    transforms = {"train": (train_transform or evaluation, None), "eval": (evaluation, None)}

    def dataset(split: str, rows: Any, task: int) -> Any:
        store = stream.store(split)
        images = LabelledImages(ImageSet(store, rows, stream.positions[store.labels[rows]]))
        return make_dataset(
            images,
            transform_groups=transforms,
            initial_transform_group="train" if split == "train" else "eval",
            task_labels=task if task_labels else 0,
        )

    streams = {
        "train": [dataset("train", each.train, task) for task, each in enumerate(stream.experiences)],
        "test": [dataset("test", group.rows["test"], group.task) for group in stream.groups],
    }
    if any(len(each.val) for each in stream.experiences):
        streams["valid"] = [dataset("val", each.val, task) for task, each in enumerate(stream.experiences)]
    with quiet():
        benchmark = with_task_labels(with_classes_timeline(benchmark_from_datasets(**streams)))
    # Avalanche's newer benchmarks lack attributes of older ones that some strategies (ICaRL) and metrics still use.
    benchmark.n_classes = len(stream.class_order)
    benchmark.n_classes_per_exp = list(stream.info.classes_per_task)
    benchmark.classes_order = list(range(len(stream.class_order)))
    benchmark.class_names = list(stream.info.class_names)
    for each in benchmark.streams.values():
        each.benchmark = benchmark
        for experience in each:
            experience.benchmark = benchmark
    return benchmark


def _per_image(transform: Transform | ImageTransform | None) -> ImageTransform:
    if transform is None:
        return _to_float
    if isinstance(transform, Transform):
        return lambda image: transform(image[None])[0]
    return transform


def _to_float(image: Tensor) -> Tensor:
    """Convert uint8 to [0, 1], like torchvision's ToTensor."""
    return image.to(torch.float32) / 255
