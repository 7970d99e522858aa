"""The contract of a continual learner: `setup`, `learn`, `predict`.

A method imports all it needs of the contract from here; parts are in `cl.parts`, base classes in `cl.bases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import UsageError
from cl.options import nested, option
from cl.protocol import BLURRY, DISJOINT, DOMAIN, ONLINE, SETTINGS, TASK
from cl.stream import ImageSet, StreamInfo, View
from cl.training import state
from cl.training.augment import RECIPES
from cl.training.batches import Batch, ImageBatches, Source, TensorBatches
from cl.training.encodings import Encodings, Extractor, pixels_of
from cl.training.fit import FitSpec
from cl.training.generators import generator
from cl.training.optim import (
    SCHEDULES,
    Constant,
    Cosine,
    MultiStep,
    Optimizer,
    Plateau,
    Schedule,
    Step,
    When,
    adam,
    schedule,
    sgd,
)
from cl.training.trainer import Trainer

__all__ = [
    "BLURRY",
    "DISJOINT",
    "DOMAIN",
    "ONLINE",
    "RECIPES",
    "SCHEDULES",
    "SETTINGS",
    "TASK",
    "Backbone",
    "Batch",
    "Constant",
    "Cosine",
    "Extractor",
    "ImageBatches",
    "ImageSet",
    "Inputs",
    "MultiStep",
    "Plateau",
    "Source",
    "Step",
    "Strategy",
    "StreamInfo",
    "TensorBatches",
    "UsageError",
    "View",
    "When",
    "adam",
    "nested",
    "option",
    "schedule",
    "sgd",
]


class Strategy:
    """A continual learner.

    A subclass is one file that reads like its paper. Public attributes are its state (modules, parts, tensors, JSON
    scalars and lists or dicts of them), create them in `setup`; names that start with `_` are not kept.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of the method, declared with `cl.option`."""

    version: ClassVar[str] = "1"
    rules: ClassVar[tuple[str, ...]] = ("cil_seen", "til_masked")
    access: ClassVar[str] = "present"
    """"present", or "past" for a bound that may read earlier training images."""
    val_fraction: ClassVar[float] = 0.0
    """Share of the training images that the method needs for validation."""
    resumes: ClassVar[str] = "step"
    """Where a killed run goes on inside a task: at the "step" of a fit, or only at the start of the "task" (training
    that is not ours). The result is the same either way."""

    interpolates: ClassVar[bool] = False
    """Whether averages of its weights can predict: what it trains lies in modules held as attributes, and `predict` is
    one function of these weights, with nothing beside them that was computed from them (statistics, prototypes)."""
    settings: ClassVar[tuple[str, ...]] = DISJOINT
    """Settings of streams (see `cl.plan.compatibility`) that the method is right on; a plan refuses the others."""
    caveat: ClassVar[str] = ""
    """A sentence that stands among the warnings of every record: why its numbers are not yet those of the paper."""

    options: Any
    info: StreamInfo

    def __init__(self, options: Any, backbone: Backbone, trainer: Trainer) -> None:
        self.options, self.backbone, self.trainer = options, backbone, trainer

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        """What keeps a run with these options out of the ranking: "legacy" (a known defect of some code, reproduced),
        "batch-dependent" (predictions depend on which images share a batch), "saw-later-images" (without labels);
        usually nothing."""
        return ()

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        """Whether the method with these options is right on streams of a setting: one of `settings`, unless it
        says otherwise."""
        return setting in cls.settings

    # --------------------------------------------------------------------------------- what a method implements

    def setup(self, info: StreamInfo) -> None:
        """Create parts. Called once before the first task; `info` declares totals and class names."""

    def learn(self, view: View) -> None:
        """Learn one experience; the view dies afterwards."""
        raise NotImplementedError

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        """Scores [B, classes] over positions; pure, independent of batch size and order.

        `task` is given only under the rule `til_oracle`.
        """
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether there is something to predict with; rows measured before are null, never 0."""
        return True

    def report(self) -> dict[str, float]:
        """Numbers of its own for the record's measurement, such as the capacity it uses; asked after evaluations."""
        return {}

    # -------------------------------------------------------------------------------------- what it is given

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.trainer.device

    def fit(
        self,
        phase: str,
        data: Source,
        loss: Callable[[Batch], Tensor],
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        epochs: int,
        optimizer: Optimizer,
        schedule: Schedule = Constant(),  # noqa: B008 - an immutable value
        before_step: Callable[[Step], None] | None = None,
        after_step: Callable[[Step], None] | None = None,
        validate: Callable[[], float] | None = None,
        select: str = "last",
        plateau: Plateau | None = None,
        clip: float | None = None,
    ) -> dict[str, Any]:
        """Minimise `loss(batch)` over `params` (parameters, or groups with their own `lr`); everything else is frozen.

        `before_step` runs between backward and the optimiser's step, `after_step` after it; both get a `Step`, which
        knows the epoch, the step and the optimiser. `validate()` runs after each epoch (higher is better);
        `select="best"` ends with the trained tensors of its best epoch. `clip` bounds the gradient norm. Batch norms of
        a network with dropout measure their running averages again without it, before a validation and at the end.
        Resumable at any step. Returns losses per epoch, the best epoch and its score (-inf without `validate`), and the
        FLOPs of the steps; raises `NonFiniteLoss`.
        """
        spec = FitSpec(
            data, loss, params, epochs, optimizer, schedule, before_step, after_step, validate, select, plateau, clip
        )
        return self.trainer.fit(self, phase, spec)

    def compute(self, name: str, call: Callable[[], Any], *, count: bool = True) -> Any:
        """Run a long pass (statistics, Fisher, keys) once; its result and the state it leaves survive a kill.

        `count=False` is for a pass that counts its own FLOPs, as training with somebody else's loop does.
        """
        return self.trainer.compute(self, name, call, count=count)

    def rng(self, purpose: str) -> torch.Generator:
        """The random stream of a purpose within this task; asked again, it continues."""
        return self.trainer.journal.rng(purpose)

    def draws(self, purpose: str) -> torch.Generator:
        """A random stream for `predict`: the same draws at every call, so predictions stay pure."""
        return generator(self.trainer.seeds.data, "draws", purpose)

    @property
    def flops(self) -> float:
        """FLOPs that the run has executed so far."""
        return self.trainer.cost.flops["executed"]

    def flops_per_image(self, images: ImageSet, extractor: Extractor | None = None) -> float:
        """What encoding one image costs; known once one of these images was encoded."""
        return self.trainer.encodings.flops_per_image(extractor or self.backbone, images.store, self.device)

    def init_rng(self, purpose: str) -> torch.Generator:
        """The random stream that draws new parameters, from the initialisation seed."""
        return self.trainer.init_rng(purpose)

    def batches(self, images: ImageSet | Sequence[ImageSet], size: int, augment: str = "none") -> Source:
        """Shuffled mini-batches of augmented, normalised images."""
        sets = [images] if isinstance(images, ImageSet) else list(images)
        return ImageBatches(sets, size, self.backbone.transform, augment=augment, device=self.device)

    def encode(
        self, images: ImageSet | Sequence[ImageSet], extractor: Extractor | None = None, *, charge: bool = True
    ) -> Tensor:
        """Features [N, dim] of the deterministic view, computed once per (extractor, image).

        They count as computed in the FLOPs of an uncached run; not with `charge=False`, for batches of a fit that
        charge every use themselves (`flops_per_item`).
        """
        sets = [images] if isinstance(images, ImageSet) else list(images)
        get, chosen = self.trainer.encodings.get, extractor or self.backbone
        return torch.cat([get(chosen, s.store, s.rows, self.device, charge=charge) for s in sets])

    def encoded_batches(
        self, images: ImageSet | Sequence[ImageSet], size: int, extractor: Extractor | None = None
    ) -> TensorBatches:
        """Shuffled mini-batches of memoised features; counted as if every use had been computed."""
        sets = [images] if isinstance(images, ImageSet) else list(images)
        source = TensorBatches(self.encode(sets, extractor, charge=False), torch.cat([s.labels for s in sets]), size)
        source.flops_per_item = self.flops_per_image(sets[0], extractor)
        return source

    def predict_images(self, pixels: Tensor | np.ndarray, task: int | None = None) -> Tensor:
        """Scores for images of one's own: uint8 [B, C, H, W]. Raises `UsageError` for another type."""
        pixels = torch.as_tensor(pixels)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4:
            found = f"{pixels.dtype} {tuple(pixels.shape)}"
            raise UsageError(f"predict_images takes uint8 images [B, C, H, W], not {found}.")
        with torch.no_grad():
            return self.predict(Inputs(pixels, self.device), task)

    # ----------------------------------------------------------------------------------------------------- state

    _NOT_STATE: ClassVar[frozenset[str]] = frozenset({"options", "info", "trainer"})

    def get_state(self) -> dict[str, Any]:
        """Everything the learner holds, as nested tensors and JSON scalars."""
        return state.collect(self, self._NOT_STATE)

    def set_state(self, value: dict[str, Any]) -> None:
        """Put a state back into a learner whose `setup` has run."""
        state.restore(self, value, self.device)

    def stored(self) -> dict[str, int]:
        """Bytes kept between tasks: raw samples, statistics, and parameters beyond the pretrained backbone."""
        sizes = {"samples": 0, "statistics": 0, "parameters": 0}
        for name, value in vars(self).items():
            if name.startswith("_") or name in self._NOT_STATE:
                continue
            if isinstance(value, Strategy):
                sizes = {kind: size + sizes[kind] for kind, size in value.stored().items()}
                continue
            kind = getattr(value, "stores", "parameters" if isinstance(value, nn.Module) else "statistics")
            sizes[kind] += state.nbytes(state.get(value))
        return sizes


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Where inputs come from in a stream, for the memory of encodings; strategies never see it."""

    encodings: Encodings
    store: ImageStore
    rows: np.ndarray


class Inputs:
    """What `predict` gets: images and their encodings, and nothing else (no labels, task, index or order)."""

    def __init__(
        self, pixels: Tensor | None, device: torch.device | str = "cpu", source: StoredImages | None = None
    ) -> None:
        self._given, self._device, self._source = pixels, torch.device(device), source

    @property
    def _pixels(self) -> Tensor:
        if self._given is None:  # read only when someone looks: memoised features need no pixels
            assert self._source is not None
            self._given = pixels_of(self._source.store, self._source.rows)
        return self._given

    def __len__(self) -> int:
        return len(self._source.rows) if self._source is not None else len(self._pixels)

    def rows(self, index: Tensor) -> Inputs:
        """The inputs at positions `index` [K] (or where a mask [B] is true)."""
        index = torch.arange(len(self))[index.cpu()]
        source = self._source and replace(self._source, rows=self._source.rows[index.numpy()])
        return Inputs(None if self._given is None else self._given[index], self._device, source)

    def images(self, transform: Transform) -> Tensor:
        """The deterministic view of the images, [B, 3, s, s] on the device."""
        return transform(self._pixels.to(self._device))

    def encode(self, extractor: Extractor) -> Tensor:
        """Features [B, dim]; memoised where the images belong to a stream."""
        if self._source is None or self._source.encodings.exact:
            with torch.no_grad():
                return extractor(self.images(extractor.transform))
        return self._source.encodings.get(extractor, self._source.store, self._source.rows, self._device)
