"""Builds the objects of a run from its plan: stream, backbone, device, learner."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl import registry
from cl.errors import ClbenchError, DataError, UsageError
from cl.family import argument_of, family_of, make_stream
from cl.plan.config_file import CONFIG
from cl.plan.plan import Plan, load_plan
from cl.progress.base import Observer
from cl.records.record import RECORD, load
from cl.running.folder import KEEP_LEARNER, LEARNER
from cl.settings import transform

if TYPE_CHECKING:
    from cl.backbone import Backbone
    from cl.backbone.options import BackboneOptions
    from cl.strategy import Strategy
    from cl.stream import StreamInfo
    from cl.training.trainer import Trainer


def load_learner(folder: str | os.PathLike[str], *, device: str = "auto") -> Any:
    """Load the learner of a run made with `save_learner=True`, ready to predict; the stream's data is not needed.

        learner = cl.load_learner("results/.../seed1993")
        scores = learner.predict_images(pixels)                     # uint8 [B, C, H, W] -> [B, classes]
        names = [learner.info.class_names[i] for i in scores.argmax(1)]

    Its predictions equal those at the end of the run, bit for bit on the same kind of device. Warns if the strategy's
    code has changed since. Raises `UsageError` if the folder holds no saved learner or the strategy is not registered,
    `DataError` if weights or preprocessing differ from those of the run, and for a damaged file.
    """
    path = Path(folder) / LEARNER
    if not path.is_file():
        if not (path.parent / CONFIG).is_file():
            raise UsageError(f"{folder} holds no run; give the folder of one, as `clbench run` prints it.")
        raise UsageError(f"{folder} keeps no learner; {KEEP_LEARNER}.")

    from cl.random import Seeds
    from cl.running import saved_learner
    from cl.training.generators import generators_untouched
    from cl.training.trainer import Trainer

    saved = saved_learner.load(path)
    plan = load_plan(path.parent)
    _check_owner(path, saved.info)
    device = pick_device(device)
    with generators_untouched():
        trainer = Trainer(seeds=Seeds(**plan.seeds), device=device, checkpoint=saved_learner.SetupJournal(saved.setup))
        strategy = build_strategy(plan, build_backbone(plan, device), trainer)
        return saved_learner.rebuild(saved, strategy, path)


def _check_owner(path: Path, info: StreamInfo) -> None:
    """Raise `DataError` if a learner did not learn what the record next to it says."""
    try:
        stream = load(path.parent / RECORD, trust_hash=True)["result"]["stream"]
    except ClbenchError:  # no record, or a damaged one: the learner can be used without it
        return
    learned = info.train_fingerprint or stream["fingerprints"]["train"], list(info.class_names)
    if learned != (stream["fingerprints"]["train"], stream["class_names"]):
        raise DataError(f"{path} is the learner of another run than the record next to it; {KEEP_LEARNER}.")


def build_stream(plan: Plan, progress: Observer | None = None) -> Any:
    """The stream of a plan, without its test images if it is sealed; raises `DataError` if its data is missing or
    damaged."""
    stream = make_stream(
        plan.stream,
        sized(plan.stream, plan.stream_options, plan.backbone, plan.backbone_options),
        order_seed=plan.seeds["order"],
        data_seed=plan.seeds["data"],
        progress=progress.data if progress is not None else None,
    )
    stream = transform(stream, plan.transforms, plan.seeds["data"])
    if not plan.sealed:
        return stream
    from cl.running.sealing import sealed

    return sealed(stream)


def sized(stream: str, options: Any, backbone: str = "", backbone_options: BackboneOptions | None = None) -> Any:
    """The options of a stream; the size of its images is what the network sees, where the family leaves it to that.

    Without a backbone it is that of a run without `--backbone`. Raises `UsageError` for an unknown backbone,
    `DataError` for a missing weights file.
    """
    family = family_of(stream)
    if not family.sized_by_network or options.size is not None:
        return options
    from cl.backbone.facts import edge
    from cl.backbone.options import BackboneOptions
    from cl.plan.run_options import resolve_run

    name = backbone or resolve_run({}, {}).backbone
    side = edge(name, backbone_options or BackboneOptions())
    return replace(options, size=family.side_of(argument_of(stream), side))


def build_probe(plan: Plan, progress: Observer | None = None) -> Any:
    """The probe of a plan, None if it has none; raises `DataError` if its images are missing or damaged."""
    if plan.probe is None:
        return None
    from cl.declared.obtain import dataset_of
    from cl.running.probe import Probe

    dataset = dataset_of(plan.probe, progress.data if progress is not None else None)
    return Probe.of(plan.probe, dataset, plan.limit, last_only=plan.probe_last)


def build_backbone(plan: Plan, device: str = "cpu") -> Any:
    """The backbone of a plan; raises `UsageError` for an unknown one, `DataError` if its weights are missing."""
    from cl.backbone import load

    return load(plan.backbone, plan.backbone_options, device=device, precision=plan.precision, seed=plan.seeds["init"])


def build_strategy(plan: Plan, backbone: Backbone, trainer: Trainer) -> Strategy:
    """The learner of a plan, before its setup."""
    learner: Strategy = registry.strategies.get(plan.strategy)(plan.options, backbone, trainer)
    return learner


def pick_device(name: str) -> str:
    """The torch device; `auto` takes an accelerator if there is one. Raises `UsageError` for a missing device."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"--device {name} is not available here ({str(error).splitlines()[0]}); try auto.") from error
    return name
