"""CLIPs of open_clip as backbones: the image tower gives the features, the text tower encodes captions."""

from __future__ import annotations

import copy
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from cl.backbone.attention import without_fast_path
from cl.backbone.library import open_clip, timm
from cl.backbone.text import TextTower
from cl.backbone.weight_files import refuse_other_files
from cl.data.sources import find_file, is_offline
from cl.errors import DataError, UsageError, did_you_mean
from cl.files import sha256_of

PREFIX = "open_clip:"
_FAULTS = (
    SafetensorError, pickle.UnpicklingError, EOFError, KeyError, ValueError, RuntimeError, OSError, TypeError,
    AssertionError, AttributeError,
)  # fmt: skip
_SHOWN = 200  # characters of a library's message


@dataclass(frozen=True)
class Name:
    """The parts of `open_clip:ARCH.TAG@SOURCE`; tag and source may be empty."""

    arch: str
    tag: str
    source: str

    @classmethod
    def of(cls, name: str) -> Name:
        """The parts of a backbone's name; raises `UsageError` for an unknown architecture or tag."""
        named, _, source = name.removeprefix(PREFIX).partition("@")
        arch, _, tag = named.partition(".")
        known = open_clip().list_models()
        if arch not in known:
            raise UsageError(
                f"open_clip has no architecture {arch!r}; name one as {PREFIX}ARCH.TAG, {PREFIX}ARCH@FILE or "
                f"{PREFIX}ARCH@random.{did_you_mean(arch, known)}"
            )
        if tag and tag not in tags(arch):
            raise UsageError(
                f"open_clip has no weights {tag!r} for {arch}; it has: {', '.join(tags(arch)) or 'none'}."
                f"{did_you_mean(tag, tags(arch))}"
            )
        return cls(arch, tag, source)

    @property
    def file(self) -> str:
        """The file of the weights that is looked for where the name has no source."""
        return f"{self.arch}.{self.tag}.safetensors" if self.tag else f"{self.arch}.safetensors"


