"""Streams that are declared in a TOML file: their options, and the family that builds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cl.data.store import Progress
from cl.declared.declaration import Declaration, load
from cl.declared.options import DeclaredOptions
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
        """The declaration after the options are applied."""
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
        """Build the stream; raises `UsageError` for options that do not fit, `DataError` for missing data."""
        from cl.declared.assembly import assemble

        declared = self.chosen(options, argument)
        return assemble(declared, options, order_seed=order_seed, data_seed=data_seed, progress=progress)
