"""Archives that only other programs unpack: how they are recognised, and what a user does with them."""

from __future__ import annotations

import shlex
from pathlib import Path

FOREIGN = (".rar", ".7z", ".z")
"""Suffixes of archives that another program unpacks better or alone, in lower case."""
_PROGRAMS = {b"Rar!": ("bsdtar -xf", "unrar x", "7z x"), b"7z\xbc\xaf\x27\x1c": ("bsdtar -xf", "7z x")}
"""How archives begin that clbench cannot unpack, and the programs that can."""


def programs_for(start: bytes) -> tuple[str, ...]:
    """The commands that unpack an archive that begins so, if clbench cannot; else empty."""
    return next((programs for magic, programs in _PROGRAMS.items() if start.startswith(magic)), ())


def how_to_unpack(path: Path, into: str = "") -> str:
    """How a user unpacks an archive that clbench cannot, as a sentence without a full stop; empty for other files.

    `into` is the folder, relative to that of the archive, for its content. Raises `OSError` if it cannot be read.
    """
    with open(path, "rb") as file:
        programs = programs_for(file.read(8))
    if not programs:
        return ""
    folder, up = shlex.quote(str(path.parent / into)), "../" * len(Path(into).parts)
    commands = [f"`{program} {shlex.quote(up + path.name)}`" for program in programs]
    return (
        f"{path} is an archive that clbench does not unpack; unpack it first: `cd {folder}`, then "
        f"{', '.join(commands[:-1])} or {commands[-1]}"
    )
