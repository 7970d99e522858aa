"""Checks of a strategy: its declarations, the contract of `predict`, and what it may change."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl.backbone.transform import Transform
from cl.errors import UsageError, counted
from cl.options import options_of
from cl.protocol import RULES, Needs
from cl.strategy import Extractor, Inputs, StoredImages, Strategy
from cl.stream import Stream
from cl.testing.reachable import differences
from cl.testing.report import CheckFailure, CheckSkipped
from cl.testing.workbench import TASKS, Workbench
from cl.training import state
from cl.training.encodings import pixels_of
from cl.values import parse_value

SECTIONS = ("Paper", "Trains", "Stores", "Cost", "Differences from the paper")
MARGIN = 1e-6
"""If the two best scores are closer than this, rounding may decide."""


def documented(bench: Workbench) -> None:
    """The docstring says what the method is, and has all required sections."""
    text = inspect.cleandoc(bench.method.__dict__.get("__doc__") or "")
    if not text.partition("\n")[0].strip():
        raise CheckFailure(
            f"{bench.method.__name__} has no docstring.", "say in its first line what the method is; lists show it."
        )
    lacking = [section for section in SECTIONS if not re.search(rf"^{section}:\s*\S", text, re.MULTILINE)]
    if lacking:
        raise CheckFailure(
            f"the docstring of {bench.method.__name__} has no {' and no '.join(repr(s + ':') for s in lacking)}.",
            "add a line for each, as in `clbench info slca`.",
        )


def declarations(bench: Workbench) -> None:
    """Declared rules, access, options and network are real: known names, defaults within bounds, every option read."""
    method = bench.method
    unknown = [rule for rule in method.rules if rule not in RULES]
    if unknown or not method.rules:
        raise CheckFailure(f"rules = {method.rules!r}.", f"choose from {', '.join(RULES)}.")
    answers = method.answers
    if len(set(answers)) != len(answers) or not all(isinstance(name, str) and name.isidentifier() for name in answers):
        raise CheckFailure(
            f"answers = {answers!r}.", "name each once, by an identifier such as 'cnn': rules are 'cil_seen:cnn'."
        )
    if method.access not in ("present", "past"):
        raise CheckFailure(f"access = {method.access!r}.", "declare 'present', or 'past' for a bound.")
    if method.resumes not in ("step", "task"):
        raise CheckFailure(f"resumes = {method.resumes!r}.", "declare 'step', or 'task' for training that is not ours.")
    if not 0 <= method.val_fraction < 1:
        raise CheckFailure(f"val_fraction = {method.val_fraction!r}.", "declare a share between 0 and 1.")
    needs = method.needs(bench.plan.options)
    if not isinstance(needs, Needs) or needs.batches not in ("all", "first", "unreplayed"):
        raise CheckFailure(
            f"needs(options) returned {needs!r}.",
            "return cl.strategy.Needs(...); its batches are 'all', 'first' or 'unreplayed'.",
        )
    options = options_of(method.Options)
    for key, info in options.items():
        if info.nested is not None:  # its keys are those of the base
            continue
        if not info.help:
            raise CheckFailure(f"option {key!r} has no help text.", "declare it as cl.option(default, help).")
        try:
            parse_value(info.annotation, info.default, key, info.constraints)
        except UsageError as error:
            raise CheckFailure(
                f"the default of an option is out of bounds: {error}", "change the default or the bounds."
            ) from None
    unread = sorted(set(options) - bench.reference.read - _read_in_source(method))
    if unread:
        raise CheckFailure(
            f"{', '.join(map(repr, unread))} of Options {'is' if len(unread) == 1 else 'are'} never read.",
            "use self.options.NAME, or remove the option: the record would name an option that changes nothing.",
        )
    _check_extractor(bench)


def runs(bench: Workbench) -> None:
    """Learns tasks one after the other and gives finite scores [B, classes], at least one column per class seen."""
    reference, stream = bench.reference, bench.stream()
    learner = reference.learner
    seen = len({position for experience in stream.experiences[:TASKS] for position in experience.classes})
    for call, what, scores in _scores(learner, stream, learner.trainer.encodings, size=5):
        if not isinstance(scores, Tensor) or scores.ndim != 2 or not scores.is_floating_point():
            shape = _shape(scores)
            raise CheckFailure(f"{call} returned {shape} for 5 images{what}.", "return floating-point [B, classes].")
        if scores.shape[1] < seen:
            raise CheckFailure(
                f"{call} returned {counted(scores.shape[1], 'column')}{what} after {seen} classes were seen.",
                "return one column per class position seen, in the order of positions.",
            )
        if not bool(torch.isfinite(scores[:, :seen]).all()) and not what:
            raise CheckFailure(f"{call} returned infinite or NaN scores for classes seen.", "keep scores finite.")
    _check_unknown_answer(learner, stream)


def pure(bench: Workbench) -> None:
    """`predict` changes nothing: not the state, not the random streams; asked again it gives the same scores."""
    learner, stream = bench.reference.learner, bench.stream()
    before, generators = state.clone(learner.get_state()), torch.get_rng_state()
    first = [scores.clone() for *_, scores in _scores(learner, stream, learner.trainer.encodings, size=16)]
    if changed := next(differences(before, learner.get_state()), None):
        raise CheckFailure(
            f"predict changed the learner's {changed}.",
            "move what predict updates into learn; predict must not count either.",
        )
    if not torch.equal(generators, torch.get_rng_state()):
        raise CheckFailure(
            "predict drew from torch's global random stream.",
            "draw in learn and keep the result, or put modules into evaluation mode.",
        )
    torch.manual_seed(12345)
    again = _scores(learner, stream, learner.trainer.encodings, size=16)
    torch.set_rng_state(generators)
    for one, (call, _, two) in zip(first, again, strict=True):
        if not torch.equal(one, two):
            gap = (one - two).abs().max().item()
            raise CheckFailure(
                f"{call} gave scores that differ by up to {gap:.3g} when asked again for the same images.",
                f"remove randomness and counters from {call}.",
            )


def batch_independent(bench: Workbench) -> None:
    """Scores of an image do not depend on the rest of the batch or on its order (in float64 if possible)."""
    bench.reference  # noqa: B018 - the check `runs` reports a strategy that does not run
    stream = bench.stream()
    learner = bench.start(bench.learner(exact=True), stream)
    bench.learn(learner, stream, range(TASKS))
    for module in state.modules_of(learner):
        module.eval()
    if not learner.ready:
        raise CheckSkipped("not ready to predict after three tasks.")
    tolerance = 1e-7 if _doubled(learner, stream) else 1e-4
    rng = np.random.default_rng(0)
    for task, answer in itertools.product(_tasks(learner), ("", *learner.answers)):
        rows = stream.test_rows(range(TASKS) if task is None else [task])[0]
        whole = _score_by_row(learner, stream, rows, len(rows), task, answer)
        for order, size in ((rows, 1), (rng.permutation(rows), 7), (rng.permutation(rows), len(rows))):
            for row, scores in _score_by_row(learner, stream, order, size, task, answer).items():
                expected = whole[row]
                gap = (scores - expected).abs().max().item()
                two = expected.topk(min(2, len(expected))).values
                tie = bool(two[0] - two[-1] < MARGIN)
                if gap > tolerance * max(1.0, expected.abs().max().item()) and not (tie and gap < MARGIN):
                    raise CheckFailure(
                        f"scores of a test image change by up to {gap:.3g} when it comes in a batch of {size} instead "
                        f"of {len(rows)}.",
                        "use nothing of the batch but the image itself: no batch statistics, no vote over the batch.",
                    )


def frozen(bench: Workbench) -> None:
    """Backbone tensors that no `fit` was given stay bit-identical."""
    if bench.reference.touched:
        task, name = bench.reference.touched[0]
        count = len(bench.reference.touched)
        raise CheckFailure(
            f"backbone tensor {name!r} changed in task {task} although no fit was given it"
            f"{f' (and {count - 1} more)' if count > 1 else ''}.",
            "train it through self.fit, or freeze it; a frozen batch norm must stay in evaluation mode.",
        )


# ------------------------------------------------------------------------------------------------------------ helpers


class _Heard(Inputs):
    """Inputs that keep the features that `predict` asks for; `plain` if it asks for the images too."""

    def __init__(self, source: StoredImages) -> None:
        super().__init__(None, "cpu", source)
        self.features: list[Tensor] = []
        self.plain = False

    def encode(self, extractor: Extractor) -> Tensor:
        self.features.append(super().encode(extractor))
        return self.features[-1]

    def images(self, transform: Transform) -> Tensor:
        self.plain = True
        return super().images(transform)


def _check_extractor(bench: Workbench) -> None:
    """Whether `extractor` gives the features of `predict`, alone or joined; not known if `predict` reads the images."""
    learner, stream = bench.reference.learner, bench.stream()
    if not learner.one_network or not learner.ready:
        return
    rows = stream.test_rows(range(TASKS))[0][:16]
    heard = _Heard(StoredImages(learner.trainer.encodings, stream.store("test"), rows))
    with torch.no_grad():
        learner.predict(heard, _tasks(learner)[0])
        extractor = learner.extractor()
        own = extractor(extractor.transform(pixels_of(stream.store("test"), rows)))
    known = [*heard.features, torch.cat([each.flatten(1) for each in heard.features], 1)] if heard.features else []
    same = any(each.shape == own.shape and torch.allclose(each, own, rtol=1e-4, atol=1e-4) for each in known)
    if known and not heard.plain and not same:
        raise CheckFailure(
            "predict encodes images with another network than extractor() returns.",
            "let extractor return that network, or declare one_network = False: a probe would measure the wrong one.",
        )


def _tasks(learner: Strategy) -> list[int | None]:
    """Tasks to pass to `predict`: None for rules on shared scores, then every task for `til_oracle`."""
    shared: list[int | None] = [None] if set(learner.rules) != {"til_oracle"} else []
    return shared + (list(range(TASKS)) if "til_oracle" in learner.rules else [])


def _scores(learner: Strategy, stream: Stream, encodings: Any, size: int) -> list[tuple[str, str, Tensor]]:
    """Scores of the first test images per answer and task that it is asked for: the call, the task, the scores."""
    if not learner.ready:
        raise CheckSkipped("not ready to predict after three tasks.")
    found = []
    for task, answer in itertools.product(_tasks(learner), ("", *learner.answers)):
        rows = stream.test_rows(range(TASKS) if task is None else [task])[0][:size]
        scores = _answer(
            learner, Inputs(None, "cpu", StoredImages(encodings, stream.store("test"), rows)), task, answer
        )
        found.append((_call(answer), "" if task is None else f" with task={task}", scores))
    return found


def _call(answer: str) -> str:
    return f"answer({answer!r})" if answer else "predict"


@torch.no_grad()
def _answer(learner: Strategy, inputs: Inputs, task: int | None, name: str) -> Tensor:
    return learner.answer(name, inputs, task) if name else learner.predict(inputs, task)


def _check_unknown_answer(learner: Strategy, stream: Stream) -> None:
    source = StoredImages(learner.trainer.encodings, stream.store("test"), np.arange(1))
    try:
        _answer(learner, Inputs(None, "cpu", source), _tasks(learner)[0], "unknown_answer")
    except UsageError:
        return
    except Exception as error:
        raised = f"raised {type(error).__name__}"
    else:
        raised = "returned scores"
    raise CheckFailure(
        f"answer with an unknown name {raised}.", "end answer with `return super().answer(name, inputs, task)`."
    )


def _score_by_row(
    learner: Strategy, stream: Stream, order: np.ndarray, size: int, task: int | None, answer: str
) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), size):
        part = order[start : start + size]
        source = StoredImages(learner.trainer.encodings, stream.store("test"), part)
        scores = _answer(learner, Inputs(None, "cpu", source), task, answer)
        found |= dict(zip(part.tolist(), scores, strict=True))
    return found


def _doubled(learner: Strategy, stream: Stream) -> bool:
    """Convert a learner to float64; returns False, and leaves it in float32, if its code needs another type."""
    single = state.clone(learner.get_state())
    transform = learner.backbone.transform
    for module in state.modules_of(learner):
        module.double()
    learner.set_state(_double(learner.get_state()))
    learner.backbone.transform = _Double(**vars(transform))
    try:
        _scores(learner, stream, learner.trainer.encodings, size=2)
    except RuntimeError as error:
        if "dtype" not in str(error) and "Double" not in str(error):
            raise
        for module in state.modules_of(learner):
            module.float()
        learner.set_state(single)
        learner.backbone.transform = transform
        return False
    return True


class _Double(Transform):
    def __call__(self, pixels: Tensor) -> Tensor:
        return super().__call__(pixels).double()


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _double(item) for key, item in value.items()}
    return [_double(item) for item in value] if isinstance(value, list) else value


def _shape(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _read_in_source(method: type[Strategy]) -> set[str]:
    """Attribute names in the modules of a strategy and its bases: what is read under other options."""
    names: set[str] = set()
    for module in {inspect.getmodule(kind) for kind in method.__mro__ if issubclass(kind, Strategy)}:
        if module is not None and module.__name__ != Strategy.__module__:
            tree = ast.parse(inspect.getsource(module))
            names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return names