class ImageTower(nn.Module):
    """open_clip's image tower with its projection: normalised images to features in the space of captions."""

    def __init__(self, visual: nn.Module, dim: int, pretrained_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.visual, self.num_features, self.pretrained_cfg = visual, dim, pretrained_cfg

    def forward(self, images: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return self.visual(images)
        with without_fast_path():
            return self.visual(images)


@dataclass(frozen=True)
class Clip:
    """The two towers, the hash of the weights of both, and a function that makes an untrained image tower."""

    image: ImageTower
    text: TextTower
    weights: str
    create: Callable[[], nn.Module]


def family(pretrained: bool = False, num_classes: int = 0, **settings: Any) -> nn.Module:
    """A CLIP of the package open_clip: ARCH.TAG for weights of the hub, ARCH@FILE, or ARCH@random (extra `clip`)."""
    raise UsageError(f"name an architecture after {PREFIX}, as in {PREFIX}ViT-B-16.openai.")


def tags(arch: str) -> list[str]:
    """Names of weights on the hub for an architecture."""
    return list(open_clip().list_pretrained_tags_by_model(arch))


def load(name: str, image_size: int, seed: int, untrained: Callable[[Callable[[], nn.Module], int], Any]) -> Clip:
    """Build a CLIP by name; `untrained(create, seed)` draws a network from a seed.

    Raises `UsageError` for an unknown or unsupported one or without open_clip, `DataError` for missing weights.
    """
    parts = Name.of(name)
    create = partial(_network, parts, image_size)
    if parts.source == "random":
        network, weights = untrained(create, seed), ""
    else:
        path = _find(name, parts)
        network, weights = create(), sha256_of(path)
        _fill(network, name, path)
    _resize(network, image_size)
    return Clip(
        _image_tower(network, parts), _text_tower(network, parts), weights, partial(image_tower, name, image_size)
    )


def image_tower(name: str, image_size: int = 0) -> ImageTower:
    """An untrained image tower of a backbone's name; raises `UsageError` as `load` does."""
    parts = Name.of(name)
    network = _network(parts, image_size)
    _resize(network, image_size)
    return _image_tower(network, parts)


def about(name: str, image_size: int = 0) -> tuple[nn.Module, str, bool]:
    """An untrained network of both towers, where its weights are, and whether that is the hub."""
    parts = Name.of(name)
    declared = _declared(parts) if parts.tag else {}
    remote = declared.get("hf_hub") or declared.get("url") or ""
    return _network(parts, image_size), remote.rstrip("/") or parts.file, bool(remote)


def facts(name: str) -> dict[str, Any]:
    """What `clbench info` tells of a CLIP; raises `UsageError` for an unknown one."""
    parts = Name.of(name)
    known, config = _declared(parts), open_clip().get_model_config(parts.arch)
    side = config["vision_cfg"].get("image_size", 224)
    return {
        "Tags": tags(parts.arch),
        "Input": f"3x{side}x{side}",
        "Mean": list(known["mean"]),
        "Std": list(known["std"]),
        "Interpolation": known.get("interpolation") or "bicubic",
        "Weights": known.get("hf_hub") or known.get("url") or parts.file,
    }


def scales(network: Any) -> int:
    """Parameters of a network that are part of no tower: the learned scale and bias of its logits."""
    return sum(each.numel() for each in (network.logit_scale, network.logit_bias) if each is not None)


# ------------------------------------------------------------------------------------------------------ the networks


def _network(parts: Name, image_size: int) -> Any:
    """An untrained CLIP of open_clip; raises `UsageError` for one that cannot be used here."""
    import cl.backbone.micro  # noqa: F401 - registers its network with timm

    library, config = open_clip(), copy.deepcopy(open_clip().get_model_config(parts.arch))
    _refuse(parts.arch, config)
    if image_size:
        config["vision_cfg"]["image_size"] = image_size
    if parts.tag and _declared(parts).get("quick_gelu"):
        config["quick_gelu"] = True
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    kind = library.CustomTextCLIP if config.pop("custom_text", False) else library.CLIP
    return kind(**config).eval()


def _refuse(arch: str, config: dict[str, Any]) -> None:
    text = config["text_cfg"]
    if "hf_model_name" in text or text.get("hf_tokenizer_name"):
        reason = "its text tower or tokenizer is of the package transformers"
    elif "multimodal_cfg" in config or text.get("embed_cls"):
        reason = "it is a captioner (CoCa)"
    elif text.get("pool_type", "argmax") != "argmax":
        reason = "its captions are not read at their end"
    else:
        return
    raise UsageError(f"backbone {PREFIX}{arch} cannot be used: {reason}; choose another, such as {PREFIX}ViT-B-16.")


def _resize(network: Any, image_size: int) -> None:
    """Give a timm image tower its input size, once it has its weights; open_clip's own are built with it."""
    if image_size and hasattr(network.visual, "trunk"):
        network.visual.set_input_size(image_size)


def _image_tower(network: Any, parts: Name) -> ImageTower:
    dim = open_clip().get_model_config(parts.arch)["embed_dim"]
    size = network.visual.image_size
    side = size if isinstance(size, int) else size[0]
    known = _declared(parts)
    config = {
        "input_size": (3, side, side),
        "mean": tuple(known["mean"]),
        "std": tuple(known["std"]),
        "interpolation": known.get("interpolation") or "bicubic",
        "crop_pct": 1.0,
        "tag": parts.tag,
    }
    return ImageTower(network.visual, dim, config)


def _text_tower(network: Any, parts: Name) -> TextTower:
    tower = getattr(network, "text", network)
    return TextTower(tower, open_clip().get_tokenizer(parts.arch))


def _declared(parts: Name) -> dict[str, Any]:
    """What is known of weights: of a tag, else of the first tag of the architecture, else of a timm image tower."""
    import cl.backbone.micro  # noqa: F401 - registers its network with timm

    library, known = open_clip(), tags(parts.arch)
    if parts.tag or known:
        return dict(library.get_pretrained_cfg(parts.arch, parts.tag or known[0]))
    network = library.get_model_config(parts.arch)["vision_cfg"].get("timm_model_name")
    config = timm().get_pretrained_cfg(network) if network else None
    if config is not None:
        return {"mean": config.mean, "std": config.std, "interpolation": config.interpolation}
    return {"mean": library.OPENAI_DATASET_MEAN, "std": library.OPENAI_DATASET_STD}


# ------------------------------------------------------------------------------------------------------- the weights


def _find(name: str, parts: Name) -> Path:
    """The file with the weights of both towers; raises `DataError` if it is nowhere."""
    if parts.source:
        return find_file(parts.source, kind="weights")
    try:
        return find_file(parts.file, kind="weights")
    except DataError as missing:
        if not parts.tag:
            have = tags(parts.arch)
            hub = (
                f", name weights of the hub ({PREFIX}{parts.arch}.TAG with TAG one of {', '.join(have)})"
                if have
                else ""
            )
            raise DataError(f"{str(missing).rstrip('.')}{hub}, or use {PREFIX}{parts.arch}@FILE or @random.") from None
    return _download(name, parts)


def _download(name: str, parts: Name) -> Path:
    library, declared = open_clip(), _declared(parts)
    where = str(declared.get("hf_hub") or declared.get("url")).rstrip("/")
    if is_offline():
        raise DataError(
            f"the weights of backbone {name!r} are not here and CLBENCH_OFFLINE is set; unset it to download them from "
            f"{where}, put {parts.file} in a folder of CLBENCH_DATA_PATH, or use {PREFIX}{parts.arch}.{parts.tag}@FILE."
        )
    try:
        return Path(library.download_pretrained(declared))
    except Exception as error:  # what the hub's client raises depends on its version
        raise DataError(
            f"cannot get the weights of backbone {name!r} from {where} ({_first_line(error)}); check the network, or "
            f"put {parts.file} in a folder of CLBENCH_DATA_PATH."
        ) from error


def _fill(network: nn.Module, name: str, path: Path) -> None:
    """Load a file of both towers; raises `DataError` if it cannot be read or does not fit."""
    refuse_other_files(path)
    try:
        with _quiet():
            open_clip().load_checkpoint(network, os.fspath(path))
    except _FAULTS as error:
        raise DataError(
            f"cannot load the weights of backbone {name!r} from {path} ({_first_line(error)}); give a file of both "
            "towers of this architecture, as safetensors or of torch.save(model.state_dict(), FILE)."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's remarks on position embeddings that it resamples."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:_SHOWN] or type(error).__name__
