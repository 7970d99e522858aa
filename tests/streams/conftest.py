"""Streams of NEVIS'22 are built from miniatures that are written once."""

from __future__ import annotations

from tests.help.nevis import built  # noqa: F401
