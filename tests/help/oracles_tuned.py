"""Replays of the methods that tune a pretrained Vision Transformer: adapters of the files, and the steps of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cl.parts.attached import Adapters
from cl.testing import tiny_backbone
from cl.training.batches import Source
from cl.training.fit import FitSpec
from tests.help.oracles import Given, Oracle

PARAMETERS = ("down", "down_bias", "up", "up_bias")
"""The parameters of a set of adapters, as in the files."""


@torch.no_grad()
def fill(adapters: Adapters, values: Mapping[str, Tensor]) -> Adapters:
    """Copy the values of a file into a set of adapters, in place."""
    for name in PARAMETERS:
        getattr(adapters, name).copy_(values[name])
    return adapters


def adapters_of(oracle: Oracle, prefix: str) -> Adapters:
    """A set of adapters with the values `prefix/{down,...}` of a file."""
    values = oracle.group(prefix)
    blocks, rank, dim = values["down"].shape
    like = tiny_backbone(depth=blocks, dim=dim)  # gives the shapes
    return fill(Adapters(like, rank, torch.Generator(), scale=oracle.meta.get("scale", 0.1)), values)


def compare_adapters(oracle: Oracle, kind: str, adapters: Adapters, prefix: str) -> None:
    """Compare every parameter of a set with `prefix/{down,...}`."""
    for name in PARAMETERS:
        oracle.compare(kind, getattr(adapters, name), oracle.tensor(f"{prefix}/{name}"))


def as_many_steps(given: Given, found: dict[tuple[int, str], Any], phase: str) -> Given:
    """The given batches, after a check that the method's own source has as many steps; `found` keeps that source."""

    def source(task: int, spec: FitSpec) -> Source:
        own, chosen = spec.data, given(task, spec)
        found[task, phase] = own
        assert own.steps == chosen.steps, f"{phase}, task {task}: {own.steps} steps per epoch, not {chosen.steps}"
        return chosen

    return source
