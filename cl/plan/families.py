"""What helps to choose a strategy: its family, and facts that its docstring declares in sections.

`Family:` one of `FAMILIES`, or a plugin's own word. `Networks:` the kinds of backbones that it can learn with, some of
them with an option that the error of a refusal names; `random` if their weights may be random ones. `Gradients:` what
they reach in the backbone: `none`, `parts` (prompts, adapters, or one adaptation to the first task) or `whole`.
`Images: kept` if it keeps training images with its default options. No section is part of the code hash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cl import registry
from cl.errors import UsageError

FAMILIES = {
    "baselines": "fine-tuning and probes without anything against forgetting, bounds, answers without training",
    "frozen features": "class means, covariances and closed-form heads on features that never or once change",
    "prompts": "a frozen network; prompts or another change of its input are trained",
    "adapters": "a frozen network; adapters, low-rank updates or norms are trained",
    "alignment": "slow fine-tuning of the whole network, then heads aligned on Gaussians of features",
    "regularisation": "a penalty or shorter steps where a weight matters to earlier tasks",
    "distillation": "the answers or features of the old model are targets for new images",
    "replay": "training images of earlier tasks are kept and trained on again",
    "merging": "weights of several trainings or moments are averaged or added",
    "isolation": "each task has its own weights, mask or network; the task is told at test time",
    "few-shot": "a large first task, then classes from a few images each",
    "meta-learning": "features learned so that a head can learn online later",
    "editing": "corrections of a finished model",
}
"""Families of strategies in the order in which they are listed, with what their methods have in common."""

OTHER = "other"
"""The family of a strategy that declares none."""

NETWORKS = ("vit", "cnn", "mlp", "clip")
"""Kinds of backbones: Vision Transformers of timm, convolutional networks, perceptrons, CLIPs of open_clip."""

RANDOM = "random"

GRADIENTS = ("none", "parts", "whole")
"""What gradients reach in the backbone, the cheapest first."""

MEMORY = ("none", "images")
"""May training images of earlier tasks be kept?"""

WEIGHTS = ("pretrained", "random")

COMPUTE = ("features", "parts", "whole")
"""What there is compute for, one for each of `GRADIENTS`: features, gradients of parts, or of the whole backbone."""

_SECTION = r"^ *{}: +(\S.*)$"


@dataclass(frozen=True)
class Facts:
    """What a docstring declares; None for what it leaves out."""

    family: str = OTHER
    networks: tuple[str, ...] | None = None
    random: bool | None = None
    gradients: str | None = None
    keeps_images: bool | None = None


def facts(strategy: str) -> Facts:
    """The declared facts of a strategy; raises `UsageError` for an unknown one, and for a word that means nothing."""
    return facts_of(registry.strategies.docstring(strategy), strategy)


def facts_of(docstring: str, strategy: str) -> Facts:
    """As `facts`, of a docstring; `strategy` is its name in an error."""
    networks = _words(docstring, "Networks")
    gradients = _words(docstring, "Gradients")
    images = _words(docstring, "Images")
    for section, words, known in (
        ("Networks", networks, (*NETWORKS, RANDOM)),
        ("Gradients", gradients, GRADIENTS),
        ("Images", images, ("kept",)),
    ):
        for word in words:
            if word not in known:
                raise UsageError(
                    f"The docstring of {strategy} says '{section}: {word}'; choose from: {', '.join(known)}."
                )
    family = _words(docstring, "Family")
    return Facts(
        family[0] if family else OTHER,
        tuple(word for word in networks if word != RANDOM) if networks else None,
        RANDOM in networks if networks else None,
        gradients[0] if gradients else None,
        True if images else False if networks else None,
    )


def by_family() -> dict[str, list[str]]:
    """Names of all strategies by family: `FAMILIES` first, then those of plugins, then the others.

    A strategy whose docstring cannot be read or whose name two packages register is among the others.
    """
    found: dict[str, list[str]] = {name: [] for name in FAMILIES}
    others: list[str] = []
    for name in registry.strategies:
        family = family_of(name)
        (others if family == OTHER else found.setdefault(family, [])).append(name)
    return {name: names for name, names in {**found, OTHER: others}.items() if names}


def family_of(strategy: str) -> str:
    """The family of a strategy; `OTHER` if it declares none or cannot be read."""
    try:
        words = _words(registry.strategies.docstring(strategy), "Family")
    except UsageError:
        return OTHER
    return words[0] if words else OTHER


def _words(docstring: str, section: str) -> list[str]:
    found = re.search(_SECTION.format(section), docstring, re.MULTILINE)
    return [word.strip().rstrip(".") for word in found[1].split(",") if word.strip()] if found else []
