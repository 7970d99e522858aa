"""The speed of this machine, by a few training steps."""

from __future__ import annotations

import pytest
import torch

from cl.backbone.options import BackboneOptions
from cl.running import speed


@pytest.mark.usefixtures("isolated")
def test_more_flops_in_the_same_time_are_a_higher_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.05)
    ticks = iter([0.0, 0.01, 0.02, 0.06, 0.1])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(ticks))
    before = torch.get_rng_state()
    found = speed.measured(
        "test_vit@random", BackboneOptions(image_size=32), forward_flops=7, device="cpu", precision="fp32"
    )
    assert found == pytest.approx(3 * 7 * speed.BATCH * 2 / 0.1)  # two steps in 0.1 seconds
    assert torch.equal(torch.get_rng_state(), before)
