"""The protocol's vocabulary: settings of streams, prediction rules, and which rules each setting uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

CLASS = "class-incremental"
FEW_SHOT = "few-shot class-incremental"
LONG_TAILED = "long-tailed"
TASK = "task-incremental"
DOMAIN = "domain-incremental"
ONLINE = "online"
BLURRY = "blurry"

SETTINGS = (CLASS, FEW_SHOT, LONG_TAILED, TASK, DOMAIN, ONLINE, BLURRY)
"""In this order: new classes in every task; few images of later classes; classes of unequal size; new classes, and the
task is given at test time; the same classes in other domains; one pass in small chunks; chunks whose classes recur."""

DISJOINT = (CLASS, FEW_SHOT, LONG_TAILED, TASK)
"""Settings in which all training images of a class are in one experience; the default of `Strategy.settings`."""

RETURNING = "returning"
"""First word of the setting of a stream whose classes return in later tasks, with other images. Methods learn it that
support the blurry setting. A group of test images holds the classes that are new in a task, so unlike there all its
classes have been seen when it is due."""

ANYTIME = "anytime"
"""Matches online and blurry settings, in which a group of test images may contain classes not seen yet."""


@dataclass(frozen=True)
class Least:
    """A least number that a method needs, what it is for, and what else the user may change."""

    number: int = 1
    purpose: str = ""
    """"for a meta step"."""
    instead: str = ""
    """"lower trajectories"."""


@dataclass(frozen=True)
class Needs:
    """What a method needs of a stream; `cl.plan.needs` checks it before anything is trained."""

    images_per_class: int = 1
    """Training images of each class of a task."""
    images_per_task: int = 1
    """Training images of a task."""
    validation: bool = False
    """Whether every task needs a validation image."""
    purpose: str = ""
    """What these images are for: "for its covariance"."""
    compares: str = ""
    """The loss that compares only the classes of one task, so a task of one class teaches it nothing: "its softmax over
    the classes of a task"; empty: none."""
    adapts: str = ""
    """The part trained on the first task only, by comparing its classes; empty: none."""
    batch_size: int = 0
    """Images per step of fits that train the whole backbone; 0: its batch norms do not train."""
    batches: str = "all"
    """Tasks with such fits: "all"; "first"; "unreplayed", all until there are remembered images to add to a batch."""
    merges: bool = True
    """Whether these fits merge a last batch of one image into the batch before; `Strategy.fit` does."""
    first_classes: Least = Least()
    """Classes of the first task."""
    tasks: Least = Least()
    """Tasks that a run learns."""
    text: bool = False
    """Whether it needs a backbone with a text tower, and names of classes that are words."""


@dataclass(frozen=True)
class TaskSize:
    """The size of a task, for `Strategy.work`: what is known of it before anything is trained."""

    number: int
    """From 0."""
    classes: int
    images: int
    """Training images, without those held out for validation."""
    validation: int = 0
    earlier: int = 0
    """Training images of all earlier tasks together."""
    earlier_classes: int = 0
    """Classes seen in earlier tasks."""
    last: bool = False
    """Whether it is the last task of the stream."""


@dataclass(frozen=True)
class Work:
    """Images that a method passes through the backbone while it learns a task, each pass counted; and what it predicts
    with. What heads and statistics compute besides is not part of it."""

    trained: float = 0
    """Forward and backward, with gradients of the backbone's weights: three forward passes each."""
    tuned: float = 0
    """Forward and backward through frozen weights, such as for prompts and adapters: two forward passes each."""
    encoded: float = 0
    """Forward only, computed at each use: validation, teachers, networks that change."""
    looked_up: float = 0
    """Uses of the features of the pretrained backbone, which are computed once per image."""
    steps: float = 0
    """Steps of the optimiser."""
    kept_images: float = 0
    """Images that a memory holds after the task."""
    networks: float = 0
    """Copies of the backbone that the learner holds after the task, beside the backbone itself."""
    test_passes: float = 1
    """Forward passes per test image after the task, through networks of the method."""
    lasting: bool = False
    """Whether these networks never change later, so that each passes an image once."""
    test_lookups: float = 0
    """Uses per test image of the features of the pretrained backbone."""
    known: str = "declared"
    """"declared": the method states this itself; "assumed": from its epochs; "upper bound": it may be less."""

    def __mul__(self, factor: float) -> Work:
        """The work of a training with so many times the images; all else stays."""
        return replace(self, **{name: factor * getattr(self, name) for name in PASSES if name != "steps"})

    def __add__(self, other: Work) -> Work:
        """The work of two trainings of a task; what is held and how it predicts are those of `self`."""
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in PASSES})


PASSES = ("trained", "tuned", "encoded", "looked_up", "steps")
"""The fields of `Work` that sum over trainings."""


RULES = ("cil_seen", "cil_all", "dil", "til_masked", "til_oracle")
"""Prediction rules, the preferred one for display first: argmax over the classes seen; over all outputs; over all
labels of a stream whose tasks share them; over the task's classes (same scores); over the task's classes, with the task
given to the strategy."""


def rules_on(rules: Sequence[str], setting: str, answers: Sequence[str] = ()) -> tuple[str, ...]:
    """The prediction rules used for a strategy with `rules` in a setting; then each of them for every named answer.

    Task-incremental streams use `til_oracle`; a strategy that ignores the task then answers as under `til_masked`.
    Domain-incremental streams use `dil`. Other streams use the strategy's own rules except `dil`.
    """
    if setting.endswith(TASK):  # "online task-incremental" uses the rules of "task-incremental"
        used: tuple[str, ...] = ("til_oracle",)
    elif setting.endswith(DOMAIN):
        used = ("dil",)
    else:
        used = tuple(rule for rule in rules if rule != "dil") or tuple(rules)
    return (*used, *(rule_of(rule, answer) for answer in answers for rule in used))


def split_rule(rule: str) -> tuple[str, str]:
    """The rule and the answer in a name such as "cil_seen:cnn"; the answer is empty for that of `predict`."""
    plain, _, answer = rule.partition(":")
    return plain, answer


def rule_of(rule: str, answer: str) -> str:
    """The name under which a plain rule is recorded for an answer; the inverse of `split_rule`."""
    return f"{rule}:{answer}" if answer else rule


def default_rule(rules: Iterable[str]) -> str:
    """The rule to show by default: the first of `RULES` among `rules`, else the first by name; of no named answer."""
    known = sorted(rule for rule in rules if not split_rule(rule)[1])
    return next((rule for rule in (*RULES, *known) if rule in known), RULES[0])


def answering(rules: Collection[str], rule: str) -> str:
    """The rule among a run's `rules` to use for `rule`: `til_masked` if the run has no `til_oracle`, else `rule`.

    A strategy that ignores the task gives the same scores whether or not the task is known. Named answers likewise.
    """
    plain, answer = split_rule(rule)
    masked = rule_of("til_masked", answer)
    return masked if plain == "til_oracle" and rule not in rules and masked in rules else rule


def belongs(wanted: str, setting: str) -> bool:
    """Whether `setting`, such as "online few-shot class-incremental", is a case of the setting `wanted`."""
    if wanted == ANYTIME:
        return ONLINE in setting or BLURRY in setting
    return setting.endswith(wanted)
