"""DomainNet-Sketch in little."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.domainnet import write_domain
from tools.miniatures.pen import Pen


def write(folder: Path, pen: Pen) -> None:
    """sketch.zip and its two lists."""
    write_domain(folder, pen, "sketch")


def write_with_splits(folder: Path, pen: Pen) -> None:
    """The archive unpacked, and the lists in splits/, as ports have them."""
    write_domain(folder, pen, "sketch", unpacked=True)
