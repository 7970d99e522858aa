"""The order of runs: of runs that need the same features one goes first, so that the others do not wait for it.

Features of a frozen backbone are computed once and kept (`cl.training.encodings`): of several processes that need the
same ones, one computes them while the others wait. A slot that waits does nothing, so a run whose features another run
is computing is put off as long as there is other work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

from cl.plan.plan import Plan

Numbered = tuple[int, Plan]


def shared_features(plan: Plan) -> Hashable:
    """What runs have in common that may share features: their images and their backbone."""
    return (plan.stream, repr(plan.stream_options), plan.backbone, repr(plan.backbone_options), plan.precision)


class Waiting:
    """Plans that wait for a slot, each with its index."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._groups: OrderedDict[Hashable, list[Numbered]] = OrderedDict()
        for index, plan in enumerate(plans):
            self._groups.setdefault(shared_features(plan), []).append((index, plan))
        self._computing: dict[Hashable, int] = {}  # the run that computes the features of a group
        self._ready: set[Hashable] = set()

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def take(self) -> Numbered:
        """The next plan to start: in the given order, but those whose features are being computed come last."""
        open_groups = [key for key, plans in self._groups.items() if plans]
        free = [key for key in open_groups if key not in self._computing] or open_groups
        key = min(free, key=lambda each: self._groups[each][0][0])
        index, plan = self._groups[key].pop(0)
        if key not in self._ready:
            self._computing.setdefault(key, index)
        return index, plan

    def ended(self, index: int, plan: Plan, *, well: bool) -> None:
        """A run has ended: its features are there, or, if it failed, another run has to compute them."""
        key = shared_features(plan)
        if self._computing.get(key) == index:
            del self._computing[key]
            if well:
                self._ready.add(key)

    def give_up(self) -> None:
        """Start no other plan."""
        self._groups.clear()
