"""One strategy of every family in `cl.bases`: what a family keeps between tasks must survive a kill."""

from __future__ import annotations

from tools.soak.scenarios import SCENARIOS, Scenario

_TASKS = ("--set", "stream.tasks=3")
_ONE = ("--set", "epochs=1")
_BASE = ("--set", "base.epochs=1")
_FILE = ("--backbone", "test_vit@random", "--set", "backbone.image_size=32")
_TRIALS = ("--set", "trials=2", "--set", "steps=6", "--set", "validate_every=3")

FAMILIES = {
    "accumulating": Scenario("pairwise", "pairwise", more=_TASKS, own=_ONE),
    "edited": Scenario("grace", "grace", "stream.toml", more=_FILE, own=("--set", "iterations=3", *_BASE)),
    "fine_tuning": Scenario("finetune", "finetune", more=_TASKS, own=_ONE),
    "first_session": Scenario("aper", "aper", more=_TASKS, own=_ONE),
    "generated": Scenario("hypernetwork", "hypernetwork", more=_TASKS, own=_ONE),
    "importance": Scenario("si", "si", more=_TASKS, own=_ONE),
    "joined": Scenario("gdumb", "gdumb", more=_TASKS, own=_ONE),
    "merged": Scenario("model-average", "model-average", more=_TASKS, own=_ONE),
    "network_per_task": Scenario("independent", "independent", more=(*_TASKS, *_FILE), own=_TRIALS),
    "projected": Scenario("owm", "owm", more=_TASKS, own=_ONE),
    "prompted": SCENARIOS["l2p"],
    "regularized": SCENARIOS["replay"],
    "rehearsed": Scenario("er-ace", "er-ace", more=_TASKS, own=_ONE),
    "replayed": Scenario("center-loss", "center-loss", more=_TASKS, own=_ONE),
    "rescaled": Scenario("lines", "lines", more=_TASKS, own=_BASE),
    "subnetworks": Scenario("packnet", "packnet", more=_TASKS, own=(*_ONE, "--set", "prune_epochs=1")),
    "told_task": Scenario("taps", "taps", more=_TASKS, own=_ONE),
    "wrapper": Scenario("momentum", "momentum", more=_TASKS, own=_BASE),
}
"""By the module of the family's base class."""
