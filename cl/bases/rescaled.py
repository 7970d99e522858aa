"""Wrappers that scale by depth how a task changed the backbone: the common part of LiNeS and AMA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cl.bases.wrapper import Wrapper
from cl.parts.merging import depths, interpolated
from cl.strategy import Strategy, StreamInfo, UsageError, View, option
from cl.training import state

ANCHORS = ("previous", "pretrained")


class Rescaled(Wrapper):
    """After each task of the base, each tensor of the backbone becomes anchor + factor * (trained - anchor).

    The factor of a tensor depends on the depth of its block; subclasses give `factors`. The head stays as trained.
    Running statistics of batch norms are scaled with the weights of their block, without another pass over images. What
    the base remembers at the end of a task (such as the centres of a penalty) is of the network before the scaling.
    """

    @dataclass(frozen=True)
    class Options(Wrapper.Options):
        anchor: str = option(
            "previous",
            "the change is measured from the weights before the task, or from the pretrained weights",
            choices=ANCHORS,
        )

    @classmethod
    def check_base(cls, name: str, base: type[Strategy]) -> None:
        super().check_base(name, base)
        if not base.interpolates:
            raise UsageError(
                f"base={name} cannot be interpolated: it predicts with more than trained weights, or does not say "
                "otherwise (interpolates = True); choose a base that fine-tunes, such as finetune."
            )

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        tuned = getattr(self.base, "tuned", None)  # of `cl.bases.fine_tuning`
        if tuned is not None and not tuned():
            raise UsageError(
                f"base={self.options.base} trains nothing of the backbone, so there is no change to scale; set "
                "base.trains=all."
            )
        self._names = [name for name, tensor in self.tensors().items() if tensor.is_floating_point()]
        depths(self._names)  # raises for a network without blocks
        if self.options.anchor == "pretrained":
            self.backbone.keep_pretrained()

    def learn(self, view: View) -> None:
        anchor = self.backbone.pretrained() if self.options.anchor == "pretrained" else state.clone(self.tensors())
        super().learn(view)
        factors = self.factors(view, anchor)
        self.compute("scaling by depth", lambda: self.load(interpolated(anchor, self.tensors(), factors)))

    def factors(self, view: View, anchor: Mapping[str, Tensor]) -> dict[str, float]:
        """The factor of each tensor in `_names`; called after the base has learned the task."""
        raise NotImplementedError

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of the backbone, by name in the model."""
        model = self.backbone.model
        return {**dict(model.named_parameters()), **dict(model.named_buffers())}

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Copy values into the backbone; tensors with these values already are left alone."""
        here = self.tensors()
        for name, value in values.items():
            if not torch.equal(here[name], value):
                here[name].copy_(value)
