"""Reads a store of MLflow in files, by its own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl.loggers.mlflow import _files_allowed


def client(store: Path) -> Any:
    """A client of the store."""
    from mlflow.tracking import MlflowClient

    with _files_allowed():
        return MlflowClient(store.absolute().as_uri())


def curves(store: Path, folder: Path | None = None) -> dict[str, list[tuple[int, float]]]:
    """Every curve of the only run in a store, or of the run of a folder, as (step, value); the run is finished."""
    found = client(store)
    runs = found.search_runs([found.get_experiment_by_name("clbench").experiment_id])
    (it,) = (run for run in runs if folder is None or run.data.tags["clbench.folder"] == str(folder))
    assert it.info.status == "FINISHED"
    history = {name: found.get_metric_history(it.info.run_id, name) for name in it.data.metrics}
    return {name: [(each.step, each.value) for each in points] for name, points in history.items()}
