"""Size and cost of a backbone's architecture, known without its weights and kept in the cache.

Building the model takes seconds, because timm and torch._dynamo are imported. A run therefore leaves the facts in the
cache, where `clbench run --dry-run`, which writes nothing, finds them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from importlib import metadata
from pathlib import Path
from typing import Any

from cl import registry
from cl.backbone import hub
from cl.backbone.library import open_clip, timm
from cl.backbone.options import BackboneOptions
from cl.data.sources import find_file
from cl.errors import StorageError, UsageError
from cl.files import write_text
from cl.paths import home, writing_nothing

log = logging.getLogger("clbench.backbone")

CLIP = "open_clip:"  # as `cl.backbone.clip.PREFIX`, whose module imports torch

FOLDER = "backbones"
"""The folder of the cache: one file per architecture and size of its input."""

_KINDS = {
    "parameters": int,
    "forward_flops": int,
    "declared": str,
    "hub": bool,
    "least_batch": int,
    "batch_norms": bool,
    "channels": int,
    "dim": int,
    "size": int,
    "crop_pct": float,
}


def facts(name: str, options: BackboneOptions) -> dict[str, Any]:
    """Parameters, forward FLOPs and features of a backbone, the origin of its weights, the images that a batch needs,
    the channels of an image, its side in pixels, the share of the resized image that is cropped, and whether it has a
    text tower.

    Raises `UsageError` for an unknown backbone or a size that it cannot take, `DataError` for a missing weights file.
    """
    arch, _, source = name.partition("@")
    if source not in ("", "random") and not hub.is_hub(name):
        find_file(source)
    path = _path(arch, options.image_size)
    known = _read(path) if path is not None else None
    if known is None:
        known = _measured(arch, options.image_size)
        if path is not None and not writing_nothing():
            _write(path, arch, known)
    return {
        "name": name,
        "parameters": known["parameters"],
        "forward_flops": known["forward_flops"],
        "weights": source or known["declared"],
        "hub": known["hub"] and not source,
        "least_batch": known["least_batch"],
        "text": arch.startswith(CLIP),
        "batch_norms": known["batch_norms"],
        "channels": known["channels"],
        "dim": known["dim"],
        "size": options.image_size or known["size"],
        "crop_pct": options.crop_pct or known["crop_pct"],
    }


def edge(name: str, options: BackboneOptions) -> int:
    """The shorter side in pixels of the images of which a backbone sees the centre; images of this size are not resized
    again. Raises as `facts`."""
    known = facts(name, options)
    return round(known["size"] / known["crop_pct"])


def keep(name: str, options: BackboneOptions) -> None:
    """Leave the facts of a backbone in the cache, if they are not there."""
    path = _path(name.partition("@")[0], options.image_size)
    if path is not None and _read(path) is None:
        _write(path, name.partition("@")[0], _measured(name.partition("@")[0], options.image_size))


def _path(arch: str, image_size: int) -> Path | None:
    """The file of the cache; None for the backbone of a plugin, which may depend on any package, or of the hub.

    The name is a hash of everything that the facts depend on: the architecture, the code of clbench's backbones and of
    timm, and the versions.
    """
    short = arch.partition(".")[0]
    if hub.is_hub(arch):
        return None
    if short in registry.backbones and registry.backbones.distribution(short).name != registry.DISTRIBUTION:
        return None
    spec = importlib.util.find_spec("timm")
    folders = [Path(__file__).parent, *map(Path, (spec.submodule_search_locations or ()) if spec is not None else ())]
    if arch.startswith(CLIP):
        open_clip()  # raises if it is not installed
    used = ("torch", "timm", "open_clip_torch") if arch.startswith(CLIP) else ("torch", "timm")
    versions = [registry.own_version(), *map(metadata.version, used)]
    key = json.dumps([arch, image_size, versions, [_code(folder) for folder in folders]])
    return home() / FOLDER / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def _code(folder: Path) -> list[Any]:
    """Names, sizes and times of the source files below a folder."""
    files = ((path, path.stat()) for path in sorted(folder.rglob("*.py")))
    return [str(folder), *((path.name, status.st_size, status.st_mtime_ns) for path, status in files)]


def _read(path: Path) -> dict[str, Any] | None:
    """The facts in a file; None if it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
        if {key: type(value) for key, value in found.items()} != _KINDS:
            raise ValueError("it has other values")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s is damaged (%s) and is written again by the next run.", path, error)
        return None
    return dict(found)


