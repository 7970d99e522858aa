"""PACS, domain-incremental."""

from __future__ import annotations

from pathlib import Path

from cl.declared.family import Declared


class PACS(Declared):
    """PACS (seven classes) in four domains, one after the other: photos, art paintings, cartoons and sketches.

    Name: PACS

    Tasks share their labels: every task has all classes, and predictions are over all of them. 64 pixels, at most 250
    training and 60 test images per class and domain, and our own split, so numbers are not comparable with the
    literature.
    """

    file = Path(__file__).with_name("declared") / "pacs.toml"
