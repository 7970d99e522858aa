"""`clbench run --dry-run`: what the command would do, as far as that is known without running it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cl.cli.app import report
from cl.cli.grid_estimate import flops_text
from cl.cli.text import say, size_text
from cl.errors import ClbenchError, MissingData, UsageError, printable
from cl.paths import look_only

if TYPE_CHECKING:
    from cl.cli.grid_estimate import Asked
    from cl.plan.plan import Plan


def describe(
    plans: Sequence[Plan],
    as_json: bool,
    existing: str = "only-missing",
    asked: Asked | None = None,
    *,
    each: bool = True,
) -> int:
    """Print what each run would do, and of several their sum; without `each` the sum alone.

    Returns the exit code of the first plan that could not run. That a run would download something is said, and no
    error.
    """
    from cl.cli.grid_estimate import Asked, GridEstimate
    from cl.results.speeds import Speeds

    asked = asked or Asked()
    grid = GridEstimate(asked, Speeds([*asked.speeds_from, *(plan.results for plan in plans)]))
    streams: dict[str, dict[str, Any]] = {}
    backbones: dict[str, dict[str, Any]] = {}
    setups: dict[str, ClbenchError | None] = {}
    code = 0
    for plan in plans:
        try:
            with look_only():
                about, lacking = _describe(plan, streams, backbones, setups, existing, asked.published)
                about["time"] = grid.add(plan, about)
        except ClbenchError as error:
            report(error, f" ({plan.title})" if len(plans) > 1 else "")
            code = code or error.exit_code
            continue
        if as_json:
            click.echo(json.dumps(about, sort_keys=True))
        elif each:
            _print(about)
        if lacking:
            report(lacking[0], f" ({plan.title})" if len(plans) > 1 else "")
            code = code or lacking[0].exit_code
    if as_json and len(plans) > 1:
        click.echo(json.dumps({"grid": grid.as_dict()}, sort_keys=True))
    elif not as_json and grid.states:
        _print_lines(grid.lines()[0 if len(plans) > 1 or not each else 1 :])
    return code


def _describe(
    plan: Plan,
    streams: dict[str, Any],
    backbones: dict[str, Any],
    setups: dict[str, Any],
    existing: str,
    published: bool,
) -> tuple[dict[str, Any], list[MissingData]]:
    """What the run would do, and the data without which it could not begin because nothing would download it."""
    from cl.plan.needs import refuse, remarks

    key = (plan.stream, plan.stream_options, plan.transforms, plan.seeds)
    stream = dict(_once(streams, key, _stream, plan))
    backbone = dict(_once(backbones, (plan.backbone, plan.backbone_options), _backbone, plan))
    built, least_batch, text = stream.pop("built"), backbone.pop("least_batch"), backbone.pop("text")
    batch_norms, channels = backbone.pop("batch_norms"), backbone.pop("channels")
    state, notes = _state(plan, built, existing)
    probe, no_probe = _probe(plan, built)
    absent = [stream.pop("error"), no_probe]
    notes += [str(no_probe)] if no_probe is not None else []
    if built is not None:
        refuse(plan.strategy, plan.options, built, least_batch, text=text, max_tasks=plan.max_tasks)
        notes += remarks(plan.strategy, plan.options, built, batch_norms, channels=channels)
        absent.append(_setup(plan, built, setups) if state != "complete" else None)
        notes += [str(absent[-1])] if absent[-1] is not None else []
        if plan.max_tasks is not None and plan.max_tasks < (count := len(built.experiences)):
            notes.append(f"--max-tasks={plan.max_tasks}: of {count} steps of the stream, the others are not learned.")
    lacking = [error for error in absent if error is not None and not error.downloads]
    about = {
        "run": plan.title,
        "folder": str(plan.folder),
        "state": state,
        "remarks": [*stream["notes"], *notes],
        "limited": plan.limited,
        "untuned": plan.untuned,
        "precision": plan.precision,
        "stream": stream,
        "backbone": backbone,
        "probe": probe,
        "config": plan.config(),
        "estimate": None if built is None else _estimate(plan, built, backbone, state, published),
    }
    return about, lacking if state != "complete" else []


def _once(
    known: dict[str, dict[str, Any]], key: Any, look: Callable[[Plan], dict[str, Any]], plan: Plan
) -> dict[str, Any]:
    """Caches results by key: runs of a grid share streams and backbones."""
    if repr(key) not in known:
        known[repr(key)] = look(plan)
    return known[repr(key)]


def _state(plan: Plan, stream: Any, existing: str) -> tuple[str, list[str]]:
    """What the folder holds, and remarks; raises `DataError` if the run could not be continued or kept as it is."""
    from cl.running.existing import check_complete, check_partial, complete_record, identity
    from cl.running.folder import MARKS

    folder = plan.folder
    if not any((folder / mark).exists() for mark in MARKS):
        return "new", []
    if existing == "never":
        raise UsageError(f"{folder} exists; choose --existing only-missing to continue it or always to start over.")
    if existing == "always":
        return "new", ["The files of an earlier run are deleted."]
    record = complete_record(folder)
    if record is not None:
        return "complete", list(filter(None, [check_complete(plan, record)]))
    if not (folder / "checkpoint").is_dir():
        return "partial", []
    from cl.running.build import build_backbone, build_probe, build_stream

    try:
        now = identity(plan, stream or build_stream(plan), build_backbone(plan), build_probe(plan))
    except MissingData as error:
        return "partial", [str(error)]
    check_partial(plan, now)
    return "partial", []


def _stream(plan: Plan) -> dict[str, Any]:
    """Tasks, classes and images if the data is available, else what would have to be downloaded."""
    from cl.data.duplicates import notes_on
    from cl.running.build import build_stream

    try:
        stream = build_stream(plan)
        info = stream.info
        return {
            "tasks": info.n_tasks,
            "classes": info.n_classes,
            "classes_per_task": list(info.classes_per_task),
            "train_images": sum(len(experience.train) for experience in stream.experiences),
            "test_images": sum(len(rows) for group in stream.groups for rows in [group.rows[stream.split]]),
            "test_passes": _passes(stream),
            **({"multi_label": list(stream.multi_label)} if stream.multi_label else {}),
            "missing": None,
            "error": None,
            "notes": notes_on(stream.dataset),
            "built": stream,
        }
    except MissingData as error:
        return {"tasks": None, "classes": None, "missing": str(error), "error": error, "notes": [], "built": None}


def _probe(plan: Plan, stream: Any) -> tuple[dict[str, Any] | None, MissingData | None]:
    """The images of the probe, None without one; and what is missing if they are not here.

    Raises `UsageError` if they are those of the stream.
    """
    from cl.running.build import build_probe

    try:
        probe = build_probe(plan)
    except MissingData as error:
        return None, error
    if probe is not None and stream is not None:
        probe.check(stream)
    return (None if probe is None else probe.about()), None


def _setup(plan: Plan, stream: Any, setups: dict[str, ClbenchError | None]) -> MissingData | None:
    """Rehearse the setup of the method, once for runs that differ in their seeds and folders alone.

    Returns the error of data that the setup needs and that is not here.

    Raises the `ClbenchError` with which the run would end.
    """
    from cl.running.rehearsal import rehearse

    info = replace(stream.info, class_names=tuple(sorted(stream.info.class_names)), train_fingerprint="")
    key = repr((plan.strategy, plan.options, plan.backbone, plan.backbone_options, plan.precision, info))
    if key not in setups:
        try:
            rehearse(plan, stream)
            setups[key] = None
        except ClbenchError as error:
            setups[key] = error
    found = setups[key]
    if found is None or isinstance(found, MissingData):
        return found
    raise found


def _passes(stream: Any) -> int:
    """Test images predicted over the whole run."""
    sizes = [{split: len(rows) for split, rows in group.rows.items()} for group in stream.groups]
    evaluations = [event for event in stream.events if hasattr(event, "groups")]
    return sum(sizes[group].get(event.split, 0) for event in evaluations for group in event.groups)


def _backbone(plan: Plan) -> dict[str, Any]:
    """Parameters and forward FLOPs of the architecture, without its weights."""
    from cl.backbone.facts import facts

    return facts(plan.backbone, plan.backbone_options)


def _estimate(plan: Plan, stream: Any, backbone: dict[str, Any], state: str, published: bool) -> dict[str, Any]:
    """The cost of the whole run, and the FLOPs of it that a partial run has done."""
    from cl import registry
    from cl.plan.cost_model import FLOAT, cost, load_of
    from cl.protocol import rules_on

    method = registry.strategies.get(plan.strategy)
    load = load_of(stream, plan.max_tasks, published=published)
    rules = rules_on(method.rules, stream.setting, method.answers)
    found = cost(method, plan.options, load, backbone, rules=len(rules))
    state_bytes = FLOAT * backbone["parameters"]
    return {
        "images": {key: getattr(found, key) for key in ("trained", "tuned", "encoded", "looked_up", "tested")},
        "train_images": load.train_images,
        "test_images": load.test_images,
        "published": published,
        "steps": found.steps,
        "flops": {
            "learning": found.learning_flops,
            "evaluation": found.evaluation_flops,
            "computed": found.computed_flops,
            "shared": found.shared_flops,
            "done": _done(plan) if state == "partial" else 0.0,
        },
        "bytes": {**found.bytes, "learner": found.bytes["checkpoint"] / 2 if plan.save_learner else 0},
        "training_state_bytes": 4 * state_bytes,  # weights, gradients and at most two moments
        "known": found.known,
    }


def _done(plan: Plan) -> float:
    """FLOPs that a partial run has executed, as of its last evaluation."""
    try:
        record = json.loads((plan.folder / "record.json").read_bytes())
        return float(record["measurement"]["flops"]["executed"])
    except (OSError, ValueError, KeyError, TypeError):  # not written yet, or damaged, which the run says
        return 0.0


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
        if several := stream.get("multi_label"):
            names = ", ".join(several[:5]) + (", ..." if len(several) > 5 else "")
            number = f"{len(several)} of {stream['tasks']} tasks"
            lines.append(("Labels", f"several per image in {number}, measured by mAP: {names}"))
    million, giga = backbone["parameters"] / 1e6, backbone["forward_flops"] / 1e9
    lines.append(("Backbone", f"{backbone['name']}: {million:.2f} M parameters, {giga:.3g} GFLOP per image"))
    if backbone["hub"]:
        lines.append(("Weights", f"{backbone['weights']} (downloaded through timm unless cached)"))
    if estimate is not None:
        flops, images, size, known = (estimate[key] for key in ("flops", "images", "bytes", "known"))
        learning, evaluation = flops_text(flops["learning"]), flops_text(flops["evaluation"])
        compute = f"{learning} to learn ({known['learning']}), {evaluation} to evaluate ({known['evaluation']})"
        if flops["computed"] < 0.95 * (flops["learning"] + flops["evaluation"]):
            compute += f"; {flops_text(flops['computed'])} with features computed once"
        if estimate["published"]:
            number = f"{estimate['train_images']:,} to train on, {estimate['test_images']:,} to test on"
            lines.append(("Published", f"{number}, for which the figures below are"))
        lines.append(("Compute", compute))
        passes = {"trained": "trained on", "tuned": "tuned on", "encoded": "encoded", "looked_up": "by their features"}
        counts = [f"{images[key]:,.0f} {text}" for key, text in passes.items() if images[key]]
        tests = f"{images['tested']:,.0f} tests"
        lines.append(("Passes", f"{', '.join(counts) or 'none'} in {estimate['steps']:,.0f} steps; {tests}"))
        memory = size_text(estimate["training_state_bytes"])
        lines.append(("Memory", f"up to {memory} for weights and optimiser, without activations"))
        kept = size_text(round(size["record"] + size["predictions"] + size["learner"]))
        more, cached = size_text(round(size["checkpoint"])), size_text(round(size["decoded"] + size["features"]))
        disk = f"up to {kept}, {more} more while it runs (and what the method stores), {cached} in the cache"
        lines.append(("Disk", disk))
    if (probe := about["probe"]) is not None:
        lines.append(
            ("Probe", f"{probe['dataset']}: {probe['train']:,} images to fit on, {probe['test']:,} to test on")
        )
    lines.append(("Options", "no preset fits: defaults (untuned)" if about["untuned"] else "from a preset"))
    lines += [("Note", text) for text in about["remarks"]]
    _print_lines(lines)
    width = max(len(key) for key in about["config"])
    for key, each in about["config"].items():
        say(printable(f"  {key:<{width}}  {each['value']}  [{each['origin']}]"), hang=width + 4)
    click.echo()


def _print_lines(lines: Sequence[tuple[str, str]]) -> None:
    for name, value in lines:
        say(printable(f"{name:<9} {value}"), hang=10)
