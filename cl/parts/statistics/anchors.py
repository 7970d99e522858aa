"""Quadratic penalties that keep parameters near earlier values: sum_j w_j (theta_j - a_j)^2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]
Term = dict[str, Any]
"""{"centres": tensors a by name, "weights": tensors w by name or None for ones, "constant": number}."""


class Anchors:
    """A sum of quadratic terms over named parameters, each with its centres and weights.

    Parameters that no term names are free, including parameters that appear later (rows of a grown head). Each term
    stores one tensor per named parameter for the centre and one for the weights.
    """

    stores = "statistics"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self.terms: list[Term] = []

    def __len__(self) -> int:
        return len(self.terms)

    def hold(self, centres: Tensors, weights: Tensors | None = None) -> None:
        """Replace all terms by one with these centres; weights default to 1."""
        self.terms = []
        self.add(centres, weights)

    def add(self, centres: Tensors, weights: Tensors | None = None) -> None:
        """Add a term with these centres. Tensors are not copied, so they must not be trained."""
        self.terms.append(
            {"centres": dict(centres), "weights": None if weights is None else dict(weights), "constant": 0.0}
        )

    def merge(self) -> None:
        """Merge all terms into one with the same value everywhere and the same gradient.

        w1 (x - a1)^2 + w2 (x - a2)^2 = w (x - a)^2 + k with w = w1 + w2, a = a1 + (a2 - a1) w2 / w and
        k = w1 w2 / w (a1 - a2)^2. Completed squares are accurate near the centres; w x^2 - 2 b x + c would be a small
        difference of large numbers there.
        """
        while len(self.terms) > 1:
            second, first = self.terms.pop(), self.terms.pop()
            self.terms.append(_merged(first, second))

    def penalty(self, parameters: Tensors) -> Tensor | None:
        """The sum of all terms, a scalar with a gradient; None without terms. Raises `KeyError` for a missing name."""
        if not self.terms:
            return None
        total = torch.zeros((), device=self._device)
        for term in self.terms:
            for name, centre in term["centres"].items():
                square = (parameters[name] - centre).square()
                total = total + (square if term["weights"] is None else term["weights"][name] * square).sum()
            total = total + term["constant"]
        return total

    def get_state(self) -> dict[str, Any]:
        return {"terms": [dict(term) for term in self.terms]}

    def set_state(self, value: dict[str, Any]) -> None:
        self.terms = [
            {
                "centres": self._here(term["centres"]),
                "weights": None if term["weights"] is None else self._here(term["weights"]),
                "constant": term["constant"],
            }
            for term in value["terms"]
        ]

    def _here(self, tensors: Tensors) -> dict[str, Tensor]:
        return {name: tensor.to(self._device) for name, tensor in tensors.items()}


@torch.no_grad()
def _merged(one: Term, two: Term) -> Term:
    centres, weights = dict(one["centres"]), _weights(one)
    constant = one["constant"] + two["constant"]
    for name, weight in _weights(two).items():
        centre = two["centres"][name]
        if name in centres:
            first, held, added = centres[name], weights[name], weight
            weight = held + added
            share = torch.where(weight > 0, added / weight, 1.0)  # of the second term, which wins if both weights are 0
            constant += float((held * share * (centre - first).square()).sum())
            centre = first + share * (centre - first)
        centres[name], weights[name] = centre, weight
    return {"centres": centres, "weights": weights, "constant": constant}


def _weights(term: Term) -> dict[str, Tensor]:
    if term["weights"] is not None:
        return dict(term["weights"])
    return {name: torch.ones_like(centre) for name, centre in term["centres"].items()}
