"""The Slurm executor: runs are jobs of job arrays, which submitit submits, and requeues when their time ends."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cl.errors import INTERRUPTED, ClbenchError, UsageError, printable
from cl.executors import worker
from cl.executors.base import Executor, GridObserver, Outcome, failed
from cl.executors.local import GRACE
from cl.executors.placement import Waiting
from cl.executors.slurm_job import BEGINS, ENDED, MARK, Job, Numbered
from cl.options import nested, option
from cl.plan.plan import Plan
from cl.running.existing import complete_record
from cl.running.result import RunResult

POLL = 2.0
"""Seconds between looks at the folder of the jobs."""
ASK = 15.0
"""Seconds between questions to Slurm which jobs it still knows; a cluster may have no accounting, so it is squeue."""
_LINE = re.compile(rf"^{MARK} (\d+)(?: ({BEGINS}|{ENDED})|: (.*))$")

log = logging.getLogger("clbench")


@dataclass(frozen=True, kw_only=True)
class SlurmExecutor(Executor):
    """Executes runs as jobs of Slurm job arrays, by submitit; nodes and this machine share the results folder.

    When the time of a job ends, or it is preempted, it is requeued, and its run continues from its checkpoint. Jobs
    are cancelled when the command is interrupted, unless `detach` is set.
    """

    partition: str = option("", "partitions of Slurm, separated by commas; empty: Slurm's default")
    account: str = option("", "account that pays; empty: Slurm's default")
    time: int = option(240, "minutes that a job may take before it is requeued", ge=1)
    requeues: int = option(10, "how often a job may be requeued because its time has ended", ge=0)
    cpus: int | None = option(None, "CPUs per run; none: as many as --threads, else 1", ge=1)
    gpus: int = option(0, "GPUs per run", ge=0)
    mem: float = option(0.0, "GB of memory per job; 0: Slurm's default", ge=0)
    at_most: int = option(256, "jobs of an array that run at the same time", ge=1)
    array: int = option(1000, "jobs of one array; more become several arrays (MaxArraySize of Slurm)", ge=1)
    runs_per_job: int = option(1, "runs that one job executes, one after the other", ge=1)
    detach: bool = option(False, "return once the jobs are submitted, and leave them alone")
    cluster: str = option("slurm", "slurm, or local: processes of this machine, for tests", choices=("slurm", "local"))
    folder: str = option("", "folder of the jobs' logs, shared with the nodes; empty: sweeps/slurm in the results")
    slurm: Mapping[str, Any] = nested("slurm", "Further options of sbatch, such as slurm.qos or slurm.constraint.")

    requires: ClassVar[Mapping[str, str]] = {"submitit": "clbench[slurm]"}

    def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]:
        """Execute the plans; see `Executor.execute`. With `detach`, there are outcomes of complete runs only.

        Raises `UsageError` if Slurm is not here or refuses an option. With `detach`, Ctrl-C raises `KeyboardInterrupt`
        after the jobs were cancelled.
        """
        return _Grid(self, plans, observer).run()

    def at_once(self, plans: Sequence[Plan]) -> int:
        """The jobs of one array that run at the same time."""
        return min(self.at_most, max(1, len(plans)))

    @property
    def detaches(self) -> bool:
        return self.detach

    def runs_per_process(self, plans: Sequence[Plan]) -> int:
        """The runs of a job."""
        return self.runs_per_job


@dataclass
class _Submitted:
    """A job and how much of its log has been read."""

    job: Any
    runs: list[Numbered]
    read: int = 0
    rest: str = ""
    begun: set[int] = field(default_factory=set)


class _Grid:
    """The plans of one call and their jobs."""

    def __init__(self, how: SlurmExecutor, plans: Sequence[Plan], observer: GridObserver) -> None:
        cpus = how.cpus or how.threads or 1
        self.how = dataclasses.replace(how, cpus=cpus, threads=how.threads or cpus)
        self.plans, self.observer, self.total = plans, observer, len(plans)
        self.jobs: list[_Submitted] = []
        self.outcomes: dict[int, Outcome] = {}
        self.asked, self.missed = time.monotonic(), set[str]()

    def run(self) -> list[Outcome]:
        try:
            runs = self._incomplete()
            if runs:
                self._submit(runs)
            while self.jobs and not self.how.detach:
                self._look()
                if self.jobs:
                    time.sleep(POLL)
        except KeyboardInterrupt:
            self._interrupt()
            if self.how.detach:  # else runs without an outcome would count as submitted
                raise
        return [self.outcomes[index] for index in sorted(self.outcomes)]

    # ---------------------------------------------------------------------------------------------- submitting

    def _incomplete(self) -> list[Numbered]:
        """The runs to submit, in an order in which one run computes the features that others need."""
        waiting, runs = Waiting(self.plans), []
        while waiting:
            index, plan = waiting.take()
            done = worker.complete(plan, self.how, lambda text, plan=plan: self.observer.line(plan, text))  # type: ignore[misc]
            if done is None:
                runs.append((index, plan))
                continue
            waiting.ended(index, plan, well=not done.exit_code)
            self.observer.started(plan, index, self.total)
            self._finish(index, done)
        return runs

    def _submit(self, runs: Sequence[Numbered]) -> None:
        executor = self._executor(runs[0][1].results)
        size = self.how.runs_per_job
        chunks = [list(runs[start : start + size]) for start in range(0, len(runs), size)]
        for start in range(0, len(chunks), self.how.array):
            array = chunks[start : start + self.how.array]
            try:
                made = executor.submit_array([Job(_absolute(chunk), self.how) for chunk in array])
            except Exception as error:  # of sbatch, or a plan that cannot be sent
                self._cancel()
                raise UsageError(f"The jobs cannot be submitted: {_short(error)}") from error
            self.jobs += [_Submitted(job, chunk) for job, chunk in zip(made, array, strict=True)]
        if self.how.detach:
            log.warning(
                "%d jobs are submitted: %s. `clbench sweep status` shows their runs; their logs are in %s.",
                len(self.jobs), ", ".join(self._arrays()[:5]), executor.folder,
            )  # fmt: skip

    def _executor(self, results: Path) -> Any:
        """Submitit's executor with our options; raises `UsageError`."""
        import submitit

        logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns where Slurm keeps no accounts
        how, given = self.how, dict(self.how.slurm)
        folder = Path(how.folder).expanduser() if how.folder else results / "sweeps" / "slurm"
        named = {"partition": how.partition, "account": how.account, "array_parallelism": how.at_most}
        try:
            if how.cluster == "slurm":
                from submitit.slurm.slurm import _get_default_parameters as known

                named |= {key: given.pop(key) for key in list(given) if key in known()}
                named["additional_parameters"] = given
            executor = submitit.AutoExecutor(
                folder.absolute(), cluster=how.cluster, **{f"{how.cluster}_max_num_timeout": how.requeues}
            )
            executor.update_parameters(
                name="clbench", timeout_min=how.time, cpus_per_task=how.cpus, gpus_per_node=how.gpus, nodes=1,
                tasks_per_node=1, mem_gb=how.mem or None,
                **{f"slurm_{key}": value for key, value in named.items() if value},
            )  # fmt: skip
        except RuntimeError as error:
            raise UsageError(
                f"Slurm is not on this machine ({_short(error)}) Run this where sbatch and srun are."
            ) from error
        except (ValueError, NameError, AssertionError) as error:
            raise UsageError(f"submitit refuses these options: {_short(error)}") from error
        return executor

    # ----------------------------------------------------------------------------------------------- listening

    def _look(self) -> None:
        """Read the logs of the jobs, and collect those that have ended."""
        gone = self._gone()
        folder = self.jobs[0].job.paths.folder
        names = set(os.listdir(folder)) if folder.is_dir() else set()
        for submitted in list(self.jobs):
            paths = submitted.job.paths
            if paths.stdout.name in names:
                self._hear(submitted)
            if paths.result_pickle.name in names or submitted.job.job_id in gone:
                self._hear(submitted)
                self.jobs.remove(submitted)
                self._collect(submitted)

    def _gone(self) -> set[str]:
        """Jobs that have ended, if it is time to ask: for Slurm, those that it did not know twice in a row.

        A result may become visible here a moment after its job has ended.
        """
        if self.how.cluster != "slurm":
            return {each.job.job_id for each in self.jobs if each.job.done()}
        if time.monotonic() - self.asked < ASK:
            return set()
        self.asked = time.monotonic()
        missing = self._missing()
        gone, self.missed = missing & self.missed, missing
        return gone

    def _missing(self) -> set[str]:
        """Our jobs that are not in Slurm's queue; none if it does not answer."""
        ours = {each.job.job_id for each in self.jobs}
        ask = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(self._arrays())}"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False)
        if answer.returncode and "Invalid job id" not in answer.stderr:
            log.info("squeue: %s", answer.stderr.strip())
            return set()
        return ours - set(answer.stdout.split())

    def _hear(self, submitted: _Submitted) -> None:
        """Forward what a job has written since the last time."""
        with contextlib.suppress(FileNotFoundError), open(submitted.job.paths.stdout, "rb") as stream:
            stream.seek(submitted.read)
            new = stream.read()
            submitted.read += len(new)
            *lines, submitted.rest = (submitted.rest + new.decode(errors="replace")).split("\n")
            for line in lines:
                if match := _LINE.match(line):
                    self._event(submitted, int(match[1]), match[2] or "", match[3] or "")

    def _event(self, submitted: _Submitted, index: int, event: str, text: str) -> None:
        plan = self.plans[index]
        if event == ENDED:
            if index not in self.outcomes and len(submitted.runs) > 1 and (outcome := _on_disk(plan)):
                self._finish(index, outcome)
        elif event != BEGINS:
            self.observer.line(plan, text)
        elif index not in submitted.begun:
            submitted.begun.add(index)
            self.observer.started(plan, index, self.total)
        elif index not in self.outcomes:
            self.observer.line(plan, "the job of this run was requeued.")

    def _collect(self, submitted: _Submitted) -> None:
        """The outcomes of a job that has ended."""
        outcomes, error = _results(submitted.job)
        for number, (index, plan) in enumerate(submitted.runs):
            if index in self.outcomes:
                continue
            if index not in submitted.begun:
                self.observer.started(plan, index, self.total)
            try:
                outcome = worker.with_record(plan, outcomes[number], outcomes.node) if outcomes else _on_disk(plan)
            except ClbenchError as problem:
                outcome = failed(plan, problem)
            self._finish(index, outcome or Outcome(plan, error=error, exit_code=1))

    def _finish(self, index: int, outcome: Outcome) -> None:
        self.observer.finished(outcome)
        self.outcomes[index] = outcome.without_learner()

    # -------------------------------------------------------------------------------------------- interrupting

    def _interrupt(self) -> None:
        """Cancel every job, wait for those that run, and give their runs an outcome."""
        self._cancel()
        until = time.monotonic() + GRACE
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C does not wait
            while any(each.begun for each in self.jobs) and time.monotonic() < until:
                gone = self._missing() if self.how.cluster == "slurm" else self._gone()
                for each in list(self.jobs):
                    self._hear(each)
                    if not each.begun or each.job.job_id in gone:
                        self._interrupted(each)
                time.sleep(1.0)
        for each in list(self.jobs):
            self._interrupted(each)

    def _interrupted(self, submitted: _Submitted) -> None:
        self.jobs.remove(submitted)
        for index, plan in submitted.runs:
            if index in submitted.begun and index not in self.outcomes:
                self._finish(index, _on_disk(plan) or Outcome(plan, error="Interrupted.", exit_code=INTERRUPTED))

    def _arrays(self) -> list[str]:
        """The numbers by which Slurm knows the arrays, or jobs outside of one."""
        return list(dict.fromkeys(each.job.job_id.partition("_")[0] for each in self.jobs))

    def _cancel(self) -> None:
        if self.how.cluster == "slurm":
            if arrays := self._arrays():
                subprocess.run(["scancel", *arrays], check=False)
            return
        for each in self.jobs:
            each.job.cancel()


