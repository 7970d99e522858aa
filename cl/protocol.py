"""Words of the protocol: settings of streams, prediction rules, and which setting asks for which rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

CLASS = "class-incremental"
FEW_SHOT = "few-shot class-incremental"
LONG_TAILED = "long-tailed"
TASK = "task-incremental"
DOMAIN = "domain-incremental"
ONLINE = "online"
BLURRY = "blurry"

SETTINGS = (CLASS, FEW_SHOT, LONG_TAILED, TASK, DOMAIN, ONLINE, BLURRY)
"""New classes in every task; few images of the later ones; uneven classes; new classes and the task is told; the same
classes in other domains; one pass in small chunks; chunks whose classes come back."""

DISJOINT = (CLASS, FEW_SHOT, LONG_TAILED, TASK)
"""Settings in which a class has all its training images in one experience: what a strategy is taken to be right on
unless it says more."""

ANYTIME = "anytime"
"""Stands for settings that are online or blurry, where a group of test images may hold classes not seen yet."""

RULES = ("cil_seen", "cil_all", "dil", "til_masked", "til_oracle")
"""Prediction rules, in the order in which one is chosen to be shown: argmax over the classes seen; over all outputs;
over all labels of a stream whose tasks share them; over the task's classes (same scores); the same with the task told
to the strategy."""


def rules_on(rules: Sequence[str], setting: str) -> tuple[str, ...]:
    """The prediction rules that a strategy with `rules` is asked for in a setting.

    Task-incremental streams use `til_oracle`; a strategy that ignores the task then answers as under `til_masked`.
    Domain-incremental streams use `dil`. Other streams use the strategy's own rules, `dil` apart.
    """
    if setting.endswith(TASK):  # "online task-incremental" asks for the rules of the base
        return ("til_oracle",)
    if setting.endswith(DOMAIN):
        return ("dil",)
    return tuple(rule for rule in rules if rule != "dil") or tuple(rules)


def default_rule(rules: Iterable[str]) -> str:
    """The rule to show where none is asked for: the first of `RULES` that there is, else the first by name."""
    known = sorted(rules)
    return next((rule for rule in (*RULES, *known) if rule in known), RULES[0])


def answering(rules: Collection[str], rule: str) -> str:
    """The rule of a run with `rules` that answers what `rule` asks: `til_masked` where it has no `til_oracle`.

    A strategy that is not told the task gives the same scores whether a task is known or not.
    """
    return "til_masked" if rule == "til_oracle" and rule not in rules and "til_masked" in rules else rule


def belongs(wanted: str, setting: str) -> bool:
    """Whether what is meant for the setting `wanted` applies to a setting, such as "online few-shot
    class-incremental"."""
    if wanted == ANYTIME:
        return ONLINE in setting or BLURRY in setting
    return setting.endswith(wanted)
