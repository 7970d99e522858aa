"""Any timm model as a feature extractor with an identity.

`load("arch.tag")`, `load("arch@file")`, `load("arch@random")`. Both names are imported on first use, so that the
options of a backbone can be read without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl.backbone.model import Backbone, load

__all__ = ["Backbone", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cl.backbone' has no attribute {name!r}")
    from cl.backbone import model

    globals()[name] = value = getattr(model, name)
    return value
