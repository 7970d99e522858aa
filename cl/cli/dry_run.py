"""`clbench run --dry-run`: what the command would do, as far as that is known without running it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cl.cli.app import report
from cl.errors import ClbenchError, DataError

if TYPE_CHECKING:
    from cl.plan.plan import Plan


def describe(plans: Sequence[Plan], as_json: bool) -> int:
    """Print what each run would do; returns the exit code of the first plan that could not run."""
    streams: dict[str, dict[str, Any]] = {}
    backbones: dict[str, dict[str, Any]] = {}
    code = 0
    for plan in plans:
        try:
            about = _describe(plan, streams, backbones)
        except ClbenchError as error:
            report(error, f" ({plan.title})" if len(plans) > 1 else "")
            code = code or error.exit_code
            continue
        if as_json:
            click.echo(json.dumps(about, sort_keys=True))
        else:
            _print(about)
    return code


def _describe(plan: Plan, streams: dict[str, Any], backbones: dict[str, Any]) -> dict[str, Any]:
    stream = _once(streams, (plan.stream, plan.stream_options, plan.transforms, plan.seeds), _stream, plan)
    backbone = _once(backbones, (plan.backbone, plan.backbone_options), _backbone, plan)
    return {
        "run": plan.title,
        "folder": str(plan.folder),
        "state": _state(plan.folder),
        "limited": plan.limited,
        "untuned": plan.untuned,
        "precision": plan.precision,
        "stream": stream,
        "backbone": backbone,
        "config": plan.config(),
        "estimate": _estimate(plan, stream, backbone),
    }


def _once(
    known: dict[str, dict[str, Any]], key: Any, look: Callable[[Plan], dict[str, Any]], plan: Plan
) -> dict[str, Any]:
    """Caches results by key: runs of a grid share streams and backbones."""
    if repr(key) not in known:
        known[repr(key)] = look(plan)
    return known[repr(key)]


def _state(folder: Path) -> str:
    from cl.plan.config_file import CONFIG
    from cl.records.record import RECORD

    if not (folder / CONFIG).is_file():
        return "new"
    path = folder / RECORD
    return str(json.loads(path.read_text(encoding="utf-8"))["status"]) if path.is_file() else "partial"


def _stream(plan: Plan) -> dict[str, Any]:
    """Tasks, classes and images if the data is available, else what would have to be downloaded."""
    from cl.running.build import build_stream

    try:
        with _untouched():
            stream = build_stream(plan)
            info = stream.info
            return {
                "tasks": info.n_tasks,
                "classes": info.n_classes,
                "classes_per_task": list(info.classes_per_task),
                "train_images": sum(len(experience.train) for experience in stream.experiences),
                "test_images": sum(len(rows) for group in stream.groups for rows in [group.rows[stream.split]]),
                "test_passes": _passes(stream),
                "missing": None,
            }
    except DataError as error:
        return {"tasks": None, "classes": None, "missing": str(error)}


def _passes(stream: Any) -> int:
    """Test images predicted over the whole run."""
    sizes = [{split: len(rows) for split, rows in group.rows.items()} for group in stream.groups]
    evaluations = [event for event in stream.events if hasattr(event, "groups")]
    return sum(sizes[group].get(event.split, 0) for event in evaluations for group in event.groups)


@contextlib.contextmanager
def _untouched() -> Iterator[None]:
    """No network and a temporary cache: cached data is read, nothing is written."""
    from cl.paths import home

    with tempfile.TemporaryDirectory() as scratch:
        paths = [os.environ.get("CLBENCH_DATA_PATH", ""), str(home() / "data")]
        changed = {
            "CLBENCH_OFFLINE": "1",
            "HF_HUB_OFFLINE": "1",
            "CLBENCH_DATA_PATH": os.pathsep.join(path for path in paths if path),
            "CLBENCH_HOME": scratch,
        }
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _backbone(plan: Plan) -> dict[str, Any]:
    """Parameters and forward FLOPs of the architecture, without its weights."""
    import timm
    import torch
    from timm.data import resolve_data_config
    from torch.utils.flop_counter import FlopCounterMode

    from cl.backbone.model import factory, input_size

    name, _, source = plan.backbone.partition("@")
    build = factory(name.partition(".")[0])
    size = input_size(name, plan.backbone_options.image_size)
    with torch.device("meta"):
        model = build(pretrained=False, num_classes=0, **size).eval()
        channels, height, width = resolve_data_config({}, model=model)["input_size"]
        side = plan.backbone_options.image_size
        image = torch.empty(1, channels, side or height, side or width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    config = timm.get_pretrained_cfg(name) if source == "" else None
    declared = config.to_dict() if config is not None else {}
    remote = None if declared.get("file") else declared.get("hf_hub_id") or declared.get("url")
    return {
        "name": plan.backbone,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "forward_flops": counter.get_total_flops(),
        "weights": source or declared.get("file") or remote or "unknown",
        "hub": bool(remote),
    }


def _estimate(plan: Plan, stream: dict[str, Any], backbone: dict[str, Any]) -> dict[str, Any] | None:
    """Bounds that hold for any method; None if the stream is unknown."""
    if stream["tasks"] is None:
        return None
    forward, epochs = backbone["forward_flops"], getattr(plan.options, "epochs", None)
    bytes_per_state = 4 * backbone["parameters"]
    return {
        "flops_frozen": forward * (stream["train_images"] + stream["test_images"]),
        "flops_trained": forward * (3 * stream["train_images"] * epochs + stream["test_passes"]) if epochs else None,
        "training_state_bytes": 4 * bytes_per_state,  # weights, gradients and at most two moments
        "checkpoint_bytes": 3 * bytes_per_state,
    }


def _print(about: dict[str, Any]) -> None:
    stream, backbone, estimate = about["stream"], about["backbone"], about["estimate"]
    lines = [("Run", about["run"] + (" (limited)" if about["limited"] else "")), ("Folder", about["folder"])]
    lines.append(("State", {"new": "would start", "partial": "would continue"}.get(about["state"], about["state"])))
    if stream["tasks"] is None:
        lines.append(("Data", f"not here: {stream['missing']}"))
    else:
        sizes = stream["classes_per_task"]
        shown = [*map(str, sizes)] if len(sizes) <= 40 else [*map(str, sizes[:3]), "..."]
        each = f"{sizes[0]}" if len(set(sizes)) == 1 else "+".join(shown)
        lines.append(("Tasks", f"{stream['tasks']} x {each} classes, {stream['classes']} in all"))
        lines.append(("Images", f"{stream['train_images']:,} to train on, {stream['test_images']:,} to test on"))
    million, giga = backbone["parameters"] / 1e6, backbone["forward_flops"] / 1e9
    lines.append(("Backbone", f"{backbone['name']}: {million:.2f} M parameters, {giga:.3g} GFLOP per image"))
    if backbone["hub"]:
        lines.append(("Weights", f"{backbone['weights']} (downloaded through timm unless cached)"))
    if estimate is not None:
        compute = f"{estimate['flops_frozen'] / 1e12:.3g} TFLOP with a frozen backbone"
        if estimate["flops_trained"] is not None:
            compute += f", about {estimate['flops_trained'] / 1e12:.3g} when it is trained"
        lines.append(("Compute", compute))
        megabytes = (estimate["training_state_bytes"] / 1e6, estimate["checkpoint_bytes"] / 1e6)
        lines.append(("Memory", f"up to {megabytes[0]:.0f} MB for weights and optimiser, without activations"))
        lines.append(("Disk", f"up to about {megabytes[1]:.0f} MB while it runs (and what the method stores)"))
    lines.append(("Options", "no preset fits: defaults (untuned)" if about["untuned"] else "from a preset"))
    for name, value in lines:
        click.echo(f"{name:<9} {value}")
    width = max(len(key) for key in about["config"])
    for key, each in about["config"].items():
        click.echo(f"  {key:<{width}}  {each['value']}  [{each['origin']}]")
    click.echo()
