"""One Gaussian per class in feature space, estimated once and sampled many times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cl.data.batches import Batch, Rng
from cl.errors import ContractError, UsageError


class ClassGaussians:
    """Means [C, d] and covariances [C, d, d] of the classes seen, float32, in the order of their positions.

    Estimated in float64 with the unbiased covariance; `jitter` is added to the diagonal. Classes, once estimated,
    are never touched again.
    """

    def __init__(self, dim: int, jitter: float = 1e-4) -> None:
        self.jitter = jitter
        self.mean = torch.empty(0, dim)
        self.covariance = torch.empty(0, dim, dim)
        self._factor: Tensor | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def add(self, features: Tensor, labels: Tensor, classes: Sequence[int], names: Sequence[str] = ()) -> None:
        """Estimate the next classes from features [N, d] with position labels [N].

        Raises `UsageError` for a class with one image: it has no covariance.
        """
        means: list[Tensor] = []
        covariances: list[Tensor] = []
        for position in classes:
            if position != len(self) + len(means):
                raise ContractError(f"class {position} cannot be estimated after {len(self) + len(means)} classes.")
            x = features[labels == position].cpu().double()  # small, and some accelerators have no float64
            if len(x) < 2:
                name = f" ({names[position]})" if names else ""
                raise UsageError(
                    f"class {position}{name} has {len(x)} training image, too few for a covariance; "
                    "give it at least two images (a larger --limit or stream.train_per_class, or more data)."
                )
            means.append(x.mean(0))
            covariances.append(torch.cov(x.T) + self.jitter * torch.eye(x.shape[1], dtype=x.dtype))
        device = features.device
        self.mean = torch.cat([self.mean.to(device), torch.stack(means).float().to(device)])
        self.covariance = torch.cat([self.covariance.to(device), torch.stack(covariances).float().to(device)])
        self._factor = None

    def factor(self) -> Tensor:
        """Cholesky factors [C, d, d], computed once; the jitter grows tenfold where float32 needs more."""
        if self._factor is None:
            covariance, extra = self.covariance, 0.0
            eye = torch.eye(covariance.shape[-1], device=covariance.device)
            while True:
                self._factor, failed = torch.linalg.cholesky_ex(covariance + extra * eye)
                if not failed.any():
                    break
                extra = max(10 * extra, self.jitter)
                if extra > 1e3 * max(self.jitter, 1e-6):
                    raise ContractError("a class covariance is not positive definite even with 1000 times the jitter.")
        return self._factor

    def sampler(self, per_class: int, scale: Tensor | None = None, batch_size: int | None = None) -> GaussianBatches:
        """A data source that draws `per_class` features of every class, anew each epoch.

        `scale` [C] multiplies the means; batches hold `batch_size` (default `per_class`) features.
        """
        return GaussianBatches(self, per_class, scale, batch_size or per_class)

    def get_state(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "covariance": self.covariance}

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.mean = state["mean"].to(self.mean.device)
        self.covariance = state["covariance"].to(self.mean.device)
        self._factor = None


class GaussianBatches:
    """Shuffled mini-batches of fresh draws from N(s_c mu_c, Sigma_c): one GEMM per epoch with cached factors."""

    def __init__(self, gaussians: ClassGaussians, per_class: int, scale: Tensor | None, batch_size: int) -> None:
        self.gaussians, self.per_class, self.scale, self.batch_size = gaussians, per_class, scale, batch_size

    @property
    def steps(self) -> int:
        return -(-len(self.gaussians) * self.per_class // self.batch_size)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        factor, mean = self.gaussians.factor(), self.gaussians.mean
        if self.scale is not None:
            mean = mean * self.scale.to(mean.device).unsqueeze(1)
        count, dim = mean.shape
        normal = torch.randn(count, self.per_class, dim, generator=rng("normal")).to(mean.device)
        x = (mean.unsqueeze(1) + normal @ factor.mT).flatten(0, 1)
        y = torch.arange(count, device=mean.device).repeat_interleave(self.per_class)
        order = torch.randperm(len(y), generator=rng("order")).to(mean.device)
        for step in range(start, self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield Batch(x[index], y[index])
