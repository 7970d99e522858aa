"""Adapters, SSF and visual prompts against features computed by the official modules.

Adapters: LAMDA-PILOT @2647455, backbone/vit_mos.py. SSF and VPT: RanPAC @012927f, petl/.
"""

from __future__ import annotations

import pytest
import torch

from cl.parts.attached import ScaleShift, VisualPrompts
from tests.help.oracles import Oracle, names
from tests.help.oracles_tuned import adapters_of


@pytest.mark.parametrize("name", names("forward-adapter"))
def test_features_with_adapters(name: str) -> None:
    oracle = Oracle(name)
    adapters = adapters_of(oracle, "adapter")
    assert adapters.scale == oracle.meta["scale"]
    oracle.compare("forward", adapters(oracle.backbone(), oracle.images()), oracle.tensor("features"))


@pytest.mark.parametrize("name", names("forward-ssf"))
def test_features_with_a_scale_and_a_shift_after_every_operation(name: str) -> None:
    oracle = Oracle(name)
    backbone = oracle.backbone()
    part = ScaleShift(backbone, torch.Generator())
    assert set(part.names) == set(oracle.group("scale"))
    with torch.no_grad():
        for site, scale, shift in zip(part.names, part.scales, part.shifts, strict=True):
            scale.copy_(oracle.tensor(f"scale/{site}"))
            shift.copy_(oracle.tensor(f"shift/{site}"))
    oracle.compare("forward", part(backbone, oracle.images()), oracle.tensor("features"))


@pytest.mark.parametrize("depth", ["deep", "shallow"])
@pytest.mark.parametrize("name", names("forward-vpt"))
def test_features_with_visual_prompts(name: str, depth: str) -> None:
    oracle = Oracle(name)
    backbone = oracle.backbone()
    part = VisualPrompts(backbone, oracle.meta["tokens"], deep=depth == "deep")
    with torch.no_grad():
        part.tokens.copy_(oracle.tensor(f"{depth}/tokens"))
    oracle.compare("forward", part(backbone, oracle.images()), oracle.tensor(f"{depth}/features"))
