"""Gaussians of each class in feature space, estimated once and sampled many times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cl.errors import ContractError, UsageError
from cl.training.batches import Batch, Rng

KINDS = ("full", "diagonal", "centroids")
"""Per class: one Gaussian with covariance [d, d]; one Gaussian with variances [d]; or a mixture of KMeans clusters with
variances."""


class ClassGaussians:
    """Statistics of the classes seen, float32, in the order of their positions; `kind` is one of `KINDS`.

    `mean` is [C, d], and `covariance` [C, d, d] ("full") or [C, d] ("diagonal"). With "centroids", both are [R, d] with
    one row per cluster, up to `centroids` clusters per class; `weight` [R] is the share of the class's images in each
    cluster, and `clusters` the number of clusters per class. Covariances are unbiased, computed in float64, with
    `jitter` added to the diagonal. The statistics of a class never change after its estimation.
    """

    def __init__(
        self,
        dim: int,
        jitter: float = 1e-4,
        kind: str = "full",
        centroids: int = 10,
        device: torch.device | str = "cpu",
    ) -> None:
        if kind not in KINDS:
            raise UsageError(f"unknown kind of class statistics {kind!r}; choose one of {', '.join(KINDS)}.")
        self.jitter, self.kind, self.centroids = jitter, kind, centroids
        self.mean = torch.empty(0, dim, device=device)  # its device is that of a restored state
        self.covariance = torch.empty(0, dim, *([dim] if kind == "full" else []), device=device)
        self.weight = torch.empty(0, device=device)
        self.clusters: list[int] = []
        self._factor = torch.empty(0, dim, dim)  # of the first classes; extended on demand

    def __len__(self) -> int:
        return len(self.clusters) if self.kind == "centroids" else len(self.mean)

    def add(
        self,
        features: Tensor,
        labels: Tensor,
        classes: Sequence[int],
        names: Sequence[str] = (),
        rng: torch.Generator | None = None,
    ) -> None:
        """Estimate the next classes from features [N, d] with position labels [N]; `rng` seeds the clustering.

        Raises `UsageError` for a class with a single image, which has no covariance.
        """
        means: list[Tensor] = []
        covariances: list[Tensor] = []
        shares: list[Tensor] = []
        before = len(self)
        for done, position in enumerate(classes):
            if position != before + done:
                raise ContractError(f"class {position} cannot be estimated after {before + done} classes.")
            x = features[labels == position].cpu().double()  # small, and some accelerators have no float64
            if len(x) < 2:
                name = f" ({names[position]})" if names else ""
                raise UsageError(
                    f"class {position}{name} has {len(x)} training image, too few for a covariance; "
                    "give it at least two images (a larger --limit or stream.train_per_class, or more data)."
                )
            if self.kind == "full":
                means.append(x.mean(0))
                covariances.append(torch.cov(x.T) + self.jitter * torch.eye(x.shape[1], dtype=x.dtype))
                continue
            parts = clusters_of(x, self.centroids, rng) if self.kind == "centroids" else [x]
            means += [part.mean(0) for part in parts]
            covariances += [part.var(0, correction=min(1, len(part) - 1)) + self.jitter for part in parts]
            if self.kind == "centroids":
                shares.append(torch.tensor([len(part) / len(x) for part in parts]))
                self.clusters = [*self.clusters, len(parts)]
        device = features.device
        self.mean = torch.cat([self.mean.to(device), torch.stack(means).float().to(device)])
        self.covariance = torch.cat([self.covariance.to(device), torch.stack(covariances).float().to(device)])
        self.weight = torch.cat([self.weight.to(device), *(share.to(device) for share in shares)])

    def factor(self) -> Tensor:
        """Cholesky factors [C, d, d] of full covariances, each computed once. If the jitter of a class is too small for
        float32, it grows tenfold."""
        new = self.covariance[len(self._factor) :]
        if len(new):
            self._factor = torch.cat([self._factor.to(new.device), self._cholesky(new)])
        return self._factor

    def _cholesky(self, covariance: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        least, eye = max(self.jitter, 1e-6), torch.eye(covariance.shape[-1], device=covariance.device)
        extra = least
        while failed.any():
            if extra > 1e3 * least:
                raise ContractError("a class covariance is not positive definite even with 1000 times the jitter.")
            again = failed.nonzero()[:, 0]
            factor[again], failed[again] = torch.linalg.cholesky_ex(covariance[again] + extra * eye)
            extra *= 10
        return factor

    def sampler(
        self, per_class: int, scale: Tensor | None = None, batch_size: int | None = None, steps: int | None = None
    ) -> GaussianBatches:
        """A data source with `per_class` features of every class, redrawn each epoch.

        `scale` [C] multiplies the means. Batches hold `batch_size` (default `per_class`) features; an epoch has at most
        `steps` batches.
        """
        return GaussianBatches(self, per_class, scale, batch_size or per_class, steps)

    def draw(self, per_class: int, rng: Rng, scale: Tensor | None = None) -> Tensor:
        """Features [C, per_class, d] from N(s_c mu_c, Sigma_c), or from the mixture with means scaled by s_c."""
        mean, deviation = self.mean.unsqueeze(1), None
        if self.kind == "centroids":
            row = self._rows(per_class, rng("cluster"))
            mean, deviation = self.mean[row], self.covariance[row].sqrt()
        if scale is not None:
            mean = mean * scale.to(mean.device).reshape(-1, 1, 1)
        normal = torch.randn(len(self), per_class, self.mean.shape[1], generator=rng("normal")).to(mean.device)
        if self.kind == "full":
            return mean + normal @ self.factor().mT
        return mean + normal * (self.covariance.sqrt().unsqueeze(1) if deviation is None else deviation)

    def _rows(self, per_class: int, generator: torch.Generator) -> Tensor:
        """Row numbers [C, per_class] of clusters, drawn with probability equal to a cluster's share of its class."""
        first, found = 0, []
        for count in self.clusters:
            weight = self.weight[first : first + count].cpu()
            found.append(first + torch.multinomial(weight, per_class, replacement=True, generator=generator))
            first += count
        return torch.stack(found).to(self.mean.device)

    def get_state(self) -> dict[str, Any]:
        found: dict[str, Any] = {"mean": self.mean, "covariance": self.covariance}
        return found | ({"weight": self.weight, "clusters": self.clusters} if self.kind == "centroids" else {})

    def set_state(self, state: dict[str, Any]) -> None:
        device = self.mean.device
        self.mean, self.covariance = state["mean"].to(device), state["covariance"].to(device)
        self.weight, self.clusters = state.get("weight", self.weight).to(device), list(state.get("clusters", ()))
        self._factor = self._factor[:0]


