"""CPE-CLIP against neuraptic/cpe-clip @9309631: both towers in all modes, and two sessions of training.

The weights of the CLIP are drawn as the file says, so that they need not be stored.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.backbone.clip import ImageTower
from cl.backbone.library import open_clip
from cl.backbone.text import TextTower
from cl.backbone.transform import Transform
from cl.parts.attached.clip_prompts import MODES, ClipPrompts
from cl.strategies.cpe_clip import CpeClip
from tests.help.oracles import Oracle, half, identity, losses_of, replay, rows

ORACLE = Oracle("cpe-clip-a")
NORMS = ("ln_1.weight", "ln_2.weight", "ln_pre.weight", "ln_post.weight", "ln_final.weight")
PROJECTIONS = ("text_projection", "visual.proj")


def drawn(place: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of the CLIP, as `weights` of the file describes it."""
    values = np.random.RandomState(100 + place).standard_normal(shape)
    if name.endswith(NORMS):
        values = 1 + 0.1 * values
    elif name.endswith("bias"):
        values = 0.1 * values
    elif "embedding" in name:
        values = 0.3 * values
    elif name in PROJECTIONS:
        values = 0.02 * values
    else:
        values = values / np.sqrt(shape[-1] if len(shape) == 2 else np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def tokenize(captions: list[str], context_length: int) -> Tensor:
    """The tokens of the file for "class3."; what follows the end is cut by the tower."""
    return ORACLE.tensor("tokens")[[int(caption.removeprefix("class").removesuffix(".")) for caption in captions]]


class InDouble(Transform):
    """Gives images in float64."""

    def __call__(self, pixels: Tensor) -> Tensor:
        return super().__call__(pixels).double()


@cache
def backbone(dtype: torch.dtype = torch.float32) -> Backbone:
    meta = ORACLE.meta["clip"]
    network = open_clip().CLIP(**meta).eval()
    names = sorted(name for name, _ in network.named_parameters() if name != "logit_scale")
    own = dict(network.named_parameters())
    with torch.no_grad():
        for place, name in enumerate(names):
            own[name].copy_(drawn(place, name, tuple(own[name].shape)))
    tower = ImageTower(network.to(dtype).visual, meta["embed_dim"], {})
    transform = half(8) if dtype == torch.float32 else InDouble(**asdict(half(8)))
    return Backbone(tower, transform, identity("clip", meta["embed_dim"]), text=TextTower(network, tokenize))


def initialise(prompts: ClipPrompts) -> None:
    """The initial prompts and map of the file."""
    shapes = ((prompts.values, 0.05), (prompts.map.weight, 0.04), (prompts.map.bias, 0.04))
    with torch.no_grad():
        for seed, (parameter, bound) in enumerate(shapes, 1):
            values = np.random.RandomState(seed).uniform(-bound, bound, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


@pytest.mark.parametrize("image_mode", MODES)
@pytest.mark.parametrize("text_mode", MODES)
def test_logits_and_gradients_in_every_mode(text_mode: str, image_mode: str) -> None:
    clip, case = backbone(), f"{text_mode}/{image_mode}"
    assert clip.text is not None
    prompts = ClipPrompts(clip, ORACLE.meta["length"], 12, torch.Generator())
    assert len(prompts.values) == ORACLE.meta["depth"] == 3, "no more layers than the towers have"
    initialise(prompts)
    prompts.requires_grad_(True)
    texts = prompts.texts(clip, clip.text.tokens([f"class{k}." for k in range(5)]), text_mode)
    images = prompts.images(clip, ORACLE.images("pixels/0")[:4], image_mode)
    logits = 100 * F.normalize(images, dim=-1) @ texts.T
    ORACLE.compare("forward", logits, ORACLE.tensor(f"{case}/logits"), "logits")
    logits[:, :3].square().mean().backward()
    for name, parameter in (("g", prompts.values), ("map", prompts.map.weight), ("bias", prompts.map.bias)):
        theirs = ORACLE.tensor(f"{case}/{name}")
        assert parameter.grad is not None
        ours = parameter.grad[tuple(slice(size) for size in theirs.shape)]
        ORACLE.compare("forward", ours / theirs.abs().max(), theirs / theirs.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_sessions_end_in_the_weights_of_the_code(dtype: torch.dtype) -> None:
    """Final logits are held to the file in float64 alone.

    They react to the last bits of trained prompts. With PyTorch 2.4, two trainings of ours, in float32 and in float64,
    end with logits 3.5e-4 apart and prompts 1.5e-6; with 2.14 it is 2.2e-4, as other kernels round in another order. In
    float64 both releases are 1.3e-4 from the file, which was computed in float32.
    """
    rates: list[float] = []

    class Noting(CpeClip):
        def _shrink(self, step: Any, share: float) -> None:
            rates.append(step.optimizer.param_groups[0]["lr"])
            super()._shrink(step, share)

    def begin(learner: CpeClip, task: int, phase: str) -> None:
        if task == 0:
            initialise(learner.prompts)
            learner.prompts.to(dtype)

    def after(learner: CpeClip, task: int) -> None:
        for name, parameter in (
            ("g", learner.prompts.values), ("map", learner.prompts.map.weight), ("bias", learner.prompts.map.bias),
        ):  # fmt: skip
            theirs = ORACLE.tensor(f"final/{task}/{name}")
            ORACLE.compare("training", parameter[tuple(slice(size) for size in theirs.shape)], theirs)
        pixels = torch.cat([ORACLE.tensor("pixels/0"), ORACLE.tensor("pixels/1")])
        ours, theirs = learner.predict_images(pixels), ORACLE.tensor(f"final/{task}/logits")
        assert ours.dtype == dtype
        if dtype == torch.float64:
            ORACLE.compare("training", ours, theirs, "logits")
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-4)  # a wrong option shows by far more

    learner = replay(
        Noting, ORACLE, {"prompts": rows(ORACLE)}, begin=begin, after=after, backbone=backbone(dtype),
        epochs=ORACLE.meta["epochs"], session_epochs=ORACLE.meta["epochs"], length=ORACLE.meta["length"],
    )  # fmt: skip
    assert rates == pytest.approx(ORACLE.arrays["rates"].tolist(), rel=1e-9)
    for task in range(2):
        ORACLE.compare("loss", losses_of(learner)[task, "prompts"], ORACLE.tensor(f"loss/{task}"), "loss")
    assert learner.backbone.is_pristine
