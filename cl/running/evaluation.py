"""One evaluation: a pass over test images, scored under every prediction rule that the strategy supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl.data.store import ImageStore
from cl.errors import ContractError
from cl.protocol import ANYTIME, belongs, rule_of, rules_on, split_rule
from cl.records.average_precision import mean_average_precision
from cl.running import untrained
from cl.running.scores import Kept, kept, put
from cl.strategy import Inputs, StoredImages, Strategy
from cl.stream import Evaluate, Stream
from cl.training.generators import generator
from cl.training.state import modules_of
from cl.training.trainer import Trainer

NONE = -1
"""Prediction of a rule that had no class to choose from."""

SMALL, LARGE, MOST = 64, 256, 2048
"""Images per call of `predict`: on CPUs, whose caches a larger batch does not fit; on accelerators, for images of
`LARGE_SIDE` pixels and larger, which takes about 2 GiB with a ViT-B/16; on accelerators at most, for small images."""

LARGE_SIDE = 224


@dataclass
class Row:
    """One row of the accuracy matrix: per rule, positions predicted and margins for each image evaluated.

    Images that may have several classes have no prediction (`NONE`); `mean_precision` holds the mean average precision
    of their groups, float64 [groups], NaN for other groups.
    """

    index: np.ndarray  # positions in the order of `Stream.test_rows` over all groups
    prediction: dict[str, np.ndarray] = field(default_factory=dict)
    margin: dict[str, np.ndarray] = field(default_factory=dict)
    scores: Kept = field(default_factory=dict)  # empty without --save-scores
    mean_precision: dict[str, np.ndarray] = field(default_factory=dict)  # empty without such images


def evaluate(
    strategy: Strategy, stream: Stream, event: Evaluate, seen: int, trainer: Trainer, number: int, *,
    save_scores: bool = False,
) -> Row:  # fmt: skip
    """Predict the images of an event's groups in shuffled order.

    `seen` is the number of classes learned so far, `number` the event's index, which names the shuffle. `save_scores`
    fills `Row.scores`.
    """
    owners = stream.test_rows(range(len(stream.groups)), event.split)[2]
    chosen = np.flatnonzero(np.isin(owners, event.groups))
    order = torch.randperm(len(chosen), generator=generator(trainer.seeds.data, "evaluation", number)).numpy()
    chosen = chosen[order]
    row = Row(chosen)
    tasks = {stream.groups[index].task for index in event.groups}
    with untrained.with_heads(strategy, stream, tasks, trainer.seeds):
        return _evaluated(strategy, stream, event, seen, trainer, row, save_scores=save_scores)


def _evaluated(
    strategy: Strategy, stream: Stream, event: Evaluate, seen: int, trainer: Trainer, row: Row, *, save_scores: bool
) -> Row:
    """Fill `row` with the answers to its images."""
    rows, labels, owners = stream.test_rows(range(len(stream.groups)), event.split)
    chosen = row.index
    if not strategy.ready or not len(chosen):
        return row
    for module in modules_of(strategy):
        module.eval()
    trainer.observer.phase("evaluate", -(-len(chosen) // _batch(trainer, strategy)))
    masks = _class_masks(stream)
    rules = rules_on(strategy.rules, stream.setting, strategy.answers)
    shared = [rule for rule in rules if split_rule(rule)[0] != "til_oracle"]
    store = stream.store(event.split)
    predictions: dict[str, list[Tensor]] = {rule: [] for rule in shared}
    margins: dict[str, list[Tensor]] = {rule: [] for rule in shared}
    with torch.no_grad():
        for part, answers in _scored(strategy, trainer, store, rows[chosen]) if shared else ():
            allowed = masks[owners[chosen[part]]]
            for rule in shared:
                plain, answer = split_rule(rule)
                best, margin = _decide(plain, answers[answer], seen, allowed)
                predictions[rule].append(best)
                margins[rule].append(margin)
                if save_scores:
                    found = kept(_choices(plain, answers[answer], seen, allowed), labels[chosen[part]])
                    put(row.scores, rule, part, len(chosen), found)
            trainer.observer.advance(len(part))
        row.prediction = {rule: torch.cat(parts).cpu().numpy() for rule, parts in predictions.items()}
        row.margin = {rule: torch.cat(parts).cpu().numpy() for rule, parts in margins.items()}
        if "til_oracle" in rules:
            _oracle(strategy, stream, trainer, event.split, row, save_scores=save_scores)
        if untrained.can_grow(strategy):
            _answer_before_learning(strategy, stream, event.split, seen, trainer, row)
    trainer.observer.end_phase()
    return row


def _scored(
    strategy: Strategy, trainer: Trainer, store: ImageStore, rows: np.ndarray, task: int | None = None, *,
    named: bool = True,
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:  # fmt: skip
    """Scores of the images at `rows` of a store, batch by batch, with their places in `rows`.

    Scores are by the name of the answer, "" for that of `predict`; the others are left out unless `named`. The FLOPs of
    the first batch are counted, apart from those that the encodings count, and charged for every image.
    """
    names = strategy.answers if named else ()

    def answers(inputs: Inputs) -> dict[str, Tensor]:
        return {"": strategy.predict(inputs, task), **{name: strategy.answer(name, inputs, task) for name in names}}

    head_flops, size = 0.0, _batch(trainer, strategy)
    for start in range(0, len(rows), size):
        part = np.arange(start, min(start + size, len(rows)))
        source = StoredImages(trainer.encodings, store, rows[part], ahead=rows)
        inputs = Inputs(None, trainer.device, source, keeps=bool(names))
        if start == 0:
            scores, flops = trainer.cost.own_flops(partial(answers, inputs))
            head_flops = flops / len(part)
        else:
            scores = answers(inputs)
        trainer.cost.add_flops(head_flops * len(part))
        for name, values in scores.items():
            _check(values, len(part), strategy, name)
        yield part, scores


def _batch(trainer: Trainer, strategy: Strategy) -> int:
    """Images per call of `predict`.

    The number depends on the size of the images and not on free memory: kernels of an accelerator round differently for
    other batches, and free memory differs between runs, also before and after a resume.
    """
    if trainer.device.type == "cpu":
        return SMALL
    return min(max(LARGE, LARGE * LARGE_SIDE**2 // strategy.backbone.transform.size**2), MOST)


def _class_masks(stream: Stream) -> Tensor:
    """Which classes belong to each group, bool [groups, classes]."""
    masks = torch.zeros(len(stream.groups), len(stream.class_order), dtype=torch.bool)
    for index, group in enumerate(stream.groups):
        masks[index, list(group.classes)] = True
    return masks


def _choices(rule: str, scores: Tensor, seen: int, allowed: Tensor) -> Tensor:
    """The scores that a rule may choose from; -inf for those of other tasks."""
    if rule == "cil_seen":
        return scores[:, :seen]
    if rule == "til_masked":
        return scores.masked_fill(~allowed[:, : scores.shape[1]].to(scores.device), float("-inf"))
    return scores


def _decide(rule: str, scores: Tensor, seen: int, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """The best class under a rule and its margin over the second; `allowed` [B, classes] are the task's classes.

    The answer is `NONE` if the rule has no class to choose from, because nothing is learned yet.
    """
    allowed = allowed[:, : scores.shape[1]].to(scores.device)
    scores = _choices(rule, scores, seen, allowed)
    if scores.shape[1] == 0:
        return torch.full((len(scores),), NONE), torch.zeros(len(scores))
    two = scores.topk(min(2, scores.shape[1]), dim=1)
    best, margin = two.indices[:, 0], (two.values[:, 0] - two.values[:, -1]).float()
    if rule == "til_masked":
        best = torch.where(allowed.any(1), best, NONE)
    return best, margin


def _oracle(strategy: Strategy, stream: Stream, trainer: Trainer, split: str, row: Row, *, save_scores: bool) -> None:
    """Fill a row under `til_oracle`: each batch holds images of one task, which `predict` is told.

    A stream with several classes per image has no other rule.
    """
    rows, labels, owners = stream.test_rows(range(len(stream.groups)), split)
    masks, store, chosen = _class_masks(stream), stream.store(split), row.index
    for answer in ("", *strategy.answers):
        rule = rule_of("til_oracle", answer)
        row.prediction[rule], row.margin[rule] = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.float32)
    for group in np.unique(owners[chosen]):
        places, task = np.flatnonzero(owners[chosen] == group), stream.groups[group].task
        if (tags := stream.groups[group].tags) is not None:
            within = chosen[places] - np.flatnonzero(owners == group)[0]
            scored = _scored(strategy, trainer, store, rows[chosen[places]], task)
            _rank(scored, tags[split][within], int(group), stream, row, places, save_scores=save_scores)
            continue
        for within, answers in _scored(strategy, trainer, store, rows[chosen[places]], task):
            part = places[within]
            allowed = masks[[group]].expand(len(part), -1)
            for answer, scores in answers.items():
                rule = rule_of("til_oracle", answer)
                best, margin = _decide("til_masked", scores, scores.shape[1], allowed)
                row.prediction[rule][part], row.margin[rule][part] = best.cpu().numpy(), margin.cpu().numpy()
                if save_scores:
                    found = kept(_choices("til_masked", scores, scores.shape[1], allowed), labels[chosen[part]])
                    put(row.scores, rule, part, len(chosen), found)


def _rank(
    scored: Iterator[tuple[np.ndarray, dict[str, Tensor]]], tags: np.ndarray, group: int, stream: Stream, row: Row,
    places: np.ndarray, *, save_scores: bool,
) -> None:  # fmt: skip
    """Fill a row with the mean average precision of a group; `tags` [B, classes] are those of the images at `places`.

    It is not measured (NaN) while the method has no column for one of the group's classes.
    """
    classes = list(stream.groups[group].classes)
    found: dict[str, list[np.ndarray]] = {}
    for _, answers in scored:
        for answer, scores in answers.items():
            known = classes if max(classes) < scores.shape[1] else []
            found.setdefault(rule_of("til_oracle", answer), []).append(scores[:, known].double().cpu().numpy())
    for rule, parts in found.items():
        row.prediction[rule][places] = NONE
        values = row.mean_precision.setdefault(rule, np.full(len(stream.groups), np.nan))
        scores_of_all = np.concatenate(parts)
        if scores_of_all.shape[1]:
            values[group] = mean_average_precision(tags, scores_of_all)
        if save_scores:  # such images have no rank and no likelihood, but the run has tables of them
            put(row.scores, rule, places[:0], len(row.index), kept(torch.zeros(0, 1), np.zeros(0, np.int64)))


def _answer_before_learning(
    strategy: Strategy, stream: Stream, split: str, seen: int, trainer: Trainer, row: Row
) -> None:
    """Replace the answers to images of later tasks under rules whose heads exist before their task.

    Forward transfer needs them: the accuracy before any training, and before each task. Stored scores stay those of the
    trained head, and named answers as they are.
    """
    rules = [rule for rule in untrained.RULES if rule in row.prediction]
    rows, _, owners = stream.test_rows(range(len(stream.groups)), split)
    # On blurry and online streams the classes of a group come at different times; a seen class has a trained head
    decides = min if belongs(ANYTIME, stream.setting) else max
    later = [
        index
        for index, group in enumerate(stream.groups)
        if group.tags is None and decides(group.classes, default=-1) >= seen
    ]
    places = np.flatnonzero(np.isin(owners[row.index], later))
    if not rules or not len(places):
        return
    masks, images = _class_masks(stream), row.index[places]
    with untrained.grown(strategy, stream, trainer.seeds):
        for within, answers in _scored(strategy, trainer, stream.store(split), rows[images], named=False):
            part, scores = places[within], answers[""]
            for rule in rules:
                allowed = "dil" if rule == "dil" else "til_masked"
                best, margin = _decide(allowed, scores, seen, masks[owners[row.index[part]]])
                row.prediction[rule][part], row.margin[rule][part] = best.cpu().numpy(), margin.cpu().numpy()


def _check(scores: Tensor, images: int, strategy: Strategy, answer: str) -> None:
    method = f"{type(strategy).__name__}." + (f"answer({answer!r})" if answer else "predict")
    if scores.ndim != 2 or len(scores) != images:
        raise ContractError(
            f"{method} returned shape {tuple(scores.shape)} for {images} images; "
            "it must return scores [images, classes]."
        )
    if torch.isnan(scores).any():
        raise ContractError(f"{method} returned NaN scores; the model diverged, lower the learning rate.")


Tally = tuple[list[Any], list[Any]]
"""Correct answers of a row: per group, and per class by position."""


def counts(stream: Stream, split: str, row: Row | None, rule: str) -> Tally:
    """Correct answers per group and per class (position) of a row; None for entries that were not evaluated.

    Groups whose images may have several classes have none, see `Row.mean_precision`.
    """
    groups, classes = len(stream.groups), len(stream.class_order)
    if row is None or rule not in row.prediction:
        return [None] * groups, [None] * classes
    _, labels, owners = stream.test_rows(range(groups), split)
    answered = row.prediction[rule] != NONE
    index = row.index[answered]
    labels, owners = labels[index], owners[index]
    right = row.prediction[rule][answered] == labels

    def tally(keys: np.ndarray, size: int) -> list[int | None]:
        total = np.bincount(keys, minlength=size)
        correct = np.bincount(keys[right], minlength=size)
        return [int(c) if n else None for c, n in zip(correct, total, strict=True)]

    return tally(owners, groups), tally(labels, classes)
