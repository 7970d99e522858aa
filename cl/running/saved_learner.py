"""The learner of a finished run in one file, next to its record; it is rebuilt without the stream's data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import ClbenchError, DataError, UsageError
from cl.running.folder import KEEP_LEARNER
from cl.strategy import Strategy
from cl.stream import StreamInfo
from cl.training import state
from cl.training.checkpoint import Checkpoint, Key

FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """The contents of the file.

    `strategy` is the record's description of the strategy, `backbone` the identity of its weights and transform,
    `learned` the state after the last task, `setup` the journal of what `setup` computed (empty for most methods),
    `calibration` that of its probabilities, None in a file of an earlier version.
    """

    strategy: Mapping[str, Any]
    backbone: Mapping[str, Any]
    info: StreamInfo
    learned: state.State
    setup: Sequence[Mapping[str, Any]]
    calibration: Mapping[str, Any] | None = None


def save(
    path: Path, strategy: Strategy, about: Mapping[str, Any], calibration: Mapping[str, Any] | None = None
) -> None:
    """Write a learner atomically as safetensors; raises `StorageError` if it cannot be written.

    `about` is the record's description of the strategy, `calibration` the values of a
    `cl.running.calibration.Calibration`.
    """
    checkpoint = strategy.trainer.journal.checkpoint
    content = {
        "format": FORMAT,
        "strategy": dict(about),
        "backbone": strategy.backbone.identity,
        "info": asdict(strategy.info),
        "state": strategy.get_state(),
        "setup": checkpoint.setup_entries() if checkpoint else [],
        **({} if calibration is None else {"calibration": dict(calibration)}),
    }
    state.save(path, content)


def load(path: Path) -> Saved:
    """Read what `save` wrote; warns if the strategy's code has changed since.

    Raises `UsageError` if the strategy is not registered, `DataError` for a damaged file or another format.
    """
    content = state.load(path, fix=KEEP_LEARNER)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is not a learner that this version of clbench can read; update clbench.")
    name = str(content["strategy"]["name"])
    if name not in registry.strategies:
        raise UsageError(
            f"{path} is of strategy '{name}' ({content['strategy']['distribution']}), which is not here; install what "
            f"provides it, or register its class with cl.registry.strategies.register('{name}', ...)."
        )
    if content["strategy"]["source_sha256"] != registry.strategies.source_sha256(name):
        warnings.warn(f"The code of {name} has changed since {path} was trained.", stacklevel=3)
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content["info"].items()}
    return Saved(
        content["strategy"], content["backbone"], StreamInfo(**fields), content["state"], content["setup"],
        content.get("calibration"),
    )  # fmt: skip


def rebuild(saved: Saved, strategy: Strategy, path: Path) -> Strategy:
    """Load the saved state into a new strategy, which is then ready to predict.

    The strategy's trainer must have the `SetupJournal` of `saved`, so that `setup` computes nothing again. Raises
    `DataError` if the backbone differs from the one in training, or if the strategy's code no longer fits.
    """
    check_backbone(saved, strategy, path)
    strategy.info = saved.info

    def restore() -> None:
        strategy.setup(saved.info)
        strategy.set_state(saved.learned)

    fitting(saved, path, restore)
    for module in state.modules_of(strategy):
        module.eval()
    return strategy


def fitting(saved: Saved, path: Path, restore: Callable[[], None]) -> None:
    """Call a function that restores a saved state; raises `DataError` if the strategy's code no longer fits it."""
    try:
        restore()
    except (ClbenchError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path} does not fit the code of {saved.strategy['name']} as it is now ({reason}); use the version that "
            "trained it, or run again."
        ) from error


def check_backbone(saved: Saved, strategy: Strategy, path: Path) -> None:
    """Raise `DataError` if a strategy has another backbone than the saved learner."""
    wanted, found = saved.backbone, strategy.backbone.identity
    differing = [key for key in ("weights_sha256", *wanted) if found.get(key) != wanted.get(key)]
    if differing:
        key = differing[0]
        raise DataError(
            f"{path} was trained with other weights or preprocessing of backbone {wanted['name']} "
            f"({key} {wanted.get(key)}, here {found.get(key)}); put back what it used, or run again."
        )


class SetupJournal(Checkpoint):
    """A checkpoint that returns the results of `compute` in the saved run's `setup`; it writes nothing."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self._entries = {Key(**entry["key"]): dict(entry) for entry in entries}

    def due(self, task: int = 0) -> bool:
        return False

    def load_entry(self, key: Key) -> dict[str, Any] | None:
        return self._entries.get(key)

    def load_partial(self, key: Key) -> dict[str, Any] | None:
        return None
