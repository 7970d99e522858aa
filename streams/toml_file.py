"""A stream of your own, declared in a TOML file: `my-stream.toml`."""

from __future__ import annotations

from pathlib import Path

from cl.declared.declaration import Declaration, load
from cl.declared.family import Declared


class TomlFile(Declared):
    """Your own stream: a TOML file that names datasets in the order of learning, and their setting.

    Datasets are packs (.npz), folders of images, or those of other streams; they are brought to one size. The setting
    is class-, task- or domain-incremental. See the page "Declare a stream".
    """

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """What the file says; raises `UsageError` where it cannot be."""
        return load(Path(argument).expanduser())
