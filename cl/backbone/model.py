"""A timm model, or the towers of a CLIP, with the identity of its weights, its input transform, and a record of changed
tensors."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl import registry
from cl.backbone import clip, hub
from cl.backbone.attention import explicit, slow_to_differentiate
from cl.backbone.batch_norms import has_batch_norms, least_batch
from cl.backbone.compiled import Compiled, layout
from cl.backbone.devices import channels_last
from cl.backbone.inference import CpuInference, available
from cl.backbone.library import timm
from cl.backbone.options import STATISTICS, BackboneOptions
from cl.backbone.origins import PRETRAINING
from cl.backbone.text import TextTower
from cl.backbone.transform import Transform
from cl.backbone.weight_files import build_pretrained, find_weights
from cl.errors import ContractError, UsageError, did_you_mean
from cl.files import sha256_of
from cl.random import derive


class Backbone(nn.Module):
    """A timm model without its classifier: normalised images [B, C, s, s] to float32 features [B, dim].

    C is 3, or 1 for a network of grey images. The state holds only tensors that changed since loading. Changes are
    detected by PyTorch's version counters, replaced or attached modules by their identity. After `keep_pretrained`,
    `reset` undoes training.

    For a CLIP the model is the image tower, and `text` the frozen text tower; `text` is None for all others.
    """

    def __init__(
        self,
        model: nn.Module,
        transform: Transform,
        identity: dict[str, Any],
        create: Callable[[], nn.Module] | None = None,
        text: TextTower | None = None,
    ) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self._towers = () if text is None else (text,)  # in a tuple: its weights are none of the parameters
        self.transform = transform
        self.identity = identity
        self._create = create
        self.dim = _dim(model)
        self.precision = torch.float32
        self.tf32 = False  # whether a run rounds the inputs of float32 products, see `devices.arithmetic`
        self._digest: tuple[tuple, str] = ((), "")
        self._digested: list[Tensor] = []
        self._kept: dict[str, Tensor] = {}
        self._inference = CpuInference()
        self._compiled: list[Compiled] = []
        self._parameters_loaded = {name: (p, p._version) for name, p in self.model.named_parameters()}
        # Batch norm updates its statistics without bumping their version counters: compare values
        self._buffers_loaded = {name: buffer.detach().clone() for name, buffer in self.model.named_buffers()}

    def __getstate__(self) -> dict[str, Any]:
        # Copies (teachers, earlier tasks) take neither packed weights nor graphs, which belong to these parameters
        return {**vars(self), "_inference": CpuInference(), "_compiled": []}

    @property
    def text(self) -> TextTower | None:
        """The text tower of a CLIP. It moves with the backbone; `parameters` and the state are without it."""
        return self._towers[0] if self._towers else None

    def _apply(self, fn: Any, recurse: bool = True) -> Backbone:
        # After a move to a device or dtype, pristine tensors count as pristine, and changed ones can still be reset
        changed = dict(self._changed())
        before = dict(self.model.named_parameters())
        super()._apply(fn, recurse)
        for tower in self._towers:
            tower._apply(fn, recurse)
        for name, parameter in self.model.named_parameters():
            loaded, version = self._parameters_loaded.get(name, (None, -1))
            if loaded is before.get(name):
                version = -1 if name in changed else parameter._version
                self._parameters_loaded[name] = (parameter, version)
        self._buffers_loaded = {name: fn(buffer) for name, buffer in self._buffers_loaded.items()}
        self._kept = {name: fn(tensor) for name, tensor in self._kept.items()}
        return self

    def _changed(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors that differ from the loaded weights."""
        for name, parameter in self.model.named_parameters():
            loaded, version = self._parameters_loaded.get(name, (None, -1))
            if parameter is not loaded or parameter._version != version:
                yield name, parameter
        for name, buffer in self.model.named_buffers():
            before = self._buffers_loaded.get(name)
            if before is None or not torch.equal(before, buffer):
                yield name, buffer

    # ------------------------------------------------------------------------------------------------- features

    def forward(self, images: Tensor) -> Tensor:
        """Features after the final norm and pooling (ViT: the CLS token)."""
        autocast = torch.autocast(images.device.type, self.precision, enabled=self.precision != torch.float32)
        compiled = next((each for each in self._compiled if each.covers(images)), None)
        with autocast, self._kernels(images):
            features = self.model(images) if compiled is None else compiled(images)
        return features if features.dtype == torch.float64 else features.float()

    def compile_passes(self) -> None:
        """Compile the forward and backward passes at their first use, as long as the network keeps its parts.

        Call it after `setup`, and `check_compiler` before.
        """
        torch.compiler.reset()  # graphs of other networks of this process would fill the cache of this one
        self._compiled = [Compiled(self.model)]  # in a list, so that it is no part of the module

    def _kernels(self, images: Tensor) -> AbstractContextManager[Any]:
        """The choice of kernels for a pass on this device, with or without gradients."""
        if _infers(images):
            return self._inference
        if self.precision != torch.bfloat16 or not torch.is_grad_enabled():
            return nullcontext()
        return explicit(slow_to_differentiate([self.model], images.device))

    @property
    def ran_compiled(self) -> bool:
        """Whether a compiled pass has been used."""
        return any(each.used for each in self._compiled)

    @property
    def is_pristine(self) -> bool:
        """Whether every tensor is as loaded."""
        return next(self._changed(), None) is None

    @property
    def key(self) -> str:
        """Identity of the function: weights, changed tensors, transform and dtype; the key of memoised encodings."""
        changed = list(self._changed())
        versions = tuple(
            (name, id(tensor), tensor._version if isinstance(tensor, nn.Parameter) else tensor.tolist())
            for name, tensor in changed
        )
        if self._digest[0] != versions or not self._digest[1]:
            digest = hashlib.sha256()
            for name, tensor in changed:
                digest.update(name.encode())
                digest.update(_bytes(tensor))
            self._digest = (versions, digest.hexdigest()[:16] if changed else "pristine")
            self._digested = [tensor for _, tensor in changed]  # held, so that no other tensor gets their ids
        dtype = "tf32" if self.tf32 else str(self.precision).removeprefix("torch.")
        dtype += ":compiled" if self._compiled else ""
        name, weights = self.identity["name"], self.identity["weights_sha256"][:16]
        return f"{name}:{weights}:{self._digest[1]}:{self.transform.key}:{dtype}"

    @property
    def layout(self) -> Hashable:
        """The network without its values: an image costs the same FLOPs in backbones of equal layout.

        None for a network with hooks or replaced methods, which may do more work.
        """
        return layout(self.model)

    @property
    def least_batch(self) -> int:
        """Images that a training batch needs, 1 or 2; see `least_batch`."""
        like = next(self.model.parameters())
        return least_batch(self.model, like.new_zeros(1, self.transform.channels, *[self.transform.size] * 2))

    @property
    def batch_norms(self) -> bool:
        """Whether the network has batch norms."""
        return has_batch_norms([self.model])

    # --------------------------------------------------------------------------------------------------- weights

    def keep_pretrained(self) -> None:
        """Keep a copy of every parameter for `reset` and `pretrained`; call it in `setup`.

        A replaced final norm is kept with its current values. The copy doubles the memory of the weights; a second call
        does nothing. Raises `ContractError` if a loaded tensor has changed already.
        """
        if self._kept:
            return
        for name, parameter in self._changed():
            if name in self._buffers_loaded or self._parameters_loaded.get(name, (None, -1))[0] is parameter:
                raise ContractError(f"{name} of the backbone was trained already; call keep_pretrained() in setup().")
        named = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        self._kept = {
            name: tensor.detach().clone() for name, tensor in named.items() if name not in self._buffers_loaded
        }

    def pretrained(self) -> dict[str, Tensor]:
        """The pretrained parameters and buffers by name in the model, also after training.

        Do not change them. Calls `keep_pretrained` and raises its `ContractError`.
        """
        self.keep_pretrained()
        return {**self._kept, **self._buffers_loaded}

    def reset(self) -> None:
        """Restore the pretrained values of parameters and buffers; the backbone is then pristine again.

        A replaced final norm gets the values it had at `keep_pretrained`. Raises `ContractError` if tensors changed
        and `keep_pretrained` was not called before.
        """
        changed = dict(self._changed())
        if changed and not self._kept:
            raise ContractError("the pretrained weights are not kept; call backbone.keep_pretrained() in setup().")
        pretrained = self.pretrained() if changed else {}
        if unknown := sorted(set(changed) - set(pretrained)):
            raise ContractError(f"{unknown[0]} joined the backbone after keep_pretrained(); attach it before.")
        with torch.no_grad():
            for name, tensor in changed.items():
                tensor.copy_(pretrained[name])
                if self._parameters_loaded.get(name, (None, -1))[0] is tensor:
                    self._parameters_loaded[name] = (tensor, tensor._version)

    # ---------------------------------------------------------------------------------------------------- parts

    def replace_final_norm(self, eps: float = 1e-5) -> None:
        """Replace the final LayerNorm by a new one (weight 1, bias 0), as SLCA's reference code does."""
        for name in ("norm", "fc_norm"):
            if isinstance(getattr(self.model, name, None), nn.LayerNorm):
                old = getattr(self.model, name)
                fresh = nn.LayerNorm(old.normalized_shape, eps=eps).to(old.weight.device, old.weight.dtype)
                setattr(self.model, name, fresh.requires_grad_(False))
                return
        raise UsageError(
            f"backbone {self.identity['name']} has no final LayerNorm to replace; "
            "choose a Vision Transformer, or set fresh_norm=false."
        )

    def redraw(self, seed: int) -> None:
        """Replace all tensors by untrained ones, drawn from a seed like those of `arch@random`.

        Raises `UsageError` if the backbone was built without `create`, a function that makes an untrained model.
        """
        if self._create is None:
            raise UsageError(f"backbone {self.identity['name']} cannot be redrawn; load it by a timm name.")
        fresh = _untrained(self._create, seed)
        self.set_state({**dict(fresh.named_parameters()), **dict(fresh.named_buffers())})

    # ---------------------------------------------------------------------------------------------------- state

    def get_state(self) -> dict[str, Tensor]:
        """The tensors that changed since loading."""
        return {name: tensor.detach() for name, tensor in self._changed()}

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Load changed tensors; raises `ContractError` if the structure does not fit."""
        here = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        if unknown := set(state) - set(here):
            raise ContractError(f"the state has backbone tensors that setup() did not create: {sorted(unknown)[:3]}.")
        with torch.no_grad():
            for name, value in state.items():
                here[name].copy_(value)


def load(
    name: str,
    options: BackboneOptions | None = None,
    *,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    seed: int = 0,
) -> Backbone:
    """Load a backbone by name.

    `arch.tag` is a timm model with pretrained weights (embedded, from the search path, or from the hub), `arch@file` a
    model with a local weights file (a path, or a name on `CLBENCH_DATA_PATH`), `arch@random` an untrained model (drawn
    from `seed`). `open_clip:arch.tag` and so on is a CLIP of open_clip, `hf-hub:org/name` a timm model of the hub.
    Raises `UsageError` for an unknown model, `DataError` for weights that are missing or do not fit.
    """
    options = options or BackboneOptions()
    arch, _, source = name.partition("@")
    model: nn.Module
    text: TextTower | None = None
    if name.startswith(clip.PREFIX):
        towers = clip.load(name, options.image_size, derive(seed, "backbone", arch), _untrained)
        model, text, create, weights = towers.image, towers.text.to(device), towers.create, towers.weights
    else:
        build = functools.partial(factory(name), num_classes=0, **input_size(arch, options.image_size))
        create = functools.partial(build, pretrained=False)
        if source == "random":
            model, weights = _untrained(create, derive(seed, "backbone", arch)), ""
        else:
            path = find_weights(arch, source)
            model = build_pretrained(name, arch, path, build)
            weights = sha256_of(path) if path else _digest(model)
    model = model.to(device)
    if channels_last(model, torch.device(device)):
        model = model.to(memory_format=torch.channels_last)
    data = timm().data.resolve_data_config({}, model=model)
    tag = arch.partition(".")[2] or (getattr(model, "pretrained_cfg", None) or {}).get("tag") or ""
    mean, std = (data["mean"], data["std"]) if options.normalize == "weights" else STATISTICS[options.normalize]
    if data["input_size"][0] == 1:  # a network of grey images, which takes the mean over the colours
        mean, std = ((sum(values) / len(values),) for values in (mean, std))
    transform = Transform(
        size=options.image_size or data["input_size"][-1],
        mean=tuple(mean),
        std=tuple(std),
        interpolation=data["interpolation"] if options.interpolation == "weights" else options.interpolation,
        crop_pct=options.crop_pct or float(data["crop_pct"]),
    )
    identity = {
        "name": name,
        "weights_sha256": weights or f"random-{seed}",
        "parameters": sum(p.numel() for tower in (model, text) if tower is not None for p in tower.parameters()),
        "dim": _dim(model),
        "input": {
            "size": transform.size, "mean": list(transform.mean), "std": list(transform.std),
            "interpolation": transform.interpolation, "crop_pct": transform.crop_pct,
        },
        "pretraining": "none" if source == "random" else _pretraining(name if text is not None else tag + source),
    }  # fmt: skip
    backbone = Backbone(model, transform, identity, create, text)
    if precision == "bf16":
        backbone.precision = torch.bfloat16
        if text is not None:
            text.precision = torch.bfloat16
    backbone.tf32 = precision == "tf32"
    return backbone


def _infers(images: Tensor) -> bool:
    """Whether a forward pass needs no gradients and runs on a CPU that has faster layers for it."""
    return images.device.type == "cpu" and type(images) is Tensor and not torch.is_grad_enabled() and available()


def _untrained(create: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A new model whose weights depend on the seed alone; the global generators are not affected."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        return create()


def _dim(model: nn.Module) -> int:
    """Width of the features; an attribute of all timm models, but not of `nn.Module`."""
    return int(cast(Any, model).num_features)


def _pretraining(text: str) -> str:
    """The description of the training data for a tag or a file name."""
    return next((about for mark, about in PRETRAINING.items() if mark in text), "unknown")


def input_size(arch: str, image_size: int) -> dict[str, Any]:
    """Arguments for a timm model to accept images of another size (0: its own); empty for convolutional models."""
    config = timm().get_pretrained_cfg(hub.read(arch).architecture if hub.is_hub(arch) else arch)
    fixed = config is not None and config.fixed_input_size
    return {"img_size": image_size} if image_size and fixed else {}


def factory(name: str) -> Callable[..., nn.Module]:
    """The function that builds the model of a backbone: `build(pretrained=False, num_classes=0, ...)`.

    It is registered in the entry-point group `clbench.backbones` under the name without tag and source; otherwise it is
    timm's. The model has `num_features`, and optionally `pretrained_cfg`, which describes its inputs. A tag is passed
    to the function as `pretrained_cfg`. Raises `UsageError` for an unknown name.
    """
    if name.startswith(clip.PREFIX):
        return functools.partial(_clip_tower, name)
    if hub.is_hub(name):
        return hub.read(name).factory()
    arch, tag = name.partition("@")[0].partition(".")[::2]
    if arch in registry.backbones:
        build: Callable[..., nn.Module] = registry.backbones.get(arch)
        return functools.partial(build, pretrained_cfg=tag) if tag else build
    if not timm().is_model(arch):
        known = [*registry.backbones, *timm().list_models(pretrained=True), *timm().list_models()]
        raise UsageError(
            f"unknown backbone {name!r}; any timm model works, as arch.tag, arch@file or arch@random."
            f"{did_you_mean(name.partition('@')[0], known)}"
        )
    return functools.partial(timm().create_model, f"{arch}.{tag}" if tag else arch)


def _clip_tower(name: str, pretrained: bool = False, num_classes: int = 0, image_size: int = 0) -> nn.Module:
    return clip.image_tower(name, image_size)


def _digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
