"""Any timm model as a feature extractor with an identity.

`load("arch.tag")`, `load("arch@file")`, `load("arch@random")`.
"""

from cl.backbone.model import Backbone, load

__all__ = ["Backbone", "load"]