class _Outcomes(list[Outcome]):
    """The outcomes of a job, and its machine."""

    node = ""


def _results(job: Any) -> tuple[_Outcomes | None, str]:
    """What a job that has ended returned; if nothing, a sentence says why."""
    from submitit.core.utils import UncompletedJobError

    last = ""
    if job.paths.result_pickle.exists():
        try:
            node, found = job.result()
        except UncompletedJobError as error:
            last = _short(error, last=True)
        else:
            outcomes = _Outcomes(found)
            outcomes.node = node
            return outcomes, ""
    else:
        last = f"state {job.state}"
    return None, f"its job {job.job_id} ended without a result ({last}); the same command continues it. " + (
        f"The log of the job is {job.paths.stderr}."
    )


def _on_disk(plan: Plan) -> Outcome | None:
    """The outcome of a run that is complete in the results folder."""
    try:
        record = complete_record(plan.folder)
    except ClbenchError as error:
        return failed(plan, error)
    return None if record is None else Outcome(plan, RunResult(record, plan.folder))


def _absolute(runs: Sequence[Numbered]) -> list[Numbered]:
    """Runs whose folders mean the same in any working folder."""
    return [(index, dataclasses.replace(plan, results=plan.results.absolute(), at=plan.at and plan.at.absolute()))
            for index, plan in runs]  # fmt: skip


def _short(error: BaseException, *, last: bool = False) -> str:
    """The first line of an error, or the last line of the traceback in it, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")] or [type(error).__name__]
    if last:
        traces = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit|Interrupt)\b", line)]
        return printable((traces or lines)[-1][:300])
    return printable(lines[0][:300]).rstrip(".:") + "."