def _write(path: Path, arch: str, found: dict[str, Any]) -> None:
    if not arch.startswith(CLIP):
        builder = timm().models.model_entrypoint(arch.partition(".")[0]).__module__
        if not builder.startswith(("timm.", "cl.backbone.")):  # of a plugin, whose code is not in the name of the file
            return
    try:
        write_text(path, json.dumps(found))
    except StorageError as error:
        log.info("The facts of the backbone are not kept: %s", error)


def _measured(arch: str, image_size: int) -> dict[str, Any]:
    """The facts, from one pass of an image without values through a network without weights."""
    import torch

    from cl.backbone.batch_norms import has_batch_norms, least_batch
    from cl.backbone.model import factory, input_size

    if arch.startswith(CLIP):
        return _measured_clip(arch, image_size)
    build = factory(arch if hub.is_hub(arch) else arch.partition(".")[0])
    with torch.device("meta"):
        model = build(pretrained=False, num_classes=0, **input_size(arch, image_size)).eval()
        channels, height, width = timm().data.resolve_data_config({}, model=model)["input_size"]
        image = torch.empty(1, channels, image_size or height, image_size or width)
    flops, dim = _flops(arch, model, image)
    config = None if hub.is_hub(arch) else timm().get_pretrained_cfg(arch)
    declared = config.to_dict() if config is not None else {}
    inputs = timm().data.resolve_data_config({}, **({"pretrained_cfg": declared} if declared else {"model": model}))
    remote = None if declared.get("file") else declared.get("hf_hub_id") or declared.get("url")
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "forward_flops": flops,
        "declared": hub.repository(arch) if hub.is_hub(arch) else str(declared.get("file") or remote or "unknown"),
        "hub": not hub.is_here(arch) if hub.is_hub(arch) else bool(remote),
        "least_batch": least_batch(model, image),
        "batch_norms": has_batch_norms([model]),
        "channels": channels,
        "dim": dim,
        "size": int(inputs["input_size"][-1]),
        "crop_pct": float(inputs["crop_pct"]),
    }


def _measured_clip(arch: str, image_size: int) -> dict[str, Any]:
    """The facts of a CLIP: the parameters of both towers, the FLOPs of the image tower."""
    import torch

    from cl.backbone import clip
    from cl.backbone.batch_norms import has_batch_norms, least_batch

    with torch.device("meta"):
        network, where, remote = clip.about(arch, image_size)
        tower = clip.image_tower(arch, image_size).eval()
        side = image_size or tower.pretrained_cfg["input_size"][-1]
        image = torch.empty(1, 3, side, side)
    flops, dim = _flops(arch, tower, image)
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()) - clip.scales(network),
        "forward_flops": flops,
        "declared": where,
        "hub": remote,
        "least_batch": least_batch(tower, image),
        "batch_norms": has_batch_norms([tower]),
        "channels": 3,
        "dim": dim,
        "size": int(tower.pretrained_cfg["input_size"][-1]),
        "crop_pct": float(timm().data.resolve_data_config({}, model=tower)["crop_pct"]),
    }


def _flops(arch: str, model: Any, image: Any) -> tuple[int, int]:
    """FLOPs of a forward pass of an image, and the number of its features."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            dim = model(image).shape[-1]
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"Backbone {arch} cannot take images of {image.shape[-1]} pixels ({reason}); choose another "
            "backbone.image_size."
        ) from error
    return int(counter.get_total_flops()), int(dim)
