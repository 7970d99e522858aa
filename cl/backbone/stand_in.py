"""A backbone to look at where its weights are not here: the same network, with untrained weights."""

from __future__ import annotations

from cl.backbone import clip, hub
from cl.backbone.model import Backbone, factory, load
from cl.backbone.options import BackboneOptions
from cl.backbone.weight_files import find_weights
from cl.data.sources import find_file
from cl.errors import DataError


def load_here(name: str, options: BackboneOptions | None = None, *, precision: str = "fp32", seed: int = 0) -> Backbone:
    """As `cl.backbone.load`, on the CPU, but downloads nothing.

    Weights of the hub that are in no folder of CLBENCH_DATA_PATH are drawn from `seed`; the backbone keeps its name.
    """
    if _is_here(name):
        return load(name, options, precision=precision, seed=seed)
    backbone = load(f"{name}@random", options, precision=precision, seed=seed)
    backbone.identity = {**backbone.identity, "name": name}
    return backbone


def _is_here(name: str) -> bool:
    """Whether a backbone can be loaded without a download, or names a file of weights."""
    arch, _, source = name.partition("@")
    if source:
        return True
    if hub.is_hub(name):
        return hub.is_here(name)
    if not name.startswith(clip.PREFIX):
        factory(name)  # registers a network of ours with timm, which then knows its weights
        return find_weights(arch, "") is not None
    parts = clip.Name.of(name)
    try:
        find_file(parts.file, kind="weights")
    except DataError:
        return not parts.tag  # there are no such weights on the hub, and `load` says so
    return True
