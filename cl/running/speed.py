"""The speed of this machine for a backbone, by a few training steps of it."""

from __future__ import annotations

import time

BATCH = 16
SECONDS = 1.5
"""How long is measured, after a first step that warms up."""


def measured(name: str, options: object, *, forward_flops: int, device: str, precision: str) -> float:
    """FLOP/s of training steps, forward and backward, with batches of 16 random images; takes about two seconds."""
    import torch

    from cl.backbone.devices import arithmetic, prepare
    from cl.backbone.stand_in import load_here
    from cl.running.build import pick_device
    from cl.training.generators import generators_untouched

    where = torch.device(pick_device(device))
    with generators_untouched():
        prepare(where, precision)
        backbone = load_here(name, options, precision=precision).to(where).train()  # type: ignore[arg-type]
        backbone.requires_grad_(True)
        size = backbone.transform.size
        images = torch.rand(BATCH, backbone.transform.channels, size, size, device=where)

        def step() -> None:
            backbone.zero_grad()
            backbone(images).float().square().mean().backward()
            if where.type == "cuda":
                torch.cuda.synchronize(where)

        with torch.enable_grad(), arithmetic(where, "tf32" if backbone.tf32 else "fp32"):
            step()
            begun, steps = time.perf_counter(), 0
            while time.perf_counter() - begun < SECONDS:
                step()
                steps += 1
            return 3 * forward_flops * BATCH * steps / (time.perf_counter() - begun)
