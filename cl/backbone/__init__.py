"""Any timm model as a feature extractor with an identity.

`load("arch.tag")`, `load("arch@file")`, `load("arch@random")`.
"""

import warnings

with warnings.catch_warnings():  # timm's dependencies ask notebooks to install widgets; ours need none
    warnings.filterwarnings("ignore", message="IProgress not found")
    from cl.backbone.model import Backbone, load

__all__ = ["Backbone", "load"]
