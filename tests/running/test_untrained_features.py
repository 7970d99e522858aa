"""Features of a network that nobody trained are said, whatever the method, and only then."""

from __future__ import annotations

from typing import Any

import pytest

import cl
from cl.progress.base import Observer

pytestmark = pytest.mark.usefixtures("isolated")
WORDS = "those of an untrained network"


def warned(strategy: str, backbone: str = "test_vit@random", **options: Any) -> list[str]:
    """The warnings of a record about untrained features."""
    given = {"stream.tasks": 5, "backbone.image_size": 32, "stream.test_per_class": 1, **options}
    record = cl.run(strategy, "split-digits", backbone, limit=2, max_tasks=2, options=given).record
    return [text for text in record["measurement"]["warnings"] if WORDS in text]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("simplecil", {}),
        ("ranpac", {"width": 32, "tuning": "none", "ridge": 1.0}),
        ("linear-probe", {"epochs": 1}),
        ("input-tuning", {"epochs": 1, "augment": "none"}),
    ],
)
def test_frozen_random_weights_are_said(strategy: str, options: dict[str, Any]) -> None:
    (text,) = warned(strategy, **options)
    assert text.startswith(f"{strategy} trains no weight of test_vit@random, and these weights are random, so")


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("finetune", {"epochs": 1}),
        ("aper", {"epochs": 1, "tuning": "finetune"}),
        ("hypernetwork", {"epochs": 1, "limit": 10**7}),
        ("finetune-adapter", {"epochs": 1}),
    ],
)
def test_networks_that_are_trained_are_not(strategy: str, options: dict[str, Any]) -> None:
    assert warned(strategy, **options) == []


def test_pretrained_weights_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warned("simplecil", "vit_micro_patch4_32.tinyimagenet_distill") == []


def test_it_is_told_once_and_after_the_first_task(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(Observer, "message", lambda self, text: heard.append(text))
    assert warned("simplecil") and len([text for text in heard if WORDS in text]) == 1
