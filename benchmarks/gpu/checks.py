"""Checks of a GPU: against the CPU within stated tolerances, and of a killed run against a whole one."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.bench import Bench, child


def checks(bench: Bench) -> bool:
    """Compare the GPU with the CPU, and a killed run with a whole one; whether all checks passed."""
    rows: list[dict[str, Any]] = []
    for name, (tolerance, measure) in CHECKS.items():
        clock = time.monotonic()
        try:
            found = measure(bench)
        except Exception as error:  # the others are worth knowing
            found, problem = float("nan"), f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            problem = ""
        passed = found <= tolerance
        rows.append(
            {
                "card": bench.card, "check": name, "found": f"{found:.3g}", "tolerance": tolerance, "passed": passed,
                "seconds": f"{time.monotonic() - clock:.1f}", "problem": problem,
            }
        )  # fmt: skip
        print(f"{'ok  ' if passed else 'FAIL'} {name}: {found:.3g}, at most {tolerance:g} {problem}", flush=True)
        bench.table("-checks", rows)
    return all(row["passed"] for row in rows)


def _digits(count: int = 64) -> Any:
    import torch

    from cl.streams.digits import digits

    pixels = digits().test.pixels[:count].transpose(0, 3, 1, 2)
    return torch.from_numpy(pixels.copy())


def features(bench: Bench) -> float:
    """Largest difference of a feature, relative to the largest feature, for equal inputs in fp32."""
    import torch

    from cl.backbone import load
    from cl.backbone.devices import arithmetic
    from cl.plan.run_options import DEFAULT_BACKBONE

    here, there = load(DEFAULT_BACKBONE), load(DEFAULT_BACKBONE, device=bench.device)
    with torch.no_grad(), arithmetic(bench.device, "fp32"):
        x = here.transform(_digits())
        one, two = here(x), there(x.to(bench.device)).cpu()
    return float((one - two).abs().max() / one.abs().max())


def inputs(bench: Bench) -> float:
    """Largest difference of an input after resizing, in [0, 1]: devices round resized images differently."""
    from cl.backbone.transform import Transform

    transform = Transform(32, (0.0,) * 3, (1.0,) * 3)
    return float((transform(_digits()) - transform(_digits().to(bench.device)).cpu()).abs().max())


def augmentation(bench: Bench) -> float:
    """Largest mean difference of an augmented image over all recipes, in [0, 1]: crops, mirroring and jitter agree."""
    import torch

    from cl.backbone.transform import Transform
    from cl.training.augment import RECIPES, augment

    transform, found = Transform(32, (0.0,) * 3, (1.0,) * 3), 0.0
    for name in RECIPES:
        made = [
            augment(_digits().to(device), name, transform, torch.Generator().manual_seed(1)).cpu()
            for device in ("cpu", bench.device)
        ]
        found = max(found, float((made[0] - made[1]).abs().mean((1, 2, 3)).max()))
    return found


TINY = (
    "--stream split-digits --limit 8 --set stream.tasks=2 --set epochs=1 --set batch_size=8 --set augment=crop-flip "
    "--set ca_epochs=1 --checkpoint-every 0"
)


def training(bench: Bench) -> float:
    """Largest difference of a score after one task of fine-tuning in fp32, relative to the largest score."""
    import cl

    options = {"epochs": 1, "batch_size": 8, "augment": "crop-flip", "stream.tasks": 2, "lr": 0.001}
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for device in ("cpu", str(bench.device)):
            where = Path(folder) / device.replace(":", "-")
            arguments: dict[str, Any] = {"options": options, "limit": 8, "max_tasks": 1, "device": device}
            learner = cl.run("finetune", "split-digits", results=where, existing="always", **arguments).learner
            scores.append(learner.predict_images(_digits()).cpu())
    return float((scores[0] - scores[1]).abs().max() / scores[0].abs().max())


def syncs(bench: Bench) -> float:
    """0, or an error of PyTorch if a step of a fit, or its next batch, makes the host wait for the device."""
    import torch

    import cl
    from cl.training.fit import Fit

    one_step = Fit._one_step

    def mode(name: str) -> None:
        if bench.device.type == "cuda":
            torch.cuda.set_sync_debug_mode(name)

    def watched(self: Fit, batch: Any, step: Any) -> None:
        if step.step == step.steps - 1:  # the last step reads the loss
            mode("default")
        one_step(self, batch, step)
        if 0 < step.step < step.steps - 2:  # from here on, also while the next batch is made
            mode("error")

    Fit._one_step = watched  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            options = {"epochs": 1, "batch_size": 8, "augment": "rrc-flip", "stream.tasks": 2}
            cl.run("slca", "split-digits", limit=8, options=options, device=str(bench.device), results=folder)
    finally:
        mode("default")
        Fit._one_step = one_step  # type: ignore[method-assign]
    return 0.0


def resume(bench: Bench) -> float:
    """Number of differing results: of a run, the same run again, and a run that is killed by SIGKILL and resumed."""
    hashes = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kills in (("whole", []), ("again", []), ("killed", [7])):
            command = f"run -s slca {TINY} --device {bench.device} --results {folder}/{name} -q"
            for kill in kills:
                if child(bench, command, 120, kill) != -signal.SIGKILL:
                    raise RuntimeError("the run was not killed")
            if child(bench, command, 120) != 0:
                raise RuntimeError("the run failed")
            record = json.loads(next(Path(folder, name).rglob("record.json")).read_text(encoding="utf-8"))
            if bool(record["measurement"]["resumed_from"]) != bool(kills):
                raise RuntimeError("the run was not resumed")
            hashes.append(record["result_sha256"])
    return len(set(hashes)) - 1


CHECKS: dict[str, tuple[float, Callable[[Bench], float]]] = {
    "features": (1e-4, features),
    "inputs": (2.01 / 255, inputs),
    "augmentation": (0.5 / 255, augmentation),
    "training": (1e-2, training),
    "no sync per step": (0.0, syncs),
    "resume": (0.0, resume),
}
"""Name, tolerance and measurement of each check."""
