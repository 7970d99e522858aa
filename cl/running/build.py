"""Builds the objects of a run from its plan: stream, backbone, device, learner."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl import registry
from cl.data import reads
from cl.errors import ClbenchError, DataError, UsageError
from cl.family import argument_of, family_of, make_stream
from cl.files import sha256_of
from cl.plan.config_file import CONFIG, Parent
from cl.plan.continued import LEARNER, resume_command
from cl.plan.plan import Plan, load_plan
from cl.plan.precision import resolve_precision
from cl.plan.run_options import declared
from cl.progress.base import Observer
from cl.records.record import RECORD, load
from cl.running.folder import KEEP_LEARNER
from cl.settings import transform
from cl.values import parse_value

if TYPE_CHECKING:
    from cl.backbone import Backbone
    from cl.backbone.options import BackboneOptions
    from cl.running.learner import Learner
    from cl.strategy import Strategy
    from cl.stream import StreamInfo
    from cl.training.trainer import Trainer


def load_learner(folder: str | os.PathLike[str], *, device: str = "auto", precision: str | None = None) -> Learner:
    """Load the learner of a run made with `save_learner=True`, ready to predict; the stream's data is not needed.

        learner = cl.load_learner("results/.../seed1993")
        for name, answer, probability in learner.predict("photos/"): ...   # files, Pillow images, arrays, DataLoader
        scores = learner.predict_images(pixels)                     # uint8 [B, C, H, W] -> [B, classes]

    `precision` replaces that of the run. Its predictions equal those at the end of the run, bit for bit on the same
    kind of device. Warns if the strategy's code has changed since. Raises `UsageError` if the folder holds no saved
    learner (a run that is not complete has none yet) or the strategy is not registered, `DataError` if weights or
    preprocessing differ from those of the run, and for a damaged file. Arguments of another kind are a `UsageError`.
    """
    path = parse_value(Path, folder, "The folder of a run") / LEARNER
    if precision is not None:
        precision = parse_value(str, precision, "precision", declared()["precision"].constraints)
    if not path.is_file():
        if not (path.parent / CONFIG).is_file():
            raise UsageError(f"{folder} holds no run; give the folder of one, as `clbench run` prints it.")
        raise _no_learner(path.parent, str(folder))

    from cl.random import Seeds
    from cl.running import saved_learner
    from cl.running.calibration import Calibration
    from cl.running.learner import NO_CALIBRATION, Learner
    from cl.training.generators import generators_untouched
    from cl.training.trainer import Trainer

    saved = saved_learner.load(path)
    plan = load_plan(path.parent)
    device = pick_device(parse_value(str, device, "device"))
    if precision is not None:
        plan = dataclasses.replace(plan, precision=resolve_precision(precision, device))
    result = _record_of(path, saved.info)
    with generators_untouched():
        trainer = Trainer(seeds=Seeds(**plan.seeds), device=device, checkpoint=saved_learner.SetupJournal(saved.setup))
        strategy = build_strategy(plan, build_backbone(plan, device), trainer)
        strategy = saved_learner.rebuild(saved, strategy, path)
    calibration = NO_CALIBRATION if saved.calibration is None else Calibration(**saved.calibration)
    return Learner(strategy, result, calibration)


def _no_learner(folder: Path, name: str) -> UsageError:
    """Why a folder keeps no learner: its run is not complete, and would be started over by `KEEP_LEARNER`, or is.

    Raises `DataError` for a damaged record.
    """
    if (folder / RECORD).is_file() and load(folder / RECORD, trust_hash=True)["status"] == "complete":
        return UsageError(f"{name} keeps no learner; {KEEP_LEARNER}.")
    return UsageError(f"{name} is not complete; finish it with `{resume_command(folder)}` to keep its learner.")


def _record_of(path: Path, info: StreamInfo) -> Mapping[str, Any] | None:
    """The result in the record next to a learner, None if there is none or it is damaged: the learner works without.

    Raises `DataError` if the learner did not learn what the record says.
    """
    try:
        result: Mapping[str, Any] = load(path.parent / RECORD, trust_hash=True)["result"]
    except ClbenchError:
        return None
    stream = result["stream"]
    learned = info.train_fingerprint or stream["fingerprints"]["train"], list(info.class_names)
    if learned != (stream["fingerprints"]["train"], stream["class_names"]):
        raise DataError(f"{path} is the learner of another run than the record next to it; {KEEP_LEARNER}.")
    return result


def build_stream(plan: Plan, progress: Observer | None = None) -> Any:
    """The stream of a plan, without its test images if it is sealed; raises `DataError` if its data is missing or
    damaged. That of a plan that continues a run needs the data of both."""
    if plan.parent is not None:
        return _continued_stream(plan, plan.parent, progress)
    options = sized(plan.stream, plan.stream_options, plan.backbone, plan.backbone_options)
    stream = _own_stream(plan, options, progress)
    if not plan.sealed:
        return stream
    from cl.running.sealing import sealed

    return sealed(stream)


def _own_stream(plan: Plan, options: Any, progress: Observer | None) -> Any:
    stream = make_stream(
        plan.stream,
        options,
        order_seed=plan.seeds["order"],
        data_seed=plan.seeds["data"],
        progress=progress.data if progress is not None else None,
    )
    return transform(stream, plan.transforms, plan.seeds["data"])


def _continued_stream(plan: Plan, parent: Parent, progress: Observer | None) -> Any:
    """The stream of a plan that continues the learner of another run."""
    from cl.running.continuation import joined, of_its_size, rest_of

    learner_sha256(plan)  # before the data are read
    before = build_stream(load_plan(Path(parent.folder)), progress)
    if parent.rest:
        return rest_of(before, parent.tasks)
    options = of_its_size(plan.stream_options, plan.values, before.dataset.train.image_shape[0])
    after = _own_stream(plan, options, progress)
    return joined(before, after, parent.tasks, progress.data if progress is not None else None)


def learner_sha256(plan: Plan) -> str:
    """SHA-256 of the learner that a plan continues, "" if it continues none; raises `DataError` if it is gone."""
    if plan.parent is None:
        return ""
    file = plan.parent.file
    reads.note(file)
    if not file.is_file():
        raise DataError(f"The learner that this run continues is gone: {file}; put it back.")
    return sha256_of(file)


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
    return dataclasses.replace(options, size=family.side_of(argument_of(stream), side))


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
