"""Streams that are declared in a TOML file: their options, and the family that builds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cl.data.store import Progress
from cl.declared.declaration import Declaration, load
from cl.declared.options import SKIP, DeclaredOptions
from cl.errors import UsageError
from cl.family import Family

if TYPE_CHECKING:
    from cl.stream import Stream


class Declared(Family):
    """Base of declared streams; a subclass names its TOML file, or overrides `declaration`."""

    file: ClassVar[Path]
    Options = DeclaredOptions

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """The declaration; raises `UsageError` for an invalid file."""
        return load(cls.file)

    @classmethod
    def setting_of(cls, options: DeclaredOptions, argument: str = "") -> str:
        """The setting, for the plan."""
        return cls.declaration(argument).setting

    @classmethod
    def version_of(cls, argument: str = "") -> str:
        """The version in the config hash, which differs between any two declarations."""
        declared = cls.declaration(argument)
        return f"{declared.version}-{declared.digest}"

    def chosen(self, options: DeclaredOptions, argument: str) -> Declaration:
        """The declaration after the options are applied; raises `UsageError` if they leave no dataset."""
        declared = self.declaration(argument)
        return without_multi_label(declared) if options.multi_label == SKIP else declared

    @classmethod
    def multi_label_of(cls, options: DeclaredOptions, argument: str = "") -> tuple[str, ...]:
        """The tasks whose images may have several classes, of the datasets that are here if others are left out."""
        from cl.declared.obtain import find

        declared = cls().chosen(options, argument)
        next_to = declared.where.parent if declared.where is not None else None
        several = [entry for entry in declared.datasets if entry.multi_label]
        if (options.missing or declared.missing) == "skip":
            several = [entry for entry in several if find(entry, next_to) is not None]
        return tuple(entry.name for entry in several)

    def build(
        self,
        options: DeclaredOptions,
        *,
        order_seed: int,
        data_seed: int,
        argument: str = "",
        progress: Progress | None = None,
    ) -> Stream:
        """Build the stream; raises `UsageError` for options that do not fit, `DataError` for missing data."""
        from cl.declared.assembly import assemble

        declared = self.chosen(options, argument)
        return assemble(declared, options, order_seed=order_seed, data_seed=data_seed, progress=progress)


def without_multi_label(declared: Declaration) -> Declaration:
    """The declaration that `multi_label=skip` leaves, which names the datasets that it omits.

    Raises `UsageError` if no dataset is left.
    """
    several = tuple(entry for entry in declared.datasets if entry.multi_label)
    if not several:
        return declared
    kept = tuple(entry for entry in declared.datasets if entry not in several)
    if not kept:
        raise UsageError(f"multi_label=skip leaves no task of {declared.name}; set multi_label=learn.")
    omitted = tuple(f"{entry.title or entry.name} (multi-label)" for entry in several)
    return replace(declared, datasets=kept, omitted=(*declared.omitted, *omitted), unlearned=several)
