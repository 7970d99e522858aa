"""Streams that are declared in a TOML file: their options, and the family that builds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cl.config import option
from cl.data.store import Progress
from cl.declaration import MISSING, Declaration, load
from cl.orders import RULES

if TYPE_CHECKING:
    from cl.stream import Stream

OWN = "own"


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
        "test", "the images to test on: test, or dev_test while developing", choices=("test", "dev_test")
    )
    evaluate_on: str | None = option(
        None,
        "test on the task just learned, and on all at the end (own); on those seen so far; on all, also before the "
        "first task; none: own where the task is told, else seen",
        choices=(OWN, "seen", "all"),
    )


class Declared:
    """Base of streams that a TOML file declares; a subclass names the file, or overrides `declaration`."""

    version: ClassVar[str] = "1"
    file: ClassVar[Path]
    Options = DeclaredOptions

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """What is declared; raises `UsageError` for a file that cannot be."""
        return load(cls.file)

    @classmethod
    def setting_of(cls, options: DeclaredOptions, argument: str = "") -> str:
        """The setting, for the plan."""
        return cls.declaration(argument).setting

    @classmethod
    def version_of(cls, argument: str = "") -> str:
        """The version in the hash of a configuration: it tells declarations apart that differ in anything."""
        declared = cls.declaration(argument)
        return f"{declared.version}-{declared.digest}"

    def chosen(self, options: DeclaredOptions, argument: str) -> Declaration:
        """The declaration as the options change it."""
        return self.declaration(argument)

    def build(
        self,
        options: DeclaredOptions,
        *,
        order_seed: int,
        data_seed: int,
        argument: str = "",
        progress: Progress | None = None,
    ) -> Stream:
        """Build the stream; raises `UsageError` for options that do not fit, `DataError` for data that is missing."""
        from cl.assembly import assemble

        declared = self.chosen(options, argument)
        return assemble(declared, options, order_seed=order_seed, data_seed=data_seed, progress=progress)
