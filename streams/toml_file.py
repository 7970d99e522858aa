"""Your own stream, declared in a TOML file: `my-stream.toml`."""

from __future__ import annotations

from pathlib import Path

from cl.data import reads
from cl.declared.declaration import Declaration, load
from cl.declared.family import Declared


class TomlFile(Declared):
    """Your own stream: a TOML file that names datasets in the order of learning, and their setting.

    Datasets are packs (.npz), folders of images, official files, datasets of the Hugging Face hub or of other streams;
    all are resized to one size. The setting is class-, task- or domain-incremental. See the page "Declare a stream".
    """

    @classmethod
    def declaration(cls, argument: str = "") -> Declaration:
        """The declaration in the file; raises `UsageError` if it is invalid."""
        reads.note_written(Path(argument))
        reads.note(Path(argument).expanduser())
        return load(Path(argument).expanduser())
