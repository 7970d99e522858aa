"""OPCM: task vectors merged one by one, each projected away from the leading directions of those before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cl.bases.merged import Merging
from cl.parts.merging import Weights, linear_weights, norm, opcm_step
from cl.strategy import StreamInfo, option


class OPCM(Merging):
    """Orthogonal-projection continual merging: every task is fine-tuned alone, then merged without data.

    Name: OPCM
    Paper: Tang, Yang, Shen, Luo, Hu, Du, Tao. Merging Models on the Fly Without Retraining: A Sequential
        Approach to Scalable Continual Model Merging. NeurIPS 2025, arXiv 2501.09522.
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network, from the pretrained weights, for every task.
    Stores: the merged task vector (the size of the network), its scale, and the mean norm of all task vectors.
    Cost: one singular value decomposition per linear layer and task; one forward pass per test image.
    Differences from the paper: heads as in `cl.bases.merged`, because there is no text encoder. The scale is the norm
        of the merged vector over the mean norm of the task vectors, as in the authors' code; the paper divides by the
        norm of the weights themselves. Query, key and value are projected separately, as in the code's CLIP, though
        timm fuses them. A layer that no task has changed has no directions, so a vector is merged whole; the code
        removes the diagonal in an arbitrary basis. `share=1` removes all directions; the code then finds none and
        removes the diagonal alone. Parameters outside of leaf modules (a class token) are merged; the code keeps those
        of the first task. Running statistics of batch norms are merged and count in the norms; the code counts those of
        the first task. `legacy` leaves the diagonal in, as the code first released did: it wrote zeros into a copy.
    """

    @dataclass(frozen=True)
    class Options(Merging.Options):
        share: float = option(
            0.5, "alpha: leading directions are those up to this share of the singular values; 1: all", ge=0, le=1
        )
        legacy: bool = option(False, "keep the diagonal of the projected vector, like the code first released")

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        return ("legacy",) if options.legacy else ()

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.scale, self.length = 1.0, 0.0  # lambda; mean norm of the task vectors

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        self.length += (norm(vector) - self.length) / self.head_count
        if not self.merged.values:
            return vector
        merged, self.scale = opcm_step(
            self.merged.values,
            vector,
            scale=self.scale,
            length=self.length,
            matrices=linear_weights(self.backbone.model),
            share=self.options.share,
            diagonal=not self.options.legacy,
        )
        return merged

    def report(self) -> dict[str, float]:
        """The scale lambda and the mean norm of the task vectors."""
        return {"lambda": self.scale, "mean_norm": self.length}
