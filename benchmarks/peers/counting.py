"""Counts of the work that a side does: optimiser steps, and images that pass the trained network before each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.peers.work import Measured


class Counter:
    """Counts into a `Measured`; images only if `in_detail`, because that takes a hook on the network."""

    def __init__(self, into: Measured, in_detail: bool) -> None:
        self.into, self.in_detail = into, in_detail
        self.passed = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        handle = register_optimizer_step_post_hook(self._stepped)
        try:
            yield
        finally:
            handle.remove()
            self._end_task()

    def _end_task(self) -> None:
        """Images that passed after the last step of a task, such as those of EWC's Fisher information."""
        if self.in_detail and self.into.images:
            self.into.images[-1].append(self.passed)
        self.passed = 0

    def begin_task(self) -> None:
        self._end_task()
        self.into.steps.append(0)
        self.into.images.append([])
        self.passed = 0

    def _stepped(self, *_: Any) -> None:
        self.into.steps[-1] += 1
        if self.in_detail:
            self.into.images[-1].append(self.passed)
            self.passed = 0

    def watch(self, network: nn.Module) -> None:
        """Count the images of `network`'s forward passes that build a graph."""
        if not self.in_detail:
            return

        def passing(_: nn.Module, inputs: tuple[Any, ...]) -> None:  # a function: copies of the network keep it
            if torch.is_grad_enabled():
                self.passed += len(inputs[0])

        network.register_forward_pre_hook(passing)


def flat(network: nn.Module) -> Any:
    """All parameters as one array, by order of name."""
    return torch.cat([value.detach().flatten() for _, value in sorted(network.named_parameters())]).numpy().copy()