def clusters_of(x: Tensor, count: int, rng: torch.Generator | None = None) -> list[Tensor]:
    """Split the features x [N, d] of one class into up to `count` clusters with scikit-learn's KMeans."""
    from sklearn.cluster import KMeans

    if count >= len(x):
        return list(x.split(1))
    seed = int(torch.randint(2**31 - 1, (), generator=rng)) if rng is not None else 0
    label = torch.as_tensor(KMeans(count, n_init=10, random_state=seed).fit_predict(x.numpy()))
    return [x[label == cluster] for cluster in range(count) if (label == cluster).any()]


class GaussianBatches:
    """Shuffled mini-batches of features drawn for all classes: one GEMM per epoch, with cached factors."""

    def __init__(
        self,
        gaussians: ClassGaussians,
        per_class: int,
        scale: Tensor | None,
        batch_size: int,
        at_most: int | None = None,
    ) -> None:
        self.gaussians, self.per_class, self.scale, self.batch_size = gaussians, per_class, scale, batch_size
        self.at_most = at_most

    @property
    def steps(self) -> int:
        steps = -(-len(self.gaussians) * self.per_class // self.batch_size)
        return steps if self.at_most is None else min(steps, self.at_most)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        x = self.gaussians.draw(self.per_class, rng, self.scale).flatten(0, 1)
        y = torch.arange(len(self.gaussians), device=x.device).repeat_interleave(self.per_class)
        order = torch.randperm(len(y), generator=rng("order")).to(x.device)
        for step in range(start, self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield Batch(x[index], y[index])
