"""Distillation of a large Vision Transformer into a small one: the recipe of the embedded weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from timm.layers import PatchDropout, resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone.model import Backbone
from cl.backbone.transform import Transform
from cl.data.store import ImageStore
from cl.errors import NonFiniteLoss
from cl.random import derive
from cl.training.augment import _cut, _random_boxes
from cl.training.encodings import Encodings
from cl.training.generators import generator
from cl.training.optim import Cosine, When


@dataclass(frozen=True)
class Settings:
    """The recipe of the embedded weights. The budget is `minutes` of training if given, else `passes`."""

    passes: int = 9
    minutes: float | None = None
    batch_size: int = 256
    lr: float = 1e-3
    warmup: int = 300
    weight_decay: float = 0.05  # of matrices
    patch_dropout: float = 0.5  # for the first `dropout_share` of the budget
    dropout_share: float = 0.75
    area: tuple[float, float] = (0.5, 1.0)  # of random resized crops
    seed: int = 0


class View:
    """The teacher on one fixed view of an image: odd views are mirrored, each further pair has a 1/8 smaller crop."""

    def __init__(self, teacher: Backbone, number: int) -> None:
        self.teacher, self.mirrored, self.dim = teacher, number % 2 == 1, teacher.dim
        self.transform = replace(teacher.transform, crop_pct=1 - number // 2 / 8)
        self.is_pristine = teacher.is_pristine
        self.key = f"{teacher.key}:{self.transform.key}:{'mirrored' if self.mirrored else 'plain'}"

    def __call__(self, images: Tensor) -> Tensor:
        return self.teacher(images.flip(-1) if self.mirrored else images)


def teacher_targets(
    teacher: Backbone, stores: Sequence[ImageStore], views: int, encodings: Encodings, device: torch.device
) -> Tensor:
    """Standardised teacher features [N, dim], averaged over views; cached on disk.

    With a squared error, the mean of the views is the same target as a random view per step, without the noise.
    """
    total = torch.zeros(sum(map(len, stores)), teacher.dim)
    for view in (View(teacher, number) for number in range(views)):
        parts = [encodings.get(view, store, np.arange(len(store)), device).cpu() for store in stores]
        total += torch.cat(parts) / views
        encodings.flush()
    return (total - total.mean(0)) / total.std(0).clamp_min(1e-6)


def initialise(student: Any, teacher: Any) -> bool:
    """Initialise a ViT with evenly spaced blocks of a deeper one; return False, without changes, if shapes do not fit.

    The position embedding is resampled. The patch embedding is averaged down to smaller patches and scaled by the ratio
    of the areas, so that a flat patch is embedded as before.
    """
    own, other = student.state_dict(), teacher.state_dict()
    depth, deeper = (len(getattr(model, "blocks", ())) for model in (student, teacher))
    if not 1 < depth <= deeper or student.blocks[0].attn.num_heads != teacher.blocks[0].attn.num_heads:
        return False
    start = {}
    for name, value in own.items():
        parts = name.split(".")
        if parts[0] == "blocks":
            parts[1] = str(int(parts[1]) * (deeper - 1) // (depth - 1))
        given = other.get(".".join(parts))
        if given is not None and name == "pos_embed":
            prefix = student.num_prefix_tokens
            given = resample_abs_pos_embed(given, student.patch_embed.grid_size, num_prefix_tokens=prefix)
        elif given is not None and name == "patch_embed.proj.weight":
            ratio = given[0, 0].numel() / value[0, 0].numel()
            given = F.interpolate(given, value.shape[-2:], mode="area") * ratio
        if given is None or given.shape != value.shape:
            return False
        start[name] = given
    student.load_state_dict(start)
    return True


def distil(
    student: Backbone, pixels: Tensor, labels: Tensor, targets: Tensor, classes: int, settings: Settings,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[nn.Linear, list[float]]:  # fmt: skip
    """Train the student to predict the targets with one linear map, and the classes with another.

    `pixels` uint8 [N, 3, s, s], `labels` [N] and `targets` [N, d] must be on the device of the computation. Returns the
    classifier and the loss of every step; the student is frozen at the end. Raises `NonFiniteLoss`. The weights are
    determined by the seed (with `minutes` the schedule follows the clock, so they depend on the machine).
    """
    devices = [pixels.device] if pixels.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(settings.seed, "distil"))
        heads = {"project": nn.Linear(student.dim, targets.shape[1]), "classify": nn.Linear(student.dim, classes)}
        model = nn.ModuleDict({"student": student, **heads}).to(pixels.device)
        dropout = student.model.patch_drop = PatchDropout(settings.patch_dropout, num_prefix_tokens=1)
        model.train().requires_grad_(True)
        losses = _optimise(student, model, dropout, pixels, labels, targets, settings, say)
    student.model.patch_drop = nn.Identity()
    model.eval().requires_grad_(False)
    return heads["classify"], losses


def _optimise(
    student: Backbone, model: nn.ModuleDict, dropout: PatchDropout, pixels: Tensor, labels: Tensor, targets: Tensor,
    s: Settings, say: Callable[[str], None],
) -> list[float]:  # fmt: skip
    named = list(model.named_parameters())
    matrices = [p for name, p in named if name.endswith("weight") and p.ndim > 1]
    others = [p for name, p in named if not (name.endswith("weight") and p.ndim > 1)]
    groups = [{"params": matrices, "weight_decay": s.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=s.lr, betas=(0.9, 0.98), foreach=True)
    cosine, size = Cosine(1e-6 / s.lr, per_step=True), min(s.batch_size, len(labels))
    per_pass, clock, share, losses = len(labels) // size, time.monotonic(), 0.0, list[Tensor]()
    while share < 1:
        number, step = divmod(len(losses), per_pass)
        if step == 0:
            order = torch.randperm(len(labels), generator=generator(s.seed, "order", number)).to(pixels.device)
        if share >= s.dropout_share:
            dropout.prob = 0.0
        for group in optimizer.param_groups:
            group["lr"] = s.lr * min(1, (len(losses) + 1) / s.warmup) * cosine(When(0, round(share * 1e6), 1, 10**6))
        index = order[step * size : (step + 1) * size]
        rng = generator(s.seed, "augment", len(losses))
        features = student(_augment(pixels[index], student.transform, s.area, rng))
        loss = F.mse_loss(model["project"](features), targets[index])
        loss = loss + 0.5 * F.cross_entropy(model["classify"](features), labels[index], label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
        minutes = (time.monotonic() - clock) / 60
        share = minutes / s.minutes if s.minutes is not None else len(losses) / (s.passes * per_pass)
        if len(losses) % 50 == 0 or share >= 1:  # each check waits for the device
            mean = float(torch.stack(losses[-50:]).mean())
            if not np.isfinite(mean):
                raise NonFiniteLoss(f"the loss became {mean} at step {len(losses)}; lower --lr and run again.")
            rate = len(losses) * size / (60 * minutes)
            say(f"step {len(losses)}, pass {number + 1}, {share:.0%}: loss {mean:.4f}, {rate:,.0f} images/s")
    return torch.stack(losses).tolist()


def _augment(pixels: Tensor, transform: Transform, area: tuple[float, float], rng: torch.Generator) -> Tensor:
    """Reflection padding by 1/8, a random resized crop (area relative to the unpadded image), random mirroring."""
    padded = F.pad(pixels.float(), [pixels.shape[-1] // 8] * 4, mode="reflect")
    side = padded.shape[-1]
    share = (pixels.shape[-1] / side) ** 2
    boxes = _random_boxes(len(pixels), side, side, (area[0] * share, area[1] * share), rng)
    mirror = torch.rand(len(pixels), generator=rng) < 0.5
    cut = _cut(padded, boxes.to(padded.device), mirror.to(padded.device), transform)
    return transform.normalise(cut.clamp_(0, 255))
