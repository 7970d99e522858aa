"""The Ray executor: every run is a task of a Ray cluster, which places it, and repeats it if its node is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pickle
import shlex
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cl.errors import INTERRUPTED, ClbenchError, RunInUse, UsageError, printable
from cl.executors import ray_node, worker
from cl.executors.base import SKIP_RUNNING, Executor, GridObserver, Outcome, cores, failed
from cl.executors.local import GRACE
from cl.executors.placement import Waiting
from cl.executors.ray_node import Answer, Board, Task
from cl.files import make_folder
from cl.options import option
from cl.plan.command import command_of
from cl.plan.plan import Plan
from cl.running.existing import complete_record
from cl.running.folder import clear, locked

POLL = 1.0
"""Seconds between looks at the cluster: what has ended, what was said, how large it is."""
_REACH = 10.0
"""Seconds that the address of a cluster has to answer."""
_OBJECTS = 256 * 2**20
"""Bytes of the object store of a cluster that is started here; records are small."""

log = logging.getLogger("clbench")


@dataclass(frozen=True, kw_only=True)
class RayExecutor(Executor):
    """Executes every run as a task of a Ray cluster, in a process of its own.

    Ray places the runs by their CPUs and GPUs, and repeats one whose node or process was lost: on a shared disk the
    repeated run continues from its checkpoint. Nodes that join get work.
    """

    address: str = option("", "'auto', HOST:PORT or ray://HOST:10001; empty: RAY_ADDRESS, else a cluster started here")
    cpus: int | None = option(None, "CPUs per run; none: as many as --threads, else 1", ge=1)
    gpus: float | None = option(None, "GPUs per run, or a share of one; none: 1 if the cluster has GPUs, else 0", ge=0)
    memory: float = option(0.0, "GiB of memory that Ray keeps free for a run; 0: not counted", ge=0)
    retries: int = option(3, "how often a run is repeated whose node or process was lost", ge=0)
    in_flight: int = option(0, "runs submitted at once; 0: twice what the cluster executes at once", ge=0)
    shared: bool = option(True, "whether all nodes see the results folder; false: the files of a run are sent back")
    env: tuple[str, ...] = option(
        ("CLBENCH_DATA_PATH", "CLBENCH_HOME", "CLBENCH_OFFLINE"), "variables that the runs get if they are set here"
    )

    requires: ClassVar[Mapping[str, str]] = {"ray": "clbench[ray]"}

    def execute(self, plans: Sequence[Plan], observer: GridObserver) -> list[Outcome]:
        """Execute the plans; see `Executor.execute`. Raises `UsageError` if the cluster cannot be reached."""
        with _connected(self):
            return _Grid(self, plans, observer).run()

    @property
    def cpus_per_run(self) -> int:
        """The CPUs of one run."""
        return self.cpus or self.threads or 1


@contextlib.contextmanager
def _connected(how: RayExecutor) -> Iterator[None]:
    """Connect to the cluster; one that this process is connected to already is used, and stays connected."""
    import ray

    if ray.is_initialized():
        yield
        return
    address = how.address or os.environ.get("RAY_ADDRESS", "")
    options: dict[str, Any] = {"address": address or "local", "log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # clbench sends nothing anywhere
        options |= {"num_cpus": cores(), "object_store_memory": _OBJECTS, "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)
    try:
        _reach(address)
        ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:
        where = f"no Ray cluster at {address}" if address else "a Ray cluster cannot be started here"
        raise UsageError(
            f"{where} ({printable(' '.join(str(error).split())[:300])}); `ray status` shows one."
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray's handler exits; ours interrupts the runs first
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise `OSError` if nothing answers at HOST:PORT; Ray itself would try for more than a minute."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()


@dataclass
class _Submitted:
    index: int
    plan: Plan
    begun: bool = False


class _Grid:
    """The plans of one call and the tasks that execute them, at most `in_flight` at a time."""

    def __init__(self, how: RayExecutor, plans: Sequence[Plan], observer: GridObserver) -> None:
        import ray

        self.ray, self.observer = ray, observer
        self.how = dataclasses.replace(how, threads=how.threads or how.cpus_per_run)
        self.total, self.waiting = len(plans), Waiting(plans)
        self.work = ray.remote(max_calls=1)(ray_node.work)  # torch, its threads and its GPU are set up anew
        self.board: Any = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        self.environment = {name: os.environ[name] for name in how.env if name in os.environ}
        self.tasks: dict[Any, _Submitted] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.room, self.gpus, self.looked, self.alone = 1, 0.0, 0.0, False
        log.info("The runs get %s.", ", ".join(self.environment) or "no environment variable")

    def run(self) -> list[Outcome]:
        try:
            while self.waiting or self.tasks:
                self._look()
                while self.waiting and len(self.tasks) < self.room:
                    self._submit(*self.waiting.take())
                self._listen(POLL)
        except KeyboardInterrupt:
            self._interrupt()
        finally:  # no task outlives this call, however it ends
            for ref in self.tasks:
                self._cancel(ref, force=True)
            with contextlib.suppress(self.ray.exceptions.RayError):
                self.ray.kill(self.board)
        return [self.outcomes[index] for index in sorted(self.outcomes)]

    # ---------------------------------------------------------------------------------------------- submitting

    def _look(self) -> None:
        """See how large the cluster is now, for nodes join and leave."""
        if time.monotonic() - self.looked < POLL:
            return
        self.looked = time.monotonic()
        nodes = [each["Resources"] for each in self.ray.nodes() if each["Alive"]]
        some = 1.0 if any(node.get("GPU", 0) for node in nodes) else 0.0
        self.gpus = some if self.how.gpus is None else self.how.gpus
        holds = sum(self._holds(node) for node in nodes)
        if not holds and not self.alone:
            log.warning("No node of the cluster has %s; the runs wait for one.", self._wanted())
        self.alone = not holds
        self.room = self.how.in_flight or max(1, 2 * holds)

    def _resources(self) -> dict[str, float]:
        wanted = {"CPU": float(self.how.cpus_per_run), "GPU": self.gpus, "memory": self.how.memory * 2**30}
        return {name: amount for name, amount in wanted.items() if amount}

    def _holds(self, node: Mapping[str, float]) -> int:
        """How many runs a node executes at once."""
        return min(int(node.get(name, 0) // amount) for name, amount in self._resources().items())

    def _wanted(self) -> str:
        texts = {"CPU": "{:g} CPU", "GPU": "{:g} GPU", "memory": "{:g} bytes of memory"}
        return " and ".join(texts[name].format(amount) for name, amount in self._resources().items())

    def _submit(self, index: int, plan: Plan) -> None:
        done = worker.complete(plan, self.how, lambda text: self.observer.line(plan, text))
        if done is not None:
            self.observer.started(plan, index, self.total)
            self._finish(index, done)
            return
        at = plan.at.absolute() if plan.at is not None else None
        try:
            content = pickle.dumps(dataclasses.replace(plan, results=plan.results.absolute(), at=at))
        except Exception as error:  # its class is known to this process only
            why = f"{type(error).__name__}: {error}"
            text = f"this run cannot be sent to other nodes ({why}); define its classes in an installed module."
            self.observer.started(plan, index, self.total)
            self._finish(index, Outcome(plan, error=text, exit_code=1))
            return
        task = Task(index, content, plan.title, self.how, self.how.shared, self.environment, os.getcwd())
        on_cpu = plan.device == "cpu" and self.how.gpus is None
        options: dict[str, Any] = {
            "num_gpus": 0 if on_cpu else self.gpus,
            "memory": int(self.how.memory * 2**30) or None,
        }
        ref = self.work.options(
            name=plan.title, num_cpus=self.how.cpus_per_run, max_retries=self.how.retries, **options
        ).remote(task, self.board)
        self.tasks[ref] = _Submitted(index, plan)

    # ----------------------------------------------------------------------------------------------- listening

    def _listen(self, seconds: float) -> None:
        """Wait until a task ends or `seconds` have passed; then take what was said, and every task that has ended."""
        if not self.tasks:
            return
        self.ray.wait(list(self.tasks), num_returns=1, timeout=seconds, fetch_local=False)
        self._hear()
        ended, _ = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0, fetch_local=False)
        for ref in ended:
            task = self.tasks.pop(ref)
            outcome = self._outcome(task.plan, ref)
            if not task.begun:
                self.observer.started(task.plan, task.index, self.total)
            self._finish(task.index, outcome)

    def _hear(self) -> None:
        """Forward what the runs said; without the board, the grid goes on and shows less."""
        try:
            begun, lines = self.ray.get(self.board.take.remote(), timeout=10 * POLL)
        except self.ray.exceptions.RayError as error:
            log.info("The progress of the runs is not known: %s", error)
            return
        tasks = {task.index: task for task in self.tasks.values()}
        for index in begun:
            task = tasks.get(index)
            if task is not None and not task.begun:
                task.begun = True
                self.observer.started(task.plan, index, self.total)
            elif task is not None:
                self.observer.line(task.plan, "the node or process of this run was lost; it is repeated.")
        for index, texts in lines.items():
            for text in texts if index in tasks else ():
                self.observer.line(tasks[index].plan, text)

    def _outcome(self, plan: Plan, ref: Any) -> Outcome:
        """The outcome of a task that has ended, with the record or the files of its run."""
        errors = self.ray.exceptions
        try:
            answer: Answer = self.ray.get(ref)
            return _taken(plan, answer, self.how)
        except errors.TaskCancelledError:
            return Outcome(plan, error="Interrupted.", exit_code=INTERRUPTED)
        except errors.OutOfMemoryError:
            return _lost(plan, "its node ran out of memory", "executor option memory=GIB keeps memory free for a run; ")
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError):
            times = self.how.retries + 1
            return _lost(plan, f"its node or process was lost {times} time{'s' if times > 1 else ''}")
        except RunInUse as error:  # by a process of this machine, while a node executed it
            if self.how.existing == SKIP_RUNNING:
                return Outcome(plan, skipped="another process is running it.")
            return failed(plan, error)
        except (errors.RayError, ClbenchError, OSError) as error:
            return failed(plan, error)

    def _finish(self, index: int, outcome: Outcome) -> None:
        self.observer.finished(outcome)
        self.outcomes[index] = outcome.without_learner()
        self.waiting.ended(index, outcome.plan, well=not outcome.exit_code)

    # -------------------------------------------------------------------------------------------- interrupting

    def _interrupt(self) -> None:
        """Interrupt every task as Ctrl-C does; end those that do not end in time, which loses unsaved work."""
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C does not wait
            self._hear()
            for ref, task in reversed(list(self.tasks.items())):  # else those that wait would start
                self._cancel(ref, force=False)
                if not task.begun:  # it was submitted and never started
                    del self.tasks[ref]
            until = time.monotonic() + GRACE
            while self.tasks and (left := until - time.monotonic()) > 0:
                self._listen(min(left, POLL))
        for ref, task in list(self.tasks.items()):
            self._cancel(ref, force=True)
            self._finish(task.index, Outcome(task.plan, error="Interrupted.", exit_code=INTERRUPTED))
        self.tasks = {}

    def _cancel(self, ref: Any, *, force: bool) -> None:
        try:
            self.ray.cancel(ref, force=force)
        except (self.ray.exceptions.RayError, ValueError) as error:  # it has ended, or the cluster is gone
            log.info("%s", error)


def _lost(plan: Plan, how: str, advice: str = "") -> Outcome:
    """The outcome of a run that Ray could not execute, with the command that continues it."""
    return Outcome(plan, error=f"{how}; {advice}this continues it: {shlex.join(command_of(plan))}", exit_code=1)


def _taken(plan: Plan, answer: Answer, how: RayExecutor) -> Outcome:
    """The outcome of an answer, with the record as it is in this results folder.

    Raises `DataError` if it is not there, and `RunInUse` or `StorageError` if the files cannot be kept.
    """
    outcome = answer.outcome
    if outcome is None:
        return Outcome(plan, error=answer.error, exit_code=1)
    there = str(outcome.plan.folder)
    if not how.shared and answer.files:
        _keep(plan, answer.files, how, whole=outcome.result is not None)
    if outcome.result is None:
        error = outcome.error if how.shared else outcome.error.replace(there, str(plan.folder))
        return dataclasses.replace(outcome, plan=plan, error=error)
    return worker.with_record(plan, outcome, f"node {answer.node}")


def _keep(plan: Plan, files: Mapping[str, bytes], how: RayExecutor, *, whole: bool) -> None:
    """Write the files that a node returned; never over a complete run, unless it was to start over."""
    make_folder(plan.folder)
    with locked(plan.folder):
        if whole and how.existing == "always":
            clear(plan.folder)
        elif complete_record(plan.folder) is not None:
            return
        ray_node.keep_files(plan.folder, files)
