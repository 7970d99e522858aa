"""Devices that are not here: what their makers publish, and how long a grid of independent runs takes on several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cl.errors import UsageError

UTILISATION = 0.3
"""Assumed share of a published peak that training reaches; large networks with large batches reach about this."""

STEP_SECONDS = 0.005
"""Assumed least time of a training step on a GPU, for its some hundred kernels are started one by one; small networks
are bound by this and not by FLOPs."""

START_SECONDS = 5.0
"""Assumed time in which a process starts, imports torch and timm, and builds its network. On one core of an AMD EPYC we
measured 4 to 5 seconds of CPU time."""


@dataclass(frozen=True)
class DeviceModel:
    """Published peaks in TFLOP/s, dense (without structured sparsity); 0: not supported."""

    bf16: float
    tf32: float
    fp32: float


# Dense peaks of the makers' data sheets. Where a sheet gives the rate with sparsity alone, it is halved.
#   A100: NVIDIA A100 Tensor Core GPU data sheet (June 2021). H100-SXM: NVIDIA H100 data sheet. H200: NVIDIA H200 data
#   sheet. RTX-4090: NVIDIA Ada GPU Architecture whitepaper, appendix A (bf16 with fp32 accumulation). L4: NVIDIA L4
#   data sheet. T4: NVIDIA T4 data sheet (no bf16, no TF32).
MODELS = {
    "A100-40": DeviceModel(bf16=312, tf32=156, fp32=19.5),
    "A100-80": DeviceModel(bf16=312, tf32=156, fp32=19.5),
    "H100-SXM": DeviceModel(bf16=989, tf32=494, fp32=67),
    "H200": DeviceModel(bf16=989, tf32=494, fp32=67),
    "L4": DeviceModel(bf16=121, tf32=60, fp32=30.3),
    "RTX-4090": DeviceModel(bf16=165.2, tf32=82.6, fp32=82.6),
    "T4": DeviceModel(bf16=0, tf32=0, fp32=8.1),
}


def device_models(names: str) -> list[str]:
    """The names in a list with commas, in the spelling of `MODELS`; raises `UsageError` for an unknown one."""
    spelled = {name.lower(): name for name in MODELS}
    found = [each.strip() for each in names.split(",") if each.strip()]
    for each in found:
        if each.lower() not in spelled:
            raise UsageError(f"--device-model {each} is not known; choose among {', '.join(MODELS)}.")
    return list(dict.fromkeys(spelled[each.lower()] for each in found))


def peak(name: str, precision: str) -> float:
    """FLOP/s of a device in a precision; raises `UsageError` if it does not compute in it."""
    tera: float = getattr(MODELS[name], precision if precision in ("bf16", "tf32") else "fp32")
    if not tera:
        raise UsageError(
            f"A {name} does not compute in {precision}; choose --precision fp32 or another --device-model."
        )
    return tera * 1e12


def makespan(seconds: Sequence[float], devices: int) -> float:
    """The time of independent runs on several devices, at best: the mean load, or the longest run if that is more."""
    return max(sum(seconds) / devices, max(seconds, default=0.0))
