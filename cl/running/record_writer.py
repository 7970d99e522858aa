"""Writes the files of a run that are derived from its state: record.json, predictions.npz, events.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from cl.errors import ClbenchError, StorageError, counted
from cl.files import remove_temporaries, write_text
from cl.protocol import rules_on
from cl.records import class_table, metrics, predictions, record
from cl.running.environment import environment
from cl.running.evaluation import NONE, Row, Tally, counts
from cl.running.existing import EVENTS, PREDICTIONS, events_text
from cl.running.run_state import RunState
from cl.strategy import Strategy
from cl.stream import Group, Stream
from cl.training.state import parameters_of
from cl.training.trainer import Trainer

_NAMES = ("run_id", "config_hash")
"""Keys of a header that name the run; those that are neither these nor `_MEASURED` are parts of its result."""

_MEASURED = ("tuning",)
"""Keys of a header that are parts of the measurement."""


class Writer:
    """Derives record.json, predictions.npz and events.jsonl from the state of a run."""

    def __init__(
        self, strategy: Strategy, stream: Stream, folder: Path, header: Mapping[str, Any], trainer: Trainer,
        warnings: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.strategy, self.stream, self.folder, self.header = strategy, stream, folder, header
        self.trainer, self.warnings = trainer, warnings
        self.remark = ""  # a warning that is found out in the run
        self.rules, self.split = rules_on(strategy.rules, stream.setting, strategy.answers), stream.split
        self.created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.record: dict[str, Any] = {}
        # Rows and events never change, so each is counted, laid out and written as text once.
        self._tallies: dict[tuple[int, str], Tally] = {}
        self._answers: dict[tuple[str, str], list[np.ndarray]] = {}  # by kind and rule: one array per row, all images
        self._laid_out = 0
        self._events = ""
        self._told = 0
        remove_temporaries(folder)

    def fail(self, state: RunState, error: ClbenchError) -> None:
        """Write a record with the error; the caller raises it."""
        try:
            self.write(state, "failed", str(error))
        except StorageError as second:  # the disk that failed the run cannot hold its record either
            self.trainer.observer.message(str(second))

    def write(self, state: RunState, status: str, error: str | None = None) -> None:
        """Write all files."""
        with self.trainer.cost.part("records"):
            self._write(state, status, error)

    def _write(self, state: RunState, status: str, error: str | None) -> None:
        digest = predictions.write_predictions(
            self.folder / PREDICTIONS, self._predictions(state), compressed=status == "complete"
        )
        result = self._result(state, digest)
        self.record = record.save(
            {
                "schema_version": record.SCHEMA_VERSION,
                "status": status,
                **{key: self.header[key] for key in _NAMES if key in self.header},
                "error": error,
                "result": result,
                "measurement": self._measurement(state),
            },
            self.folder / record.RECORD,
        )
        self._events += events_text(state.events[self._told :])
        self._told = len(state.events)
        write_text(self.folder / EVENTS, self._events)

    def _result(self, state: RunState, digest: str) -> dict[str, Any]:
        stream = self.stream
        test = [len(group.rows["test"]) for group in stream.groups]
        chosen = [group.rows[self.split] for group in stream.groups]
        accuracy: dict[str, Any] = {}
        for rule in self.rules:
            tallies = [self._tally(state, index, rule) for index in range(len(state.rows))]
            accuracy[rule] = {"correct": [t[0] for t in tallies], **class_table.written([t[1] for t in tallies])}
        result = {
            "stream": {
                **stream.identity,
                "name": stream.name,
                **({"family": stream.family} if stream.family else {}),
                "options": stream.options,
                "n_tasks": len(stream.experiences),
                "n_classes": len(stream.class_order),
                "class_names": list(stream.info.class_names),
                "verified": stream.dataset.verified,
                "groups": [_about(group) for group in stream.groups],
                "id": stream.id,
            },
            **{key: value for key, value in self.header.items() if key not in (*_NAMES, *_MEASURED)},
            "backbone": self.strategy.backbone.identity,
            "rows": state.rows,
            "accuracy": accuracy,
            **({"mean_precision": self._mean_precision(state)} if stream.multi_label else {}),
            "count": test,
            "class_count": _images_per_class(stream, "test"),
            **(
                {}
                if self.split == "test"
                else {
                    "split_count": {self.split: [len(rows) for rows in chosen]},
                    "split_class_count": {self.split: _images_per_class(stream, self.split)},
                }
            ),
            "metrics": {},
            "predictions_sha256": digest,
        }
        if "probe" in self.header:
            result["probe"] = {**self.header["probe"], "rows": state.probe}
        return {**result, "metrics": metrics.recorded_metrics(result)}

    def _tally(self, state: RunState, index: int, rule: str) -> Tally:
        if (index, rule) not in self._tallies:
            split = state.rows[index]["split"]
            self._tallies[index, rule] = counts(self.stream, split, state.results[index], rule)
        return self._tallies[index, rule]

    def _mean_precision(self, state: RunState) -> dict[str, list[list[float | None]]]:
        """The mean average precision per rule, row and group; None for groups with one class per image."""
        nothing = np.full(len(self.stream.groups), np.nan)
        return {
            rule: [
                [None if np.isnan(value) else float(value) for value in row.mean_precision.get(rule, nothing)]
                for row in state.results
            ]
            for rule in self.rules
        }

    def _predictions(self, state: RunState) -> predictions.Predictions:
        rows, labels, owners = self.stream.test_rows(range(len(self.stream.groups)), self.split)
        for i in range(self._laid_out, len(state.rows)):
            self._lay_out(i, state.results[i], len(rows), answers=state.rows[i]["split"] == self.split)
        self._laid_out = len(state.rows)
        tables: dict[str, dict[str, np.ndarray]] = {}
        for (kind, rule), arrays in self._answers.items():
            arrays += [_absent(kind, len(rows))] * (self._laid_out - len(arrays))
            tables.setdefault(kind, {})[rule] = np.stack(arrays)
        none: dict[str, np.ndarray] = {rule: np.empty((0, len(rows)), np.int32) for rule in self.rules}
        prediction, margin = (tables.pop(kind, none) for kind in ("prediction", "margin"))
        scores = {kind: tables[kind] for kind in predictions.SCORES if kind in tables}
        return predictions.Predictions(rows, labels, owners, prediction, margin, scores)

    def _lay_out(self, i: int, row: Row, images: int, *, answers: bool) -> None:
        """Lay out the answers of row `i` as arrays over all images; a row of another split has none."""
        for rule in self.rules:
            best, gap = _absent("prediction", images), _absent("margin", images)
            if answers and rule in row.prediction:
                found = row.prediction[rule]
                best[row.index] = np.where(found == NONE, predictions.ABSENT, found)
                gap[row.index] = row.margin[rule]
            self._answers.setdefault(("prediction", rule), []).append(best)
            self._answers.setdefault(("margin", rule), []).append(gap)
        for kind, table in row.scores.items() if answers else ():
            for rule, values in table.items():
                arrays = self._answers.setdefault((kind, rule), [])
                arrays += [_absent(kind, images)] * (i - len(arrays))
                arrays.append(_absent(kind, images))
                arrays[-1][row.index] = values

    def _measurement(self, state: RunState) -> dict[str, Any]:
        cost = self.trainer.cost
        seconds = {name: cost.seconds.get(name, 0.0) for name in ("train", "eval", "data", "encode", "checkpoint")}
        seconds |= {"probe": cost.seconds["probe"]} if "probe" in self.header else {}
        held = {id(parameter): parameter.numel() for parameter in parameters_of(self.strategy)}
        return {
            "created": self.created,
            "seconds": {**seconds, "total": sum(event["seconds"] for event in state.events)},
            "events": state.events,
            "flops": dict(cost.flops),
            "flops_counted_by": cost.counted_by,
            "memory": state.peak,
            **({"energy": state.energy} if state.energy is not None else {}),
            "parameters": {"total": sum(held.values()), "trainable": cost.trainable},
            "stored": state.stored,
            **({"report": state.report} if state.report else {}),
            **{key: self.header[key] for key in _MEASURED if key in self.header},
            **({"groups": facts} if any(facts := [_facts(group) for group in self.stream.groups]) else {}),
            "environment": environment(self.trainer.device),
            "resumed_from": state.resumed_from,
            "warnings": [*self.warnings, *filter(None, [self.remark])],
        }

    def headline(self, state: RunState, *, measured: bool) -> str:
        """One line with the state of the run: classes seen, and if they were `measured` the accuracy of the last row
        under the first rule.

        The accuracy is the mean over tasks where some have several classes per image, else over images. It is called
        mAP if that is the measure of every task so far.
        """
        values: Mapping[str, float | None] = next(iter(self.record["result"]["metrics"].values()), {})
        last = values.get("A_last_task" if self.stream.multi_label else "A_last_sample")
        seen = counted(state.seen, "class")
        return f"{seen}, {self._measure(state)} {100 * last:.2f} %" if measured and last is not None else seen

    def _measure(self, state: RunState) -> str:
        """What the groups of the last row that are due are measured by."""
        task = state.rows[-1]["task"] if state.rows else None
        due = [group.tags is not None for group in self.stream.groups if task is not None and group.task <= task]
        return "mAP" if due and all(due) else "mean of accuracy and mAP" if any(due) else "accuracy"


def _absent(kind: str, images: int) -> np.ndarray:
    """The array of a row without answers."""
    if kind in ("prediction", "rank"):
        return np.full(images, predictions.ABSENT, np.int32)
    return np.full(images, np.nan, np.float32)


def _about(group: Group) -> dict[str, Any]:
    measure = {"measure": "mAP"} if group.tags is not None else {}
    return {"name": group.name, "classes": list(group.classes), "task": group.task, **measure}


def _facts(group: Group) -> dict[str, Any]:
    """What a report says of a group; in the measurement, because it changes no result."""
    return {key: value for key in ("year", "domain") if (value := getattr(group, key))}


def _images_per_class(stream: Stream, split: str) -> list[int]:
    """Images of all groups per class position; an image with several classes counts for each."""
    if not any(len(group.rows[split]) for group in stream.groups):  # sealed: not even their labels are read
        return [0] * len(stream.class_order)
    plain = [index for index, group in enumerate(stream.groups) if group.tags is None]
    _, labels, _ = stream.test_rows(plain, split)
    counted = np.bincount(labels, minlength=len(stream.class_order))
    for group in stream.groups:
        if group.tags is not None:
            counted[list(group.classes)] += group.tags[split].sum(0)
    found: list[int] = counted.tolist()
    return found
