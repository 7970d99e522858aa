"""Options that every declared stream has."""

from __future__ import annotations

from dataclasses import dataclass

from cl.declared.declaration import MISSING
from cl.options import option
from cl.settings.orders import RULES

OWN = "own"
LEARN, SKIP = "learn", "skip"


@dataclass(frozen=True)
class DeclaredOptions:
    """Options that every declared stream has."""

    size: int | None = option(None, "side of the images in pixels; none: as declared", ge=1, le=4096)
    missing: str | None = option(
        None, "a dataset that is not here: an error, or leave it out; none: as declared", choices=MISSING
    )
    order: str = option(
        "natural", "rule of the order of classes within a dataset, drawn by the order seed", choices=tuple(RULES)
    )
    train_per_class: int | float | None = option(
        None, "training images per class and dataset: at most n (1, 20), or a fraction of them (0.1, 1.0)", gt=0
    )
    test_per_class: int | float | None = option(None, "test images per class and dataset, likewise", gt=0)
    val_fraction: float = option(
        0.0, "share of the training images held out for validation, where the declared splits have none", ge=0, lt=1
    )
    split: str = option(
        "test",
        "the images to test on: test; dev_test while developing, where the declared splits have it; or val, held-out "
        "training images (a fifth where neither val_fraction nor the declared splits hold any out)",
        choices=("test", "dev_test", "val"),
    )
    evaluate_on: str | None = option(
        None,
        "test on the task just learned, and on all at the end (own); on those seen so far; on all, also before the "
        "first task; none: own where the task is told, else seen",
        choices=(OWN, "seen", "all"),
    )
    skip_damaged: bool = option(
        False,
        "reader folder: leave out images that cannot be read, and list them, instead of ending the run",
        unlisted=True,
    )
    multi_label: str = option(
        LEARN,
        "tasks whose images may have several classes: learn them, or leave them out (skip)",
        choices=(LEARN, SKIP),
        unlisted=True,
    )
