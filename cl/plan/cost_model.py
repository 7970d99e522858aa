"""What a run costs, computed before it starts: images, steps, FLOPs and bytes, from what a method states of itself.

`Strategy.work` gives the passes of images through the backbone for each task. A training step costs three forward
passes of its images, and two through frozen weights. What heads, statistics and optimisers compute, and how much larger
prompts and adapters make a pass, is not counted; `benchmarks/cost_model.py` compares the result with records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cl.protocol import TaskSize, Work

if TYPE_CHECKING:
    from cl.stream import Stream

TRAINED, TUNED = 3, 2
"""Forward passes that a forward and backward pass costs: with gradients of the weights, and through frozen weights."""

FLOAT = 4
"""Bytes of a number in weights, checkpoints and tables of features."""

COPIES = 3
"""Of what a fit trains, a checkpoint holds the weights and at most two moments of the optimiser."""

KEPT = 2
"""Checkpoints on disk at once: the last, and the one that is written."""

DECLARED, ASSUMED, BOUND = "declared", "assumed", "upper bound"
"""How a figure is known: stated by the method; assumed from its epochs; seldom exceeded."""


@dataclass(frozen=True)
class Load:
    """The sizes of a stream: what a run reads of it, up to the task that it ends after."""

    tasks: tuple[TaskSize, ...]
    tested: tuple[int, ...]
    """Test images predicted after each task."""
    test_images: int
    """Distinct images among them."""
    rows: int
    classes: int
    image_bytes: int

    @property
    def train_images(self) -> int:
        """Images to train on or to validate with."""
        return sum(task.images + task.validation for task in self.tasks)


@dataclass(frozen=True)
class Cost:
    """The cost of one run. FLOPs are those of passes through the backbone; images are counted once per pass."""

    trained: float
    tuned: float
    encoded: float
    looked_up: float
    steps: float
    tested: float
    """Passes of test images."""
    learning_flops: float
    """With every use of memoised features charged, as `uncached` in a record."""
    evaluation_flops: float
    computed_flops: float
    """Learning and evaluation, with each memoised feature computed once: what takes time."""
    shared_flops: float
    """The part of it that gives features of the pretrained backbone, which runs of the same images share."""
    bytes: dict[str, float]
    """Disk by kind: record, predictions, checkpoint (its largest, while the run lasts), decoded images and features
    (both in the cache, shared by runs)."""
    known: dict[str, str]
    """How each of learning, evaluation and bytes is known."""


def load_of(stream: Stream, max_tasks: int | None = None, *, published: bool = False) -> Load:
    """The sizes of a stream for a run that ends after `max_tasks` tasks; those of the images that are here, or of all
    images that their datasets have as published."""
    shares = stream.dataset.shares if published else {}

    def whole(count: int, name: str) -> int:
        share = shares.get(name, shares.get(name.rpartition("-")[0], 1.0))  # one of several tasks of a dataset: NAME-2
        return round(count / share)

    tasks: list[TaskSize] = []
    seen: set[int] = set()
    learned, count = stream.experiences[:max_tasks], len(stream.experiences)
    for number, experience in enumerate(learned):
        earlier = tasks[-1].earlier + tasks[-1].images if tasks else 0
        name = experience.name
        images, validation = whole(len(experience.train), name), whole(len(experience.val), name)
        last = number == count - 1
        tasks.append(TaskSize(number, len(experience.classes), images, validation, earlier, len(seen), last))
        seen |= set(experience.classes)
    tested, rows, used, done = [0] * len(tasks), 0, set[tuple[int, str]](), 0
    sizes = [{split: whole(len(rows), group.name) for split, rows in group.rows.items()} for group in stream.groups]
    for event in stream.events:
        groups = getattr(event, "groups", None)
        if groups is None:
            done += 1
        elif 0 < done <= len(tasks):
            split, rows = event.split, rows + 1  # type: ignore[union-attr]
            tested[done - 1] += sum(sizes[group].get(split, 0) for group in groups)
            used |= {(group, split) for group in groups}
    channels, height, width = stream.info.image_shape
    test_images = sum(sizes[group].get(split, 0) for group, split in used)
    return Load(tuple(tasks), tuple(tested), test_images, rows, len(seen), channels * height * width)


def cost(method: Any, options: Any, load: Load, backbone: dict[str, Any], *, rules: int = 2) -> Cost:
    """The cost of a run of a strategy class with these options; `backbone` are its facts (`cl.backbone.facts`)."""
    forward, parameters, dim = backbone["forward_flops"], backbone["parameters"], backbone["dim"]
    work = [method.work(options, task) for task in load.tasks]
    last = work[-1]
    own = last.test_passes * load.test_images if last.lasting else _tests(load, work)
    looked_up, lookups = sum(each.looked_up for each in work), last.test_lookups
    shared = (load.train_images if looked_up else 0) + (load.test_images if lookups else 0)
    passes = sum(TRAINED * each.trained + TUNED * each.tuned + each.encoded for each in work)
    tested = _tests(load, work)
    uncached_tests = tested + sum(n * each.test_lookups for n, each in zip(load.tested, work, strict=True))
    return Cost(
        trained=sum(each.trained for each in work),
        tuned=sum(each.tuned for each in work),
        encoded=sum(each.encoded for each in work),
        looked_up=looked_up,
        steps=sum(each.steps for each in work),
        tested=uncached_tests,
        learning_flops=forward * (passes + looked_up),
        evaluation_flops=forward * uncached_tests,
        computed_flops=forward * (passes + own + min(shared, looked_up + uncached_tests)),
        shared_flops=forward * min(shared, looked_up + uncached_tests),
        bytes={
            "record": _record(load, rules),
            "predictions": 8000 + 4 * rules * sum(load.tested),
            "checkpoint": KEPT * _state(work, parameters, load.image_bytes),
            "decoded": load.image_bytes * (load.train_images + load.test_images),
            "features": FLOAT * dim * shared,
        },
        known={
            "learning": _least({each.known for each in work}),
            "evaluation": _least({DECLARED if last.lasting else BOUND, *(each.known for each in work)}),
            "bytes": BOUND,
        },
    )


def _record(load: Load, rules: int) -> float:
    """The largest record with its events and configuration; all records in results/reference are smaller."""
    matrix = 280 * load.rows**2 + load.rows * rules * (5 * load.classes + 230)
    return 22_000 + 85 * load.classes + matrix


def _least(known: set[str]) -> str:
    """How a sum is known, from how its terms are."""
    return next(each for each in (BOUND, ASSUMED, DECLARED) if each in known)


def _tests(load: Load, work: Iterable[Work]) -> float:
    """Passes of test images through the networks of the method, if each evaluation computes all of its own."""
    return sum(images * each.test_passes for images, each in zip(load.tested, work, strict=True))


def _state(work: list[Work], parameters: int, image_bytes: int) -> float:
    """The largest checkpoint: what a task trains with its moments, copies of the network, and remembered images."""
    sizes = []
    for each in work:
        trained = COPIES if each.trained else 1 if each.tuned else 0
        sizes.append(FLOAT * parameters * (trained + each.networks) + image_bytes * each.kept_images)
    return max(sizes)
