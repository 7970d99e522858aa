"""Discrete key-value pairs: random projections, vector quantisation of keys, and values looked up at nearest keys."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TILE = 2**20
"""Scores computed at a time on a CPU: 4 MB fit into its cache, all codebooks at once (1 GB) do not."""

GROUP = 64
"""Scores reduced to their maximum before the argmax: max is vectorised, argmax is not."""

QUERIES = 256
"""Images searched at a time."""


class _Table(NamedTuple):
    """The keys that a search compares; -inf in `offset` excludes a key."""

    keys: Tensor  # [C, key_dim, k]
    offset: Tensor  # [C, k]: -|key|^2 / 2
    place: Tensor | None  # [C, k]: rank within the codebook; None if k = K


class KeyValues(nn.Module):
    """C codebooks of K key-value pairs; an image reads the value of the nearest key of every codebook.

    `projections` [d, C key_dim] are fixed and random, with columns of length 1. `keys` [C, K, key_dim] are quantised
    once (`KeyQuantiser`) and then fixed. `values` [C K, classes] start at 0 and are trained. `hits` [C, K] counts the
    reads of a pair in training. `nearest` returns row numbers of `values`, called `fetched` [N, C].

    Among exact copies of a key the first is found, so rounding cannot choose among them. The state holds only the
    values of pairs with hits: all others are 0.
    """

    def __init__(
        self, dim: int, books: int, pairs: int, key_dim: int, classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.projections: Tensor
        self.keys: Tensor
        self.hits: Tensor
        columns = torch.randn(dim, books * key_dim, generator=generator)
        self.register_buffer("projections", F.normalize(columns, dim=0))
        self.register_buffer("keys", torch.randn(books, pairs, key_dim, generator=generator))
        self.register_buffer("hits", torch.zeros(books, pairs, dtype=torch.long))
        self.values = nn.Parameter(torch.zeros(books * pairs, classes), requires_grad=False)
        self._tables: dict[bool, tuple[tuple[Tensor, int, Tensor, int], _Table]] = {}
        self.eval()

    @property
    def books(self) -> int:
        return len(self.keys)

    @property
    def flops(self) -> float:
        """FLOPs to project one feature and compare it with all keys."""
        books, pairs, key_dim = self.keys.shape
        return 2.0 * books * key_dim * (len(self.projections) + pairs)

    def queries(self, features: Tensor) -> Tensor:
        """Queries [C, N, key_dim] of features [N, d]."""
        flat = features.to(self.keys.dtype) @ self.projections
        return flat.view(len(features), self.books, -1).transpose(0, 1).contiguous()

    @torch.no_grad()
    def nearest(self, features: Tensor, *, used: bool = False) -> Tensor:
        """Row numbers in `values`, int32 [N, C], of the keys nearest to features [N, d]; `used`: with hits only."""
        table = self._table(used)
        first = torch.arange(self.books, device=features.device) * self.keys.shape[1]
        found = []
        for part in features.split(QUERIES):
            chosen = search(self.queries(part), table.keys, table.offset)
            if table.place is not None:
                chosen = table.place.gather(1, chosen)
            found.append((chosen.T + first).int())
        return torch.cat(found) if found else torch.empty(0, self.books, dtype=torch.int32, device=features.device)

    def count(self, fetched: Tensor, times: int = 1) -> None:
        """Add `times` to the hits of each fetched pair."""
        counts = torch.bincount(fetched.flatten(), minlength=self.hits.numel())
        self.hits.add_(times * counts.view_as(self.hits))
        self._tables.pop(True, None)  # out of date

    def read(self, fetched: Tensor) -> Tensor:
        """Logits [N, classes]: the mean of the fetched values. Gradients of `values` are sparse."""
        return F.embedding_bag(fetched, self.values, mode="mean", sparse=True)

    def _table(self, used: bool) -> _Table:
        """The keys of a search, cached until keys or hits change."""
        made_of = (self.keys, self.keys._version, self.hits, self.hits._version)
        if used in self._tables:
            before, table = self._tables[used]
            if before[0] is made_of[0] and before[2] is made_of[2] and before[1::2] == made_of[1::2]:
                return table
        offset = -self.keys.square().sum(-1) / 2
        if used:  # fewer keys to compare: used keys of each codebook first, cut to the largest number of used keys
            offset = offset.masked_fill(self.hits == 0, float("-inf"))
            most = int((self.hits > 0).sum(1).max())
            most = min(-(-most // GROUP) * GROUP, self.hits.shape[1])
            place = (self.hits == 0).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
            keys = self.keys.gather(1, place.unsqueeze(-1).expand(-1, -1, self.keys.shape[2]))
            table = _Table(keys.transpose(1, 2).contiguous(), offset.gather(1, place), place)
        else:
            offset = offset.masked_fill(copies(self.keys), float("-inf"))
            table = _Table(self.keys.transpose(1, 2).contiguous(), offset, None)
        self._tables[used] = (made_of, table)
        return table

    def get_state(self) -> dict[str, Tensor]:
        values = self.values.detach()[self.hits.flatten() > 0]
        return {"projections": self.projections, "keys": self.keys, "hits": self.hits, "values": values}

    @torch.no_grad()
    def set_state(self, state: dict[str, Tensor]) -> None:
        for name in ("projections", "keys", "hits"):
            getattr(self, name).copy_(state[name])
        self.values.zero_()
        self.values[self.hits.flatten() > 0] = state["values"].to(self.values)


def search(queries: Tensor, keys: Tensor, offset: Tensor) -> Tensor:
    """Index [C, N] of the largest q.k + offset, the first on ties; queries [C, N, k], keys [C, k, K].

    With offset -|k|^2 / 2 this is the key at the least Euclidean distance.
    """
    books, count, _ = queries.shape
    tile = TILE if queries.device.type == "cpu" else TILE * 256
    step = max(1, tile // max(1, count * keys.shape[2]))
    found = torch.empty(books, count, dtype=torch.long, device=queries.device)
    for start in range(0, books, step):
        part = slice(start, start + step)
        scores = torch.baddbmm(offset[part].unsqueeze(1), queries[part], keys[part])
        found[part] = _first_maximum(scores)
    return found


def _first_maximum(scores: Tensor) -> Tensor:
    if scores.shape[-1] % GROUP:
        return scores.argmax(-1)
    groups = scores.unflatten(-1, (-1, GROUP))
    best = groups.amax(-1).argmax(-1)
    inside = groups.gather(-2, best[..., None, None].expand(*best.shape, 1, GROUP)).squeeze(-2)
    return best * GROUP + inside.argmax(-1)


def copies(keys: Tensor) -> Tensor:
    """Which keys [C, K, k] are exact copies of an earlier key of their codebook: bool [C, K]."""
    order = keys.square().sum(-1).argsort(dim=1, stable=True)  # copies have equal lengths
    ordered = keys.gather(1, order.unsqueeze(-1).expand_as(keys))
    again = torch.zeros_like(order, dtype=torch.bool)
    again[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]).all(-1)
    return torch.zeros_like(again).scatter_(1, order, again)


class KeyQuantiser:
    """Vector quantisation with exponential moving averages (van den Oord et al. 2017), all codebooks at once.

    Per batch, with n_k queries assigned to key k and S_k their sum: N <- g N + (1-g) n, A <- g A + (1-g) S and
    key = A / N~ with N~ = (N + eps) / (sum N + K eps) sum N. Then every key with N_k < `dead` is replaced by a random
    query of the batch. A and N do not change then, so a replaced key without hits is replaced again.
    """

    def __init__(self, pairs: KeyValues, *, decay: float, dead: float, eps: float = 1e-5) -> None:
        self.pairs, self.decay, self.eps, self.dead = pairs, decay, eps, dead
        self.counts = torch.zeros(pairs.keys.shape[:2], dtype=pairs.keys.dtype, device=pairs.keys.device)
        self.sums = pairs.keys.clone()

    @torch.no_grad()
    def update(self, features: Tensor, generator: torch.Generator) -> None:
        """Move the keys towards features [N, d]; `generator` draws the replacements of dead keys."""
        keys, queries = self.pairs.keys, self.pairs.queries(features)
        books, pairs, key_dim = keys.shape
        nearest = search(queries, keys.transpose(1, 2).contiguous(), -keys.square().sum(-1) / 2)
        rows = (nearest + torch.arange(books, device=keys.device).unsqueeze(1) * pairs).flatten()
        self.counts.mul_(self.decay).view(-1).index_add_(
            0, rows, torch.full_like(rows, 1, dtype=keys.dtype), alpha=1 - self.decay
        )
        self.sums.mul_(self.decay).view(-1, key_dim).index_add_(
            0, rows, queries.reshape(-1, key_dim), alpha=1 - self.decay
        )
        total = self.counts.sum(1, keepdim=True)
        smoothed = (self.counts + self.eps) / (total + pairs * self.eps) * total
        torch.div(self.sums, smoothed.unsqueeze(-1), out=keys)
        book, rank = (self.counts < self.dead).nonzero(as_tuple=True)
        drawn = torch.randint(queries.shape[1], (len(book),), generator=generator).to(keys.device)
        keys[book, rank] = queries[book, drawn]


def clip_sparse_(parameter: Tensor, limit: float) -> None:
    """Scale a sparse gradient to a norm of at most `limit`, like `torch.nn.utils.clip_grad_norm_`."""
    assert parameter.grad is not None
    parameter.grad = parameter.grad.coalesce()
    parameter.grad.mul_((limit / (parameter.grad.values().norm() + 1e-6)).clamp(max=1))


class Overlaps:
    """The same training in dual form: one row of `coefficients` [N, classes] per image instead of the values.

    Logits are linear in the values, and plain SGD changes each row fetched by an image by -rate dL/dlogits / C. So with
    K_ij = (codebooks in which i and j fetch the same pair) / C^2, the logits of image i are its initial logits plus
    sum_j K_ij coefficients_j, where a step adds -rate dL/dlogits to the batch's rows of coefficients. A step costs
    B N classes instead of reading and writing B C rows of values; N^2 numbers are held. `fold` adds the result to the
    values. Exact up to rounding.
    """

    def __init__(self, pairs: KeyValues, fetched: Tensor) -> None:
        self.pairs, self.fetched = pairs, fetched
        with torch.no_grad():
            self.start = pairs.read(fetched)
            self.kernel = common(fetched, self.start.dtype).div_(pairs.books**2)

    def logits(self, coefficients: Tensor, rows: Tensor) -> Tensor:
        """Logits of images `rows`; their gradient is passed unchanged to these rows of `coefficients`."""
        own = coefficients[rows]
        return self.start[rows] + self.kernel[rows] @ coefficients.detach() + (own - own.detach())

    def clip_(self, coefficients: nn.Parameter, rows: Tensor, limit: float) -> None:
        """Clip by the norm that the gradient of the values would have."""
        assert coefficients.grad is not None
        asked = coefficients.grad[rows]
        norm = (asked * (self.kernel[rows[:, None], rows] @ asked)).sum().clamp(min=0).sqrt()
        coefficients.grad.mul_((limit / (norm + 1e-6)).clamp(max=1))

    @torch.no_grad()
    def fold(self, coefficients: Tensor) -> None:
        """Add 1/C of each image's coefficients to the values of the pairs it fetched."""
        books = self.pairs.books
        for rows, add in zip(self.fetched.split(QUERIES), coefficients.detach().split(QUERIES), strict=True):
            self.pairs.values.index_add_(0, rows.flatten(), add.repeat_interleave(books, 0), alpha=1 / books)


def common(fetched: Tensor, dtype: torch.dtype) -> Tensor:
    """The number of codebooks in which two images fetch the same pair, [N, N]; `fetched` is int [N, C]."""
    images, books = fetched.shape
    wide = fetched.to(dtype)  # row numbers below 2^24 are exact in float32
    counts = torch.empty(images, images, dtype=dtype, device=fetched.device)
    for start in range(0, images, QUERIES):  # symmetric: each pair of images is compared once
        part = slice(start, start + QUERIES)
        shared = books - torch.cdist(wide[part], wide[start:], p=0)
        counts[part, start:], counts[start:, part] = shared, shared.T
    return counts
