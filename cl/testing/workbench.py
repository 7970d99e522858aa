"""A small, fast test bench for a strategy: a tiny backbone, a few real images per class, and observers of a run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from cl import registry
from cl.backbone import Backbone, load
from cl.backbone.library import open_clip
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.plan.plan import Plan, make_plan
from cl.progress.base import Observer
from cl.random import Seeds
from cl.running import loop
from cl.running.build import build_backbone, build_stream
from cl.strategy import Strategy
from cl.stream import Stream, Train
from cl.testing.reachable import reachable_bytes
from cl.testing.report import CheckSkipped
from cl.training import state
from cl.training.checkpoint import Checkpoint
from cl.training.cost import count_flops
from cl.training.encodings import Encodings
from cl.training.fit import FitSpec, Learner
from cl.training.trainer import Trainer

STREAM = "split-digits"
IMAGES = 12
"""Training images per class; the memory check also takes twice as many."""

TASKS = 3
"""Tasks learned: all of the default stream (4, 3 and 3 classes), the first ones of another."""

SEEDS = Seeds(7, 8, 9)


def tiny_backbone(seed: int = 0, *, depth: int = 2, dim: int = 16, heads: int = 2) -> Backbone:
    """An untrained Vision Transformer for 8-pixel images, small enough to train in every test."""
    create = functools.partial(
        VisionTransformer,
        img_size=8, patch_size=4, embed_dim=dim, depth=depth, num_heads=heads, num_classes=0, proj_drop_rate=0.1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create()
    identity = {
        "name": "tiny",
        "weights_sha256": f"random-{seed}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "dim": dim,
        "input": {"size": 8},
        "pretraining": "none",
    }
    return Backbone(model, Transform(8, (0.5,) * 3, (0.5,) * 3), identity, create)


def tiny_clip(seed: int = 0) -> Backbone:
    """An untrained CLIP for 8-pixel images; raises `UsageError` if open_clip is not installed."""
    return load("open_clip:tiny_clip@random", seed=seed)


def record_header(method: type[Strategy], seeds: Seeds | None = None) -> dict[str, Any]:
    """The header of a record, as `cl.api` writes it before a run, for runs without a plan."""
    return {
        "run_id": "test",
        "strategy": {
            "name": method.__name__.lower(),
            "version": method.version,
            "distribution": None,
            "source_sha256": None,
            "access": method.access,
            "rules": list(method.rules),
            **({"answers": list(method.answers)} if method.answers else {}),
            "preset": None,
        },
        "config": {},
        "seeds": (seeds or Seeds()).as_dict(),
        "precision": {"dtype": "fp32"},
        "limited": True,
    }


@dataclass
class Reference:
    """One uninterrupted run over `TASKS` tasks, and what was observed."""

    learner: Strategy
    record: dict[str, Any]
    states: list[Any]  # after each task
    reached: list[dict[str, int]]  # bytes of everything reachable from the strategy, after each task, by path
    samples: list[int]  # bytes of raw samples declared, after each task
    touched: list[tuple[int, str]]  # (task, backbone tensor) that changed although no fit trained it
    flops: float  # of everything executed, measured outside the trainer
    ticks: int  # steps, phases and events
    read: set[str]  # options that were read


class Workbench:
    """Builds learners and streams for the checks, and keeps one reference run that most of them compare with.

    `options` maps keys of `--set` to values. Options called `epochs` or `..._epochs` are capped at 2, `batch_size`
    at 16 and `meta_steps` at 8 unless `options` names them, so that a check takes seconds. `backbone` is a name as for
    `--backbone`; the default is a tiny untrained Vision Transformer, and for a method that needs a text tower a tiny
    untrained CLIP. Raises `UsageError` if that needs open_clip, which is not installed.
    """

    def __init__(
        self,
        strategy: str,
        *,
        options: Mapping[str, Any] | None = None,
        stream: str | None = None,
        backbone: str | None = None,
    ) -> None:
        self.name, self.backbone_name, self.stream_name = strategy, backbone, stream or STREAM
        self.method: type[Strategy] = registry.strategies.get(strategy)
        chosen = dict(options or {})
        if stream is None:
            chosen.setdefault("stream.tasks", TASKS)
        first = self._plan(chosen, IMAGES)
        self.options = {**_quick(first), **chosen}
        self.plan = self._plan(self.options, IMAGES)
        self._reads_text = backbone is None and self.method.needs(self.plan.options).text
        if self._reads_text:
            _check_open_clip(strategy)
        self._reference: Reference | None = None
        self.broken = ""

    def _plan(self, options: Mapping[str, Any], images: int) -> Plan:
        return make_plan(
            self.name, self.stream_name, self.backbone_name, options=options, limit=images, order_seed=SEEDS.order,
            init_seed=SEEDS.init, data_seed=SEEDS.data, device="cpu", precision="fp32",
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------ what is built

    def stream(self, images: int = IMAGES) -> Stream:
        """The stream with `images` training images per class."""
        stream: Stream = build_stream(self.plan if images == IMAGES else self._plan(self.options, images))
        return stream

    def noisy(self, stream: Stream) -> Stream:
        """The same stream with noise instead of its test images."""
        from cl.data.store import ImageStore

        test = stream.dataset.test
        noise = np.random.default_rng(0).integers(0, 256, test.pixels.shape, dtype=np.uint8)
        dataset = dataclasses.replace(stream.dataset, test=ImageStore.from_arrays(noise, test.labels))
        return dataclasses.replace(stream, dataset=dataset)

    def learner(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        observer: Observer | None = None,
        exact: bool = False,
        options: Any = None,
    ) -> Strategy:
        """A fresh strategy on a fresh backbone."""
        if self.backbone_name:
            backbone = build_backbone(self.plan)
        else:
            backbone = tiny_clip() if self._reads_text else tiny_backbone(depth=6, dim=24, heads=3)
        trainer = _Watcher(
            seeds=SEEDS, checkpoint=checkpoint, observer=observer, encodings=Encodings(exact=exact), device="cpu"
        )
        return self.method(options or self.plan.options, backbone, trainer)

    def run(self, learner: Strategy, folder: Path, stream: Stream | None = None, tasks: int = TASKS) -> dict[str, Any]:
        """Run the loop over the first tasks; returns the record."""
        return loop.run(
            learner, stream or self.stream(), folder, record_header(self.method, SEEDS), trainer=learner.trainer,
            max_tasks=tasks,
        )  # fmt: skip

    def learn(self, learner: Strategy, stream: Stream, tasks: range) -> None:
        """Learn some tasks outside the loop, without evaluating."""
        for task in tasks:
            learner.trainer.journal.begin(task)
            view = stream.view(task, past=learner.access == "past")
            try:
                learner.learn(view)
            finally:
                view.revoke()

    def start(self, learner: Strategy, stream: Stream) -> Strategy:
        """Set a learner up for a stream, as the loop does."""
        learner.info = stream.info
        learner.trainer.encodings.expect(stream)
        learner.setup(stream.info)
        return learner

    # --------------------------------------------------------------------------------------------- the reference run

    @property
    def reference(self) -> Reference:
        """The reference run; if the first attempt raised, later calls raise `CheckSkipped`."""
        if self._reference is None:
            if self.broken:
                raise CheckSkipped(self.broken)
            self.broken = "the strategy does not run; fix that first."
            self._reference = self._observe(self.stream(), TASKS)
        return self._reference

    @cached_property
    def doubled(self) -> Reference:
        """The reference run over two tasks of twice as many images."""
        return self._observe(self.stream(2 * IMAGES), 2)

    def _observe(self, stream: Stream, tasks: int) -> Reference:
        watch, (options, read) = _Watch(), _spied(self.plan.options)
        learner = self.learner(observer=watch, options=options)
        found = Reference(learner, {}, [], [], [], [], 0.0, 0, read)
        trainer = learner.trainer
        assert isinstance(trainer, _Watcher)

        def before(task: int) -> None:
            trainer.fitted.clear()
            watch.before = {name: tensor.detach().clone() for name, tensor in _tensors(learner.backbone.model)}

        def after(number: int) -> None:
            event = stream.events[number]
            if not isinstance(event, Train):
                return
            found.states.append(state.clone(learner.get_state()))
            found.reached.append(reachable_bytes(learner))
            found.samples.append(learner.stored()["samples"])
            found.touched += [(event.experience, name) for name in _untold(learner, watch.before, trainer.fitted)]

        watch.on_task, watch.on_event = before, after
        with tempfile.TemporaryDirectory() as folder:
            found.record, found.flops = count_flops(lambda: self.run(learner, Path(folder), stream, tasks))
        found.ticks = watch.ticks
        return found


def _check_open_clip(strategy: str) -> None:
    try:
        open_clip()
    except UsageError as error:
        raise UsageError(f"{strategy} needs a text tower, so it is checked on a tiny CLIP: {error}") from error


class Ticks(Observer):
    """Counts steps, phases and events."""

    def __init__(self) -> None:
        self.ticks = 0

    def tick(self) -> None:
        self.ticks += 1

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        self.tick()

    def end_phase(self) -> None:
        self.tick()

    def event(self, index: int, total: int, text: str) -> None:
        self.tick()


class _Watch(Ticks):
    """Calls back when a task begins and when an event ends."""

    def __init__(self) -> None:
        super().__init__()
        self.on_task: Callable[[int], None] = lambda task: None
        self.on_event: Callable[[int], None] = lambda number: None
        self.before: dict[str, Tensor] = {}

    def task(self, index: int, total: int, name: str) -> None:
        self.on_task(index)

    def event(self, index: int, total: int, text: str) -> None:
        super().event(index, total, text)
        self.on_event(index)


@dataclass
class _Fitted:
    parameters: set[int] = field(default_factory=set)

    def clear(self) -> None:
        self.parameters.clear()


class _Watcher(Trainer):
    """A trainer that remembers which parameters were given to a fit."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.fitted = _Fitted()

    def trains(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        held = list(parameters)
        self.fitted.parameters.update(id(parameter) for parameter in held)
        super().trains(held)

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        groups: list[Any] = list(spec.params)
        for group in groups:
            held = list(group["params"]) if isinstance(group, dict) else [group]
            if isinstance(group, dict):
                group["params"] = held  # it may have been an iterator
            self.fitted.parameters.update(id(parameter) for parameter in held)
        return super().fit(strategy, phase, dataclasses.replace(spec, params=groups))


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _untold(learner: Strategy, before: Mapping[str, Tensor], fitted: _Fitted) -> list[str]:
    """Backbone tensors that changed although no fit trained them (a buffer: any parameter of its module)."""
    modules = dict(learner.backbone.model.named_modules())
    found = []
    for name, tensor in _tensors(learner.backbone.model):
        if name not in before or before[name].shape != tensor.shape or torch.equal(before[name], tensor):
            continue
        owner = modules[name.rpartition(".")[0]]
        told = [tensor] if isinstance(tensor, torch.nn.Parameter) else list(owner.parameters())
        if not any(id(parameter) in fitted.parameters for parameter in told):
            found.append(name)
    return found


def _quick(plan: Plan) -> dict[str, Any]:
    """Options that make a plan quick: few epochs, small batches."""
    found: dict[str, Any] = {}
    for key, setting in plan.values.items():
        if key.startswith(("stream.", "backbone.")) or not isinstance(setting.value, int):
            continue
        last = key.rpartition(".")[2]
        if last == "epochs" or last.endswith("_epochs"):
            found[key] = min(setting.value, 2)
        elif last == "meta_steps":
            found[key] = min(setting.value, 8)
        elif last == "batch_size":
            found[key] = min(setting.value, 16)
    return found


def _spied(options: Any) -> tuple[Any, set[str]]:
    """The same options, and a set that collects the names that are read."""
    read: set[str] = set()

    def look(self: Any, name: str) -> Any:
        read.add(name)
        return object.__getattribute__(self, name)

    spy: Any = object.__new__(type("Options", (type(options),), {"__getattribute__": look}))
    object.__getattribute__(spy, "__dict__").update(vars(options))
    return spy, read


@contextlib.contextmanager
def named(strategy: str | type[Strategy]) -> Iterator[str]:
    """A registered name for a strategy that is given as a class."""
    if isinstance(strategy, str):
        registry.strategies.entry(strategy)  # an unknown name is reported before anything is built
        yield strategy
        return
    name = f"{strategy.__module__}.{strategy.__qualname__}".replace("<locals>.", "")
    registry.strategies.register(name, strategy)
    try:
        yield name
    finally:
        registry.strategies.unregister(name)
