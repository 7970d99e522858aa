"""PACS, domain-incremental."""

from __future__ import annotations

from pathlib import Path

from cl.declared.family import Declared


class PACS(Declared):
    """PACS (seven classes) as photos, art paintings, cartoons and sketches, one domain after the other.

    Labels are shared: every task holds all classes, and answers are chosen among all of them. 64 pixels, at most 250
    training and 60 test images of a class and domain, a split of our own: numbers are not comparable with the
    literature.
    """

    file = Path(__file__).with_name("declared") / "pacs.toml"
