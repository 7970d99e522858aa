"""Inputs, weights and outputs of official code, stored as numbers in tests/oracles, and replays of whole trainings.

The settings in each file (`meta`) name the repository, the commit and the functions that computed the numbers.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.backbone.transform import Transform
from cl.data.store import Dataset, ImageStore
from cl.progress.base import Observer
from cl.random import Seeds
from cl.strategy import Strategy
from cl.stream import Evaluate, Event, Experience, Group, Stream, Train
from cl.training.batches import Batch, Rng, Source
from cl.training.fit import FitSpec
from cl.training.journal import Learner
from cl.training.trainer import Trainer

FOLDER = Path(__file__).resolve().parent.parent / "oracles"
DIFFERENCES = FOLDER / "differences.json"
"""File -> kind of comparison -> the largest difference; the table of docs/fidelity.md is made from it."""

WRITING = bool(os.environ.get("CLBENCH_WRITE_DIFFERENCES"))
"""Whether every comparison is written to `DIFFERENCES`; run the tests in one process then. Tests hide the variable."""

KINDS = ("forward", "loss", "training")

S = TypeVar("S", bound=Strategy)


def names(prefix: str) -> list[str]:
    """The oracles whose name begins with `prefix` and a variant: "train-slca" gives train-slca-a, train-slca-b, ..."""
    found = sorted(path.stem for path in FOLDER.glob(f"{prefix}-*.npz"))
    assert found, f"no file {prefix}-*.npz in {FOLDER}"
    return found


@dataclass
class Oracle:
    """The numbers of one file."""

    name: str
    compared: dict[str, float] = field(default_factory=dict)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(FOLDER / f"{self.name}.npz") as stored:
            return {key: stored[key] for key in stored.files if key != "meta"}

    @cached_property
    def meta(self) -> dict[str, Any]:
        with np.load(FOLDER / f"{self.name}.npz") as stored:
            meta: dict[str, Any] = json.loads(str(stored["meta"]))
            return meta

    def tensor(self, key: str) -> Tensor:
        """A copy of an array."""
        return torch.from_numpy(self.arrays[key].copy())

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The arrays below `prefix/`, by the rest of their key."""
        start = f"{prefix}/"
        return {key.removeprefix(start): self.tensor(key) for key in self.arrays if key.startswith(start)}

    @property
    def tasks(self) -> int:
        """The number of tasks with images."""
        return sum(key.startswith("pixels/") for key in self.arrays)

    def images(self, key: str = "pixels") -> Tensor:
        """Images as the network gets them: float32 [N, 3, s, s] in [-1, 1]."""
        return self.tensor(key).float() / 255 * 2 - 1

    def backbone(self) -> Backbone:
        """The Vision Transformer with the weights of the file, frozen."""
        options = {key: value for key, value in self.meta["vit"].items() if key != "layer_norm_eps"}
        norm = _layer_norm(self.meta["vit"]["layer_norm_eps"])

        def create() -> nn.Module:
            model: nn.Module = VisionTransformer(**options, norm_layer=norm)
            model.load_state_dict(self.group("vit"))
            return model

        return Backbone(create(), half(options["img_size"]), identity(self.name, options["embed_dim"]), create)

    @cached_property
    def stream(self) -> Stream:
        """The class-incremental stream of the images, in the order of the file; evaluation has the same images."""
        pixels = [self.arrays[f"pixels/{task}"].transpose(0, 2, 3, 1) for task in range(self.tasks)]
        labels = [self.arrays[f"labels/{task}"].astype(np.int64) for task in range(self.tasks)]
        store = ImageStore.from_arrays(np.concatenate(pixels), np.concatenate(labels))
        classes = tuple(f"class{label}" for label in range(int(max(part.max() for part in labels)) + 1))
        dataset = Dataset(self.name, store, store, classes, "tests/oracles")
        chunks, groups = [], []
        events: list[Event] = []
        for task, (images, own) in enumerate(zip(pixels, labels, strict=True)):
            rows = np.array([_row(store, image, label) for image, label in zip(images, own, strict=True)])
            held = tuple(int(label) for label in np.unique(own))
            chunks.append(Experience(rows, np.empty(0, np.int64), held, f"task{task}"))
            groups.append(Group(f"task{task}", held, {"test": rows}, task))
            events += [Train(task), Evaluate(tuple(range(task + 1)))]
        order = np.arange(len(classes))
        return Stream(
            self.name, "1", "class-incremental", {}, dataset, order, tuple(chunks), tuple(groups), tuple(events)
        )

    def tolerance(self, quantity: str = "*") -> float:
        """The largest difference that the file allows."""
        stated = self.meta["tolerance"]
        allowed: Any = stated.get(quantity, stated["*"]) if isinstance(stated, dict) else stated
        return float(allowed)

    def compare(self, kind: str, ours: Any, theirs: Any, quantity: str = "*") -> None:
        """Assert that two arrays differ by no more than the file allows; the table of docs/fidelity.md shows `kind`."""
        assert kind in KINDS, f"kind is one of {KINDS}, not {kind!r}"
        one, two = (np.asarray(torch.as_tensor(values).detach().double()) for values in (ours, theirs))
        assert one.shape == two.shape, f"{self.name}, {kind}: shapes {one.shape} and {two.shape}"
        largest = float(np.abs(one - two).max(initial=0.0))
        self._note(kind, largest)
        allowed = self.tolerance(quantity)
        assert largest <= allowed, (
            f"{self.name}, {kind}: the difference is {largest:.3g}; the file allows {allowed:.3g}"
        )

    def _note(self, kind: str, largest: float) -> None:
        self.compared[kind] = max(largest, self.compared.get(kind, 0.0))
        if WRITING:
            known = json.loads(DIFFERENCES.read_text()) if DIFFERENCES.exists() else {}
            known[self.name] = {**known.get(self.name, {}), **self.compared}
            DIFFERENCES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def half(size: int) -> Transform:
    """The inputs of the files: [0, 255] to [-1, 1]."""
    return Transform(size, (0.5,) * 3, (0.5,) * 3)


