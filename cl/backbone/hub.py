"""Backbones of the Hugging Face hub with a configuration of timm: `hf-hub:ORG/NAME`.

The repository says the architecture, its arguments and the input statistics (config.json), and holds the weights. Files
come from a local copy of it, or through the library huggingface_hub. Weights are read without running code in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from cl.backbone.library import timm
from cl.data import reads
from cl.data.sources import candidates, is_offline, missing
from cl.errors import DataError, MissingData, UsageError

PREFIX = "hf-hub:"

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of the weights, the preferred one first."""

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_NOT_OURS = (
    *("num_classes", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"),
    *("cache_dir", "scriptable", "exportable", "no_jit"),
)
"""Arguments of timm that a repository must not set: other weights, files of this machine, another kind of network."""

_OF_WEIGHTS = ("architecture", "url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load")
"""Parts of timm's configuration that would name other weights."""


@dataclass(frozen=True)
class HubModel:
    """What the configuration of a repository says: timm's architecture, its arguments, and the inputs."""

    architecture: str
    arguments: dict[str, Any]
    inputs: dict[str, Any]

    def factory(self) -> Callable[..., Any]:
        """The function that builds the network, without weights unless they are given."""
        return partial(timm().create_model, self.architecture, pretrained_cfg=dict(self.inputs), **self.arguments)


def is_hub(name: str) -> bool:
    """Whether a backbone's name is one of the hub."""
    return name.startswith(PREFIX)


def repository(name: str) -> str:
    """The repository ORG/NAME in a backbone's name; raises `UsageError` for another form."""
    found, _, source = name.removeprefix(PREFIX).partition("@")
    if not _NAME.fullmatch(found) or source not in ("", "random"):
        raise UsageError(
            f"A backbone of the hub is {PREFIX}ORG/NAME, or {PREFIX}ORG/NAME@random without its weights, not {name!r}."
        )
    return found


def read(name: str) -> HubModel:
    """The configuration of a backbone; raises `UsageError` for one that timm does not know, `DataError` if it cannot be
    read or is not here and may not be downloaded."""
    path = _file(name, (CONFIG,))
    try:
        content = json.loads(path.read_bytes())
        inputs = dict(content.get("pretrained_cfg", content))
        architecture = str(content.get("architecture") or "")
        arguments = {key: value for key, value in content.get("model_args", {}).items() if key not in _NOT_OURS}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"Cannot read {path} ({error}); get the repository again.") from error
    if not timm().is_model(architecture):
        kind = f"the architecture {architecture!r}" if architecture else "no architecture of timm"
        raise UsageError(
            f"{name} has {kind}, which timm {timm().__version__} does not build; choose a repository of a timm model."
        )
    cfg = timm().models.PretrainedCfg
    known = {field.name for field in fields(cfg)} - set(_OF_WEIGHTS)
    kept = {key: tuple(v) if isinstance(v, list) else v for key, v in inputs.items() if key in known}
    return HubModel(architecture, arguments, kept)


def weights(name: str) -> Path:
    """The file of the weights; raises as `read`."""
    return _file(name, WEIGHTS)


def is_here(name: str) -> bool:
    """Whether nothing has to be downloaded."""
    try:
        return all(_local(repository(name), files) is not None for files in ((CONFIG,), WEIGHTS))
    except UsageError:
        return False


def _file(name: str, names: tuple[str, ...]) -> Path:
    """The first of some files of a repository: of a local copy, of the library's cache, or downloaded."""
    wanted = repository(name)
    found = _local(wanted, names)
    if found is None and is_offline():
        raise missing(f"The backbone {name}", [f"{wanted}/{each}" for each in names])
    found = found if found is not None else _downloaded(name, wanted, names)
    reads.note(found)
    return found


def _local(wanted: str, names: tuple[str, ...]) -> Path | None:
    for folder in (wanted, wanted.rpartition("/")[2]):
        for each in names:
            if (found := next(candidates((f"{folder}/{each}",), ("weights",)), None)) is not None:
                return found[0]
    for each in names:
        try:
            return Path(_library().hf_hub_download(wanted, each, local_files_only=True))
        except (OSError, ValueError):  # its errors for files that are not in its cache
            continue
    return None


def _downloaded(name: str, wanted: str, names: tuple[str, ...]) -> Path:
    library = _library()
    reason = ""
    for each in names:
        try:
            return Path(library.hf_hub_download(wanted, each))
        except library.utils.EntryNotFoundError as error:
            reason = str(error)
        except Exception as error:  # it raises errors of its own and of the libraries that it uses
            reason = str(error) or type(error).__name__
            break
    first = next(iter(reason.strip().splitlines()), "")[:200]
    raise MissingData(
        f"Cannot download {' or '.join(names)} of {name} ({first}); check the name, the network and your token, or put "
        f"a copy of the repository into the folder {wanted} of a folder of CLBENCH_DATA_PATH."
    )


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:  # timm needs it
        raise UsageError(
            "Backbones of the hub need the package huggingface_hub, which is not installed here; run: pip install "
            "huggingface_hub."
        ) from error
    return huggingface_hub
