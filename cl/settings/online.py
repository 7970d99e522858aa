"""Online streams: images arrive in small chunks, each once."""

from __future__ import annotations

from cl.data.store import IndexArray
from cl.errors import UsageError
from cl.random import numpy_generator
from cl.settings.rebuild import rebuilt
from cl.stream import Evaluate, Event, Stream, Train


def online(stream: Stream, chunk: int, evaluate_every: int | None, *, seed: int) -> Stream:
    """Shuffle every experience and cut it into chunks of `chunk` images (the last may be smaller); each chunk becomes
    an experience.

    Evaluations remain at the ends of tasks. `evaluate_every` adds an evaluation each time that number of images has
    arrived, at the end of the chunk, on all groups with a class seen so far (anytime inference, Koh et al. 2022). A
    group counts as learned after the last chunk of its task. Chunks have no validation images; those that a stream
    evaluates (`split=val`) stay in its groups. Raises `UsageError` for a stream with other held-out images.
    """
    if stream.split != "val" and any(len(experience.val) for experience in stream.experiences):
        raise UsageError(
            f"{stream.name} holds out validation images, which an online stream does not have; set "
            "stream.val_fraction=0, or choose a method that needs none."
        )
    labels = stream.positions[stream.dataset.train.labels]
    parts: list[IndexArray] = []
    events: list[Event] = []
    last: dict[int, int] = {}  # experience of the stream -> its last chunk
    seen: set[int] = set()
    images = 0
    for number, event in enumerate(stream.events):
        if isinstance(event, Evaluate):
            events.append(event)
            continue
        rows = stream.experiences[event.experience].train
        rows = numpy_generator(seed, "online", event.experience).permutation(rows)
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            events.append(Train(len(parts)))
            parts.append(part)
            seen |= set(labels[part].tolist())
            due = evaluate_every is not None and (images + len(part)) // evaluate_every > images // evaluate_every
            images += len(part)
            follows = start + chunk >= len(rows) and isinstance(_at(stream.events, number + 1), Evaluate)
            if due and not follows:
                known = (index for index, group in enumerate(stream.groups) if seen & set(group.classes))
                events.append(Evaluate(tuple(known), stream.split))
        last[event.experience] = len(parts) - 1
    return rebuilt(
        stream,
        parts,
        setting="online",
        options={"chunk": chunk, "evaluate_every": evaluate_every},
        seed=seed,
        learned=[last[group.task] for group in stream.groups],
        events=events,
    )


def _at(events: tuple[Event, ...], index: int) -> Event | None:
    return events[index] if index < len(events) else None
