"""Whether a built stream has what a strategy needs, known before anything is trained (`cl.protocol.Needs`).

`refuse` ends a run that could not finish or could only mislead; `remarks` are warnings for its record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cl import registry
from cl.data.names import without_words
from cl.errors import Incompatible
from cl.plan.compatibility import one_class_only
from cl.protocol import ONLINE, Needs, rules_on

if TYPE_CHECKING:
    from cl.stream import Stream

_LIMITS = ("train_per_class", "shots")
"""Options of streams that leave fewer images of a class than there are."""


def refuse(
    strategy: str,
    options: Any,
    stream: Stream,
    least_batch: int = 1,
    *,
    text: bool = True,
    max_tasks: int | None = None,
) -> None:
    """Raise `Incompatible` if a strategy with these options cannot learn a stream to the end.

    `least_batch` are the images that a training batch of the backbone needs (`Backbone.least_batch`), `text` says
    whether it has a text tower, and `max_tasks` after how many tasks the run ends.
    """
    method = registry.strategies.get(strategy)
    needs = _needs(method, options)
    for problem in (
        *_too_few_tasks(needs, stream, max_tasks),
        *_too_few_classes(needs, stream),
        *_too_few_images(needs, stream),
        *_trivial(method, stream),
        *_several_classes(method, stream),
        *_lost_ranks(options, stream),
        *(_without_text(stream, text) if needs.text else ()),
        *(_single_images(needs, method, stream) if least_batch > 1 else ()),
    ):
        raise Incompatible(f"{strategy} {problem}.")


def remarks(strategy: str, options: Any, stream: Stream, batch_norms: bool = False, *, channels: int = 3) -> list[str]:
    """Sentences for the warnings of a run's record: tasks of one class that teach a strategy nothing, batches of one
    image for a backbone with `batch_norms`, and colours for one whose images have a single one of `channels`."""
    needs, sizes = _needs(registry.strategies.get(strategy), options), stream.info.classes_per_task
    single, what = sum(size == 1 for size in sizes), _tasks(stream)
    texts = []
    if needs.compares and single:
        texts.append(
            f"{single} of {len(sizes)} {what} have a single class, so {needs.compares} teaches {strategy} nothing in "
            f"them; {_larger(stream)}."
        )
    alone = [len(experience.train) for experience in stream.experiences].count(1) if needs.batch_size else 0
    if batch_norms and (needs.batch_size == 1 or alone):
        which = "every step" if needs.batch_size == 1 else f"{alone} of {len(sizes)} {what}"
        fix = "raise stream.chunk" if ONLINE in stream.setting and alone else "raise batch_size"
        texts.append(
            f"{strategy} trains batch norms on single images in {which}, so that they see the mean and deviation of "
            f"one image; {fix}, or choose a backbone without batch norm."
        )
    if needs.adapts and sizes[0] == 1:
        texts.append(
            f"The first of {len(sizes)} {what} has a single class, so {strategy} leaves {needs.adapts} untrained; "
            f"{_larger(stream, 'stream.base')}."
        )
    if channels == 1 < stream.info.image_shape[0]:
        texts.append(
            f"The backbone takes grey images, so of the colours of {stream.name} it sees the brightness alone (0.299 "
            "red + 0.587 green + 0.114 blue); choose a backbone for colour images to use them."
        )
    return texts


def _needs(method: Any, options: Any) -> Needs:
    declared = getattr(method, "needs", None)
    needs: Needs = Needs() if declared is None else declared(options)
    return needs


def _tasks(stream: Stream) -> str:
    return "chunks" if ONLINE in stream.setting else "tasks"


def _larger(stream: Stream, option: str = "stream.increment or stream.tasks") -> str:
    return "raise stream.chunk" if ONLINE in stream.setting else f"set {option} for more classes in a task"


def _more(stream: Stream, what: str) -> str:
    """What gives a class or a task more images: the options that limit them, if any do; else only more images."""
    limits = [f"stream.{name}" for name in _LIMITS if stream.options.get(name) is not None]
    if "stream.train_per_class" in limits:
        limits.insert(0, "--limit")
    fixes = [f"raise {' or '.join(limits)}"] if limits else []
    fixes += ["lower stream.val_fraction"] if stream.options.get("val_fraction") else []
    if fixes:
        return f"{', '.join(fixes)}, add images, or leave this {what} out"
    return f"no option limits them: add images, leave this {what} out, or choose another method"


# --------------------------------------------------------------------------------------------------- what is missing


def _too_few_tasks(needs: Needs, stream: Stream, max_tasks: int | None) -> Iterator[str]:
    """Fewer tasks than a strategy needs, in the stream or by --max-tasks."""
    least, count = needs.tasks, len(stream.experiences)
    learned = count if max_tasks is None else min(count, max_tasks)
    if learned < least.number:
        by = f"--max-tasks={max_tasks} learns {learned} of the {count} {_tasks(stream)} of {stream.name}"
        fix = f"{least.instead}, or raise --max-tasks" if least.number <= count else least.instead
        yield (
            f"needs {least.number} {_tasks(stream)} {least.purpose}, but "
            f"{by if learned < count else f'{stream.name} has {count}'}; {fix}"
        )


def _too_few_classes(needs: Needs, stream: Stream) -> Iterator[str]:
    """Fewer classes in the first task than a strategy needs."""
    least, found = needs.first_classes, len(stream.experiences[0].classes)
    if found < least.number:
        yield (
            f"needs {least.number} or more classes in the first {_tasks(stream)[:-1]} {least.purpose}, but that of "
            f"{stream.name} has {found}; {_larger(stream, 'stream.base')}, or {least.instead}"
        )


def _too_few_images(needs: Needs, stream: Stream) -> Iterator[str]:
    """Classes and tasks with fewer images than a strategy needs."""
    labels, names = stream.positions[stream.dataset.train.labels], stream.info.class_names
    for number, experience in enumerate(stream.experiences):
        where = f"task {number + 1} of {len(stream.experiences)}"
        found = len(experience.train)
        if found < needs.images_per_task:
            yield (
                f"needs {needs.images_per_task} training images in every task {needs.purpose}, but {where} of "
                f"{stream.name} has {found}; {_more(stream, _tasks(stream)[:-1])}"
            )
        if needs.images_per_class > 1:
            counts = np.bincount(labels[experience.train], minlength=len(names))
            for position in experience.classes:
                if counts[position] < needs.images_per_class:
                    yield (
                        f"needs {needs.images_per_class} training images of each class {needs.purpose}, but class "
                        f"{position} ({names[position]}) in {where} of {stream.name} has {counts[position]}; "
                        f"{_more(stream, 'class')}"
                    )
        if needs.validation and not len(experience.val):
            yield (
                f"needs validation images {needs.purpose}, but {where} of {stream.name} has none; leave "
                "stream.val_fraction above 0, or take a stream with more images"
            )


def _trivial(method: Any, stream: Stream) -> Iterator[str]:
    """Streams on which every answer is right: the task is given, and it has one class."""
    given = rules_on(method.rules, stream.setting) == ("til_oracle",)
    if given and all(len(group.classes) == 1 for group in stream.groups):
        yield (
            f"is told the task of each test image, and every task of {stream.name} has a single class, so every answer "
            "is right; give tasks two or more classes (stream.increment or stream.tasks)"
        )


def _several_classes(method: Any, stream: Stream) -> Iterator[str]:
    """Images with several classes, for a method that knows one per image."""
    if stream.multi_label and not getattr(method, "multi_label", False):
        yield one_class_only(stream.name, stream.multi_label)


def _lost_ranks(options: Any, stream: Stream) -> Iterator[str]:
    """Herding where a class returns and is then left out of a later task: its exemplars would be in no order."""
    of_base = getattr(options, "base_options", {})
    if "herding" not in (getattr(options, "memory_policy", ""), of_base.get("memory_policy")):
        return
    times: Counter[int] = Counter()
    for number, experience in enumerate(stream.experiences, 1):
        times.update(experience.classes)
        lost = [c for c, count in times.items() if count > 1 and c not in experience.classes]
        if lost:
            where = f"{'chunk' if ONLINE in stream.setting else 'task'} {number} of {len(stream.experiences)}"
            yield (
                f"ranks the exemplars of a class when it is learned, but class {lost[0]} of {stream.name} comes back "
                f"before {where} and is not in it, so its ranks would be lost; set memory_policy=balanced"
            )
            return


def _without_text(stream: Stream, text: bool) -> Iterator[str]:
    """A backbone without a text tower, and classes without names."""
    if not text:
        yield (
            "needs a backbone with a text tower; choose a CLIP, such as -b open_clip:ViT-B-16.openai (pip install "
            "'clbench[clip]')"
        )
    nameless = without_words(stream.info.class_names)
    if nameless:
        yield (
            f"makes captions from the names of classes, but {len(nameless)} of {len(stream.info.class_names)} classes "
            f"of {stream.name} have none that is a word ({nameless[0]!r} first); rename the folders or classes of its "
            "images after what they show"
        )


# --------------------------------------------------------------------------------------------- batches of one image


def _single_images(needs: Needs, method: Any, stream: Stream) -> Iterator[str]:
    """Training batches of one image, of which a batch norm cannot take the mean."""
    size = needs.batch_size
    if not size:
        return
    why = "trains batch norms, which need two images in a batch"
    if size == 1:
        yield f"{why}: raise batch_size, which is 1, or choose a backbone without batch norm"
    sizes = [len(experience.train) for experience in stream.experiences]
    if method.access == "past":
        sizes = [sum(sizes)]
    for number, count in enumerate(sizes[:1] if needs.batches != "all" else sizes):
        where = f"{_tasks(stream)[:-1]} {number + 1} of {len(stream.experiences)}"
        if count == 1:
            fix = "choose another stream.chunk" if ONLINE in stream.setting else _more(stream, "task")
            yield f"{why}, but {where} of {stream.name} has one; {fix}, or choose a backbone without batch norm"
        elif not needs.merges and count % size == 1:
            yield (
                f"{why}, but the last batch of {where} of {stream.name} has one; choose a batch_size other than "
                f"{size}, or a backbone without batch norm"
            )
