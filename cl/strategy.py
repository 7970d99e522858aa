"""The contract of a continual learner: `setup`, `learn`, `predict`.

A method imports everything in the contract from this module; parts are in `cl.parts`, base classes in `cl.bases`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cl import scales
from cl.backbone import Backbone
from cl.backbone.devices import arithmetic, to_device
from cl.backbone.transform import Transform, given_pixels
from cl.data.store import ImageStore
from cl.errors import UsageError
from cl.options import nested, option
from cl.protocol import BLURRY, DISJOINT, DOMAIN, ONLINE, SETTINGS, TASK, Least, Needs, TaskSize, Work
from cl.stream import ImageSet, StreamInfo, View
from cl.training import state
from cl.training.augment import RECIPES
from cl.training.batches import Batch, ImageBatches, Source, TensorBatches, tags_of
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
from cl.values import shortened

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
    "Least",
    "MultiStep",
    "Needs",
    "Plateau",
    "Source",
    "Step",
    "Strategy",
    "StreamInfo",
    "TaskSize",
    "TensorBatches",
    "UsageError",
    "View",
    "When",
    "Work",
    "adam",
    "nested",
    "option",
    "scales",
    "schedule",
    "sgd",
]

T = TypeVar("T")

CHUNK = 256
"""Images per chunk of `Strategy.chunks`."""


class Strategy:
    """A continual learner.

    A subclass is one file that reads like its paper. Public attributes are its state: modules, parts, tensors, JSON
    scalars, and lists or dicts of them. Create them in `setup`. Attributes that start with `_` are not saved.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of the method, declared with `cl.option`."""

    version: ClassVar[str] = "1"
    rules: ClassVar[tuple[str, ...]] = ("cil_seen", "til_masked")
    answers: ClassVar[tuple[str, ...]] = ()
    """Names of further answers to an image, besides that of `predict`; see `answer`. Each is recorded under every rule,
    as "cil_seen:NAME"."""
    access: ClassVar[str] = "present"
    """"present", or "past" for an upper bound that may read earlier training images."""
    val_fraction: ClassVar[float] = 0.0
    """Share of the training images held out for validation."""
    resumes: ClassVar[str] = "step"
    """Where a killed run resumes within a task: at a "step" of a fit, or at the start of the "task" (for training loops
    of other libraries). The result is the same either way."""
    interpolates: ClassVar[bool] = False
    """Whether averaged weights can predict. This requires that all trained parameters are in modules held as
    attributes, and that `predict` uses nothing computed from them earlier (statistics, prototypes)."""
    one_network: ClassVar[bool] = True
    """Whether one deterministic network gives the features of all predictions, see `extractor`. False for a method with
    a network per task or per image; `--probe` refuses it."""
    multi_label: ClassVar[bool] = False
    """Whether the method learns tasks whose images may have several classes (`View.train.tags`, `Batch.tags`): its
    scores for such a task are independent, and the higher the likelier. A plan refuses such tasks for other methods."""
    settings: ClassVar[tuple[str, ...]] = DISJOINT
    """Settings that the method supports (see `cl.plan.compatibility`); a plan refuses streams of other settings."""
    caveat: ClassVar[str] = ""
    """A warning added to every record: why the method's numbers do not match the paper yet."""

    options: Any
    info: StreamInfo

    def __init__(self, options: Any, backbone: Backbone, trainer: Trainer) -> None:
        self.options, self.backbone, self.trainer = options, backbone, trainer

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        """Reasons to leave a run with these options out of the ranking: "legacy" (reproduces a known defect of some
        code), "batch-dependent" (predictions depend on which images share a batch), "saw-later-images" (without their
        labels). Empty for most methods."""
        return ()

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        """Whether the method with these options supports a setting; by default, whether it is in `settings`."""
        return setting in cls.settings

    @classmethod
    def needs(cls, options: Any) -> Needs:
        """What the method with these options needs of a stream (images of a class, classes of a task, batches); a run
        without it is refused before anything is trained."""
        return Needs()

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        """Passes through the backbone to learn a task, from which `cl.plan.cost_model` estimates costs. By default an
        image is trained on in each of `epochs`, or is encoded once without them. No part of the code hash."""
        epochs, steps = getattr(options, "epochs", 0), -(-task.images // max(1, getattr(options, "batch_size", 32)))
        if not epochs:
            return Work(looked_up=task.images, test_passes=0, test_lookups=1, known="assumed")
        return Work(trained=epochs * task.images, steps=epochs * steps, known="assumed")

    # --------------------------------------------------------------------------------- what a method implements

    def setup(self, info: StreamInfo) -> None:
        """Create parts. Called once before the first task; `info` gives the numbers of tasks and classes, and names."""

    def learn(self, view: View) -> None:
        """Learn one experience; the view cannot be used afterwards."""
        raise NotImplementedError

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        """Scores [B, classes], one column per class position; pure, and independent of batch size and order.

        `task` is given only under the prediction rule `til_oracle`.
        """
        raise NotImplementedError

    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        """Scores [B, classes] of one of `answers`, with the contract of `predict`.

        An override ends with `return super().answer(name, inputs, task)`, which raises `UsageError` for another name.
        """
        known = ", ".join(self.answers) or "none besides that of predict"
        raise UsageError(f"{type(self).__name__} has no answer named {name!r}; it has: {known}.")

    @property
    def ready(self) -> bool:
        """Whether the method can predict yet; rows measured earlier are null, not 0."""
        return True

    def extractor(self) -> Extractor:
        """The network whose features predictions are made from; the backbone by default, called after evaluations.

        Override it in a method that predicts with attached parts or with other weights. It must be deterministic.
        """
        return self.backbone

    def report(self) -> dict[str, float]:
        """The method's own numbers for the record, such as the capacity it uses; called after evaluations."""
        return {}

    # -------------------------------------------------------------------------------------- what it is given

    @property
    def device(self) -> torch.device:
        """The device of the run."""
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

        `before_step` runs between backward and the optimiser's step, `after_step` after the step; both get a `Step`,
        which holds the epoch, the step and the optimiser. `validate()` runs after each epoch (higher is better);
        `select="best"` restores the trained tensors of the best epoch at the end. `clip` bounds the gradient norm.
        In a network with dropout, the running averages of batch norms are measured again without dropout, before each
        validation and at the end. If a trained module has batch norms, a last batch of one image joins the batch
        before. Resumable at any step. Returns losses per epoch, the best epoch and its score (-inf without
        `validate`), and the FLOPs of the steps. Raises `NonFiniteLoss`.
        """
        spec = FitSpec(
            data, loss, params, epochs, optimizer, schedule, before_step, after_step, validate, select, plateau, clip
        )
        return self.trainer.fit(self, phase, spec)

    def compute(self, name: str, call: Callable[[], Any], *, count: bool = True) -> Any:
        """Run a long pass (statistics, Fisher, keys) once; its result and the state after it survive a kill.

        `count=False` is for a pass that counts its own FLOPs, such as a training loop of another library.
        """
        return self.trainer.compute(self, name, call, count=count)

    def rng(self, purpose: str) -> torch.Generator:
        """The random stream of a purpose within this task; a second call continues the stream."""
        return self.trainer.journal.rng(purpose)

    def draws(self, purpose: str) -> torch.Generator:
        """A random stream for `predict`: every call gives the same draws, so predictions stay pure."""
        return generator(self.trainer.seeds.data, "draws", purpose)

    def alike(self, key: Hashable, call: Callable[[], T]) -> T:
        """Run `call` and charge its FLOPs, which are counted once per key and structure, because counting is slow."""
        return self.trainer.cost.alike((key, state.digest(self.structure())), call)[0]

    @property
    def flops(self) -> float:
        """FLOPs executed by the run so far."""
        return self.trainer.cost.flops["executed"]

    def flops_per_image(self, images: ImageSet, extractor: Extractor | None = None) -> float:
        """FLOPs to encode one image; known once one of these images has been encoded."""
        return self.trainer.encodings.flops_per_image(extractor or self.backbone, images.store, self.device)

    def init_rng(self, purpose: str) -> torch.Generator:
        """The random stream for new parameters, derived from the initialisation seed."""
        return self.trainer.init_rng(purpose)

    def batches(self, images: ImageSet | Sequence[ImageSet], size: int, augment: str = "none") -> Source:
        """Shuffled mini-batches of augmented, normalised images."""
        sets = [images] if isinstance(images, ImageSet) else list(images)
        return ImageBatches(sets, size, self.backbone.transform, augment=augment, device=self.device)

    def chunks(self, images: ImageSet, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Deterministic views [B, 3, s, s] and labels [B], `CHUNK` images at a time, in the set's order or in `order`.

        For passes that are not memoised, such as a validation of weights that still change.
        """
        order = torch.arange(len(images)) if order is None else order
        for index in order.split(CHUNK):
            x = self.backbone.transform(to_device(images.pixels(index), self.device))
            yield x, to_device(images.labels[index], self.device)

    def encode(
        self, images: ImageSet | Sequence[ImageSet], extractor: Extractor | None = None, *, charge: bool = True
    ) -> Tensor:
        """Features [N, dim] of the deterministic view, computed once per (extractor, image).

        The FLOPs of an uncached run include them even if they come from the cache. `charge=False` leaves them out, for
        batches of a fit, which charge every use themselves (`flops_per_item`).
        """
        sets = [images] if isinstance(images, ImageSet) else list(images)
        get, chosen = self.trainer.encodings.get, extractor or self.backbone
        return torch.cat([get(chosen, s.store, s.rows, self.device, charge=charge) for s in sets])

    def encoded_batches(
        self, images: ImageSet | Sequence[ImageSet], size: int, extractor: Extractor | None = None
    ) -> TensorBatches:
        """Shuffled mini-batches of memoised features; every use is charged as if it had been computed."""
        sets = [images] if isinstance(images, ImageSet) else list(images)
        features, labels = self.encode(sets, extractor, charge=False), torch.cat([s.labels for s in sets])
        source = TensorBatches(features, labels, size, tags=tags_of(sets))
        source.flops_per_item = self.flops_per_image(sets[0], extractor)
        return source

    def predict_images(self, pixels: Tensor | np.ndarray, task: int | None = None, answer: str = "") -> Tensor:
        """Scores for any images, uint8 [B, C, H, W]; `answer` names one of `answers`, else they are those of `predict`.

        Raises `UsageError` for another type or shape, an unknown answer, and a task that is no index from 0.
        """
        found = given_pixels(pixels)
        if task is not None and (not isinstance(task, int | np.integer) or task < 0):
            raise UsageError(f"predict_images takes a task as its index from 0, not {shortened(task)}.")
        with torch.no_grad(), arithmetic(self.device, "tf32" if self.backbone.tf32 else "fp32"):
            inputs = Inputs(found, self.device)
            return self.answer(answer, inputs, task) if answer else self.predict(inputs, task)

    # ----------------------------------------------------------------------------------------------------- state

    _NOT_STATE: ClassVar[frozenset[str]] = frozenset({"options", "info", "trainer"})

    def get_state(self) -> dict[str, Any]:
        """The whole state of the learner, as nested tensors and JSON scalars."""
        return state.collect(self, self._NOT_STATE)

    def set_state(self, value: dict[str, Any]) -> None:
        """Restore a state; `setup` must have run."""
        state.restore(self, value, self.device)

    def structure(self) -> Any:
        """Names and shapes of the state without samples, hashable: steps of equal structure cost the same FLOPs."""
        held = {k: v for k, v in vars(self).items() if not k.startswith("_") and k not in self._NOT_STATE}
        return state.structure(held)

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
    """The stored images behind some inputs, for the cache of encodings; strategies never see it.

    `ahead` are rows whose features will be needed next, among them `rows`: the cache computes them together.
    """

    encodings: Encodings
    store: ImageStore
    rows: np.ndarray
    ahead: np.ndarray | None = None


class Inputs:
    """The argument of `predict`: images and their encodings, and nothing else (no labels, task, index or order).

    `keeps` keeps the features of each extractor, so several answers to the same inputs encode and charge them once.
    """

    def __init__(
        self, pixels: Tensor | None, device: torch.device | str = "cpu", source: StoredImages | None = None, *,
        keeps: bool = False,
    ) -> None:  # fmt: skip
        self._given, self._device, self._source = pixels, torch.device(device), source
        self._encoded: dict[str, Tensor] | None = {} if keeps else None

    @property
    def _pixels(self) -> Tensor:
        if self._given is None:  # read on demand: memoised features need no pixels
            assert self._source is not None
            self._given = pixels_of(self._source.store, self._source.rows)
        return self._given

    def __len__(self) -> int:
        return len(self._source.rows) if self._source is not None else len(self._pixels)

    def rows(self, index: Tensor) -> Inputs:
        """The inputs at positions `index` [K], or where a mask [B] is true."""
        index = torch.arange(len(self))[index.cpu()]
        source = self._source and replace(self._source, rows=self._source.rows[index.numpy()], ahead=None)
        return Inputs(None if self._given is None else self._given[index], self._device, source)

    def images(self, transform: Transform) -> Tensor:
        """The deterministic view of the images, [B, 3, s, s] on the device."""
        return transform(to_device(self._pixels, self._device))

    def encode(self, extractor: Extractor) -> Tensor:
        """Features [B, dim]; memoised if the images belong to a stream."""
        if self._encoded is None:
            return self._encode(extractor)
        if extractor.key not in self._encoded:
            self._encoded[extractor.key] = self._encode(extractor)
        return self._encoded[extractor.key]

    def _encode(self, extractor: Extractor) -> Tensor:
        if self._source is None or self._source.encodings.exact:
            with torch.no_grad():
                return extractor(self.images(extractor.transform))
        source = self._source
        return source.encodings.get(extractor, source.store, source.rows, self._device, ahead=source.ahead)