def identity(name: str, dim: int) -> dict[str, Any]:
    """The identity of a backbone whose weights are in a file."""
    return {
        "name": name, "weights_sha256": name, "parameters": 0, "dim": dim, "input": {"size": 8}, "pretraining": "none",
    }  # fmt: skip


def _layer_norm(eps: float) -> Callable[..., nn.Module]:
    def norm(width: int, **arguments: Any) -> nn.Module:
        return nn.LayerNorm(width, **{"eps": eps, **arguments})

    return norm


def _row(store: ImageStore, image: np.ndarray, label: int) -> int:
    same = (store.labels == label) & (store.pixels == image).all((1, 2, 3))
    return int(np.flatnonzero(same)[0])


# ------------------------------------------------------------------------------------------------------- replays


class InOrder:
    """A source of images or features whose batches are given, not shuffled: `rows` [steps, batch] over all epochs."""

    def __init__(self, source: Any, rows: Tensor, epochs: int) -> None:
        self.source, self.rows = copy.copy(source), rows.reshape(epochs, -1, rows.shape[-1])
        self.steps = self.rows.shape[1]

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        own = self.rows[epoch]
        self.source._indices = lambda rng, start: ((step, own[step]) for step in range(start, len(own)))
        return iter(self.source.epoch(epoch, rng, start))


class Features:
    """Given features [steps, batch, d] with labels [steps, batch], in the place of drawn ones."""

    def __init__(self, x: Tensor, y: Tensor, epochs: int) -> None:
        self.x, self.y = x.reshape(epochs, -1, *x.shape[1:]), y.reshape(epochs, -1, *y.shape[1:])
        self.steps = self.x.shape[1]

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for step in range(start, self.steps):
            yield Batch(self.x[epoch, step], self.y[epoch, step])


Given = Callable[[int, FitSpec], Source]
"""`given(task, spec)` returns the batches of a fit."""


def rows(oracle: Oracle, key: str = "batches") -> Given:
    """Batches of the fit's own source in the order of `key/TASK`."""
    return lambda task, spec: InOrder(spec.data, oracle.tensor(f"{key}/{task}"), spec.epochs)


def features(oracle: Oracle, key: str = "align") -> Given:
    """The features `key/TASK/x` with the labels `key/TASK/y`."""
    return lambda task, spec: Features(oracle.tensor(f"{key}/{task}/x"), oracle.tensor(f"{key}/{task}/y"), spec.epochs)


class Losses(Observer):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        assert loss is not None
        self.steps.append(loss)


class Replay(Trainer):
    """A trainer whose fits get given batches, by the name of the phase; other fits are as usual.

    `begin(learner, task, phase)` runs before each fit and sets what is given of the initial weights (in place).
    `losses` has the losses of the steps of each fit, by task and phase; `specs` what each fit was given.
    """

    def __init__(self, given: Mapping[str, Given], begin: Callable[[Any, int, str], None] | None = None) -> None:
        self.seen = Losses()
        super().__init__(seeds=Seeds(), observer=self.seen)
        self.given, self.begin = given, begin
        self.losses: dict[tuple[int, str], list[float]] = {}
        self.specs: dict[tuple[int, str], FitSpec] = {}

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        task = self.journal.task
        if self.begin is not None:
            with torch.no_grad():
                self.begin(strategy, task, phase)
        if phase in self.given:
            spec = replace(spec, data=self.given[phase](task, spec))
        self.specs[task, phase] = spec
        self.seen.steps = []
        result = super().fit(strategy, phase, spec)
        self.losses[task, phase] = self.seen.steps
        return result


def losses_of(learner: Strategy) -> dict[tuple[int, str], list[float]]:
    """The losses of the steps of each fit of a replay, by task and phase."""
    assert isinstance(learner.trainer, Replay)
    return learner.trainer.losses


def replay(
    method: type[S],
    oracle: Oracle,
    given: Mapping[str, Given],
    *,
    begin: Callable[[Any, int, str], None] | None = None,
    before: Callable[[Any, int], None] | None = None,
    after: Callable[[Any, int], None] | None = None,
    backbone: Backbone | None = None,
    stream: Stream | None = None,
    **options: Any,
) -> S:
    """Learn all tasks of an oracle with its batches and initial weights; returns the learner.

    `before(learner, task)` runs before `learn`, `after(learner, task)` after it.
    """
    trainer = Replay(given, begin)
    learner = method(method.Options(**options), backbone or oracle.backbone(), trainer)
    chosen = stream or oracle.stream
    learner.info = chosen.info
    trainer.encodings.expect(chosen)
    learner.setup(chosen.info)
    for task in range(len(chosen.experiences)):
        trainer.journal.begin(task)
        if before is not None:
            with torch.no_grad():
                before(learner, task)
        view = chosen.view(task, past=learner.access == "past")
        learner.learn(view)
        if after is not None:
            with torch.no_grad():
                after(learner, task)
        view.revoke()
    return learner
