"""Options of a backbone, apart from its name (no torch here: the command line reads them)."""

from __future__ import annotations

from dataclasses import dataclass

from cl.options import option

STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mnist": ((0.1307,) * 3, (0.3081,) * 3),
    "fashion-mnist": ((0.2859,) * 3, (0.3530,) * 3),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
"""Mean and std per channel, for inputs in [0, 1]; many CL repositories use `none`. Grey images have equal channels."""


@dataclass(frozen=True)
class BackboneOptions:
    """The input transform of the backbone. The defaults come from its weights."""

    normalize: str = option(
        "weights",
        "mean and std of the inputs; 'weights': as in the training of the weights",
        choices=("weights", *STATISTICS),
    )
    image_size: int = option(0, "input size in pixels; 0: the size of the weights", ge=0)
    crop_pct: float = option(
        0.0, "test images: input size / shorter side after resizing; 0: the value of the weights", ge=0, le=1
    )
    interpolation: str = option(
        "weights", "resizing filter; 'weights': the filter of the weights", choices=("weights", "bicubic", "bilinear")
    )
