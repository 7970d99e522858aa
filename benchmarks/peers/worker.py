"""A side of a comparison in a process of its own, which computes only when it is its turn."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from typing import Any

from benchmarks.measuring import one_core
from benchmarks.peers.work import Job, Measured

SIDES = ("ours", "theirs")


class Failed(Exception):
    """A side ended with an exception; the message is its traceback, or the sentence of a `ClbenchError`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Worker:
    """The process of one side. It imports and reads everything once, and then does as many runs as asked for."""

    def __init__(self, side: str, job: Job) -> None:
        self.side = side
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(side, job, other), daemon=True)
        threads = str(job.threads)
        before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        os.environ.update(dict.fromkeys(before, threads))  # read when the child imports torch
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        other.close()
        self._receive()

    def begin(self, **arguments: Any) -> None:
        """Prepare a run, which `step` then continues; `arguments` are those of the sides' `run`, and `core`."""
        self._pipe.send(arguments)

    def step(self) -> Measured | None:
        """Give the turn to this side until it hands it back; the result once the run is complete."""
        self._pipe.send("go")
        return self._receive()

    def close(self) -> None:
        self._pipe.close()
        self._process.join(30)

    def _receive(self) -> Any:
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            raise Failed(f"the process of {self.side} ended") from None
        if kind == "error":
            raise Failed(*value)
        return value


def _serve(side: str, job: Job, pipe: Any) -> None:
    """The main function of the process."""
    try:
        os.environ["CLBENCH_OFFLINE"] = "1"
        import torch

        torch.set_num_threads(job.threads)
        from benchmarks.peers import ours, theirs
        from cl.training.cost import peak_memory

        stream = ours.prepare(job)
        pipe.send(("ready", None))
        while True:
            arguments = pipe.recv()
            core = arguments.pop("core", None)
            if core is not None:
                one_core(core)
            assert pipe.recv() == "go"
            waited = 0.0

            def turn() -> None:
                nonlocal waited
                clock = time.perf_counter()
                pipe.send(("turn", None))
                pipe.recv()
                waited += time.perf_counter() - clock

            found = (ours if side == "ours" else theirs).run(job, stream, turn, **arguments)
            found.whole.wall -= waited
            found.peak = peak_memory()["peak_rss"]
            pipe.send(("done", found))
    except EOFError:
        return  # the program has closed the pipe
    except BaseException as error:
        code = getattr(error, "exit_code", None)  # of a ClbenchError, which has a sentence for users
        pipe.send(("error", (traceback.format_exc(),) if code is None else (str(error), code)))
