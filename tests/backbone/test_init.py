"""The names of the package are imported on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cl.backbone
from cl.backbone.model import Backbone, load


def test_the_package_gives_the_names_of_its_modules() -> None:
    assert (cl.backbone.Backbone, cl.backbone.load) == (Backbone, load)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        cl.backbone.other  # noqa: B018


def test_options_and_the_cache_are_read_without_torch() -> None:
    code = (
        "import sys, cl.backbone.options, cl.backbone.facts, cl.housekeeping.cache; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
