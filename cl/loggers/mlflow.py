"""MLflow: curves of all runs in one store, next to each other."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from cl.files import write_text
from cl.leases import lease
from cl.loggers import Logger, described

STORE = "mlruns"
RUN = "mlflow.txt"
"""In the folder of a run: the id of its MLflow run, and the store in the second line."""

EXPERIMENT = "clbench"
_PENDING, _SECONDS = 100, 5.0
"""Numbers that are written together, and the longest that one waits for others."""

_LONGEST = 500
"""Characters of a parameter's value that every store takes."""

_STATUS = {"complete": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class MLflow(Logger):
    """Losses, metrics and the accuracy on every group, in MLflow: `mlflow ui --backend-store-uri results/mlruns`.

    Writes to MLFLOW_TRACKING_URI, else to files in `mlruns/` of the results folder; sends nothing if neither names a
    server. The experiment is `clbench`, or MLFLOW_EXPERIMENT_NAME. A resumed run continues the same run; steps written
    before are not written again. Characters that MLflow does not take in a name become "_", with a hash of the name.
    """

    requires = {"mlflow": "clbench[mlflow]"}  # noqa: RUF012 - never changed

    def start(self, run: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at import
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self._point, self._client_of = Metric, MlflowClient
        self._pending: list[tuple[str, float, int]] = []
        self._due = time.monotonic() + _SECONDS
        where = os.environ.get("MLFLOW_TRACKING_URI") or Path(run["results"], STORE).absolute().as_uri()
        with _files_allowed():
            self._client = self._connected(where)
            self._run, self._last = self._continued(Path(run["folder"]) / RUN, where)
            if not self._run:
                self._run = self._created(run)
                write_text(Path(run["folder"]) / RUN, f"{self._run}\n{where}\n")

    def scalar(self, name: str, value: float, step: int) -> None:
        key = allowed(name)
        if step <= self._last.get(key, -1):
            return
        self._pending.append((key, value, step))
        if len(self._pending) >= _PENDING or time.monotonic() > self._due:
            self._write()

    def evaluated(self, record: Mapping[str, Any]) -> None:
        self._write()

    def close(self, status: str) -> None:
        self._write()
        self._client.set_terminated(self._run, _STATUS.get(status, "FAILED"))

    def _write(self) -> None:
        now = int(time.time() * 1000)
        points = [self._point(key, value, now, step) for key, value, step in self._pending]
        if points:
            self._client.log_batch(self._run, metrics=points)
        self._pending, self._due = [], time.monotonic() + _SECONDS

    def _connected(self, where: str) -> Any:
        """A client of the store; a store in files is made by one process at a time."""
        if not where.startswith("file:"):
            return self._client_of(where)
        folder = Path(url2pathname(urlparse(where).path))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lease(folder.parent / f".{folder.name}"):
            return self._client_of(where)

    def _continued(self, file: Path, where: str) -> tuple[str, dict[str, int]]:
        """The run that this run's folder names, and the last step of each of its curves; nothing for a new run."""
        if not file.is_file():
            return "", {}
        name, store, *_ = [*file.read_text(encoding="utf-8").splitlines(), "", ""]
        if store != where:  # another store since: a new run there
            return "", {}
        found = self._client.get_run(name)
        self._client.update_run(name, status="RUNNING")
        curves = {key: self._client.get_metric_history(name, key) for key in found.data.metrics}
        return name, {key: max(point.step for point in points) for key, points in curves.items()}

    def _created(self, run: Mapping[str, Any]) -> str:
        from mlflow.entities import Param, RunTag

        name, folder = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT), str(Path(run["folder"]).absolute())
        params = [Param(allowed(key), str(value)[:_LONGEST]) for key, value in described(run).items()]
        with lease(Path(run["results"]) / f".{STORE}"):  # two processes would make the experiment twice
            known = self._client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else self._client.create_experiment(name)
        made: str = self._client.create_run(experiment, run_name=run["title"]).info.run_id
        self._client.log_batch(made, params=params, tags=[RunTag("clbench.folder", folder)])
        return made


@contextmanager
def _files_allowed() -> Iterator[None]:
    """MLflow refuses a store in files unless this variable is set, since version 3.7; it reads it when it opens one."""
    name = "MLFLOW_ALLOW_FILE_STORE"
    before = os.environ.get(name)
    os.environ.setdefault(name, "true")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def allowed(name: str) -> str:
    """A name that MLflow takes: letters, digits and _ - . / space; different names stay different."""
    text = re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)
    return text if text == name else f"{text} {hashlib.sha256(name.encode()).hexdigest()[:6]}"
