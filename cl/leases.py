"""Leases: one process at a time holds a name in a folder, also where several machines share the disk.

A lease needs exclusive creation of a file (O_EXCL: every local file system, SMB, NFS from version 3), and that an
opened file shows what was written before another machine closed it (close-to-open consistency). It needs no file locks,
no hard links, and no synchronised clocks.

The holder of NAME is the process that created NAME.G with the highest G. Every `BEAT` seconds it raises a counter in
that file. Whoever finds the file watches the counter, and no clock but its own: a counter that has not changed for
`PATIENCE` seconds belongs to a dead holder. A holder on this machine is dead once its process is gone. A dead lease is
taken over by creating NAME.G+1, which only one process can do, and then removing NAME.G. A process that was suspended
or cut off finds its file gone, which an opened file shows reliably, and stops before it writes anything more.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from cl.errors import RunInUse

BEAT = 10.0
"""Seconds between two changes of a holder's counter."""

PATIENCE = 60.0
"""Seconds of watching after which a holder whose counter does not change counts as dead."""

EMPTY = 1.0
"""The same for a file without content, which a process wrote that ended between two system calls."""

LEASES = "leases"
"""Folder for leases next to many other files: every look at a lease lists its folder."""

_BINARY = getattr(os, "O_BINARY", 0)
_OURS: set[bytes] = set()
"""Names of the leases that this process holds or is about to hold."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease: since when by its own clock, and whether it lives as far as this machine knows."""

    host: str
    pid: int
    since: str
    alive: bool | None


class Held(Exception):
    """Another process holds the lease."""


class Lease:
    """A lease that this process holds: generation `number` of `path`."""

    def __init__(self, path: Path, number: int, name: bytes, disk: int) -> None:
        self.path, self.name, self.lost = path, name, False
        self.file, self._next = _file(path, number), _file(path, number + 1)
        self._count, self._released = 0, False
        self._heart = _heart(disk)
        self._heart.leases.add(self)

    def check(self) -> None:
        """Raise `RunInUse` if another process took the lease over, and `OSError` if the disk does not answer."""
        if not self.lost:
            try:
                self.lost = _name_of(_read(self.file)) != self.name or os.path.exists(self._next)
            except FileNotFoundError:
                os.stat(self.file.parent)  # without its folder the disk is away, and the lease may still be ours
                self.lost = True
        if self.lost:
            what = self.path.parent if self.path.name.startswith(".") else self.path.with_suffix("")
            raise RunInUse(
                f"Another process took {what} over while this one was stopped or cut off from the disk; "
                "it goes on there, and this one has overwritten nothing."
            )

    def beat(self) -> None:
        """Raise the counter, in place: a file renamed over it could bring back a lease that was taken over."""
        if self._released:
            self.release()
            return
        try:
            with open(self.file, "r+b", buffering=0) as file:
                if _name_of(file.read()) != self.name:
                    self.lost = True
                    return
                self._count += 1
                file.seek(len(self.name) + 1)
                file.write(b"%020d" % self._count)
        except OSError:  # `check` decides whether the lease is lost or its disk is away
            return

    def release(self) -> None:
        """Remove the lease, if it is still ours; a disk that is away is asked again until it answers."""
        if not self._released and self.name not in _OURS:
            return  # in a forked child: the lease is its parent's
        self._released = True
        _OURS.discard(self.name)
        try:
            if _name_of(_read(self.file)) == self.name:
                self.file.unlink(missing_ok=True)
        except FileNotFoundError:
            if not self.file.parent.is_dir():
                return
        except OSError:
            return
        self._heart.leases.discard(self)


@contextmanager
def lease(path: Path, *, wait: bool = True, patience: float | None = None) -> Iterator[Lease]:
    """Hold the lease `path` in a `with` block: as `acquire`, and released at its end."""
    held = acquire(path, wait=wait, patience=patience)
    try:
        yield held
    finally:
        held.release()


def acquire(path: Path, *, wait: bool = True, patience: float | None = None) -> Lease:
    """Take the lease `path`, a name in a folder that exists; threads exclude each other as processes do.

    With `wait` false it raises `Held` at once for a living process of this machine, and for another machine as soon as
    its counter changes. A holder whose counter does not change for `patience` seconds is dead. Raises `OSError` if the
    folder cannot be written.
    """
    path = Path(os.path.abspath(path))
    watch = _Watch(PATIENCE if patience is None else patience)
    pause = 0.002
    while True:
        found = _generations(path)
        state = watch.look(found)
        if state == "dead":
            mine = _create(path, found)
            if mine is not None:
                return mine
        elif state == "alive" and not wait:
            raise Held(str(path))
        time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
        pause = min(1.5 * pause, 0.25)


def holder(path: Path) -> Holder | None:
    """Who holds the lease `path`, without disturbing or waiting; None if nobody does or a dead process did."""
    found = _generations(path)
    about = _parsed(found[max(found)]) if found else {}
    if not about:
        return None
    alive = _lives(about, _name_of(found[max(found)]))
    return Holder(about["host"], about["pid"], about["since"], alive)


def is_lease(name: str, of: str) -> bool:
    """Whether a file name is that of a generation of the lease named `of`."""
    start, _, number = name.rpartition(".")
    return start == of and number.isdecimal()


# --------------------------------------------------------------------------------------------------------------- files


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _generations(path: Path) -> dict[int, bytes]:
    """The content of each generation of a lease."""
    found = {}
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for name in [entry.name for entry in entries if is_lease(entry.name, path.name)]:
            with suppress(FileNotFoundError):
                found[int(name.rpartition(".")[2])] = _read(path.with_name(name))
    return found


def _read(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | _BINARY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _name_of(content: bytes) -> bytes:
    """The first line, which never changes; the counter follows it."""
    return content.partition(b"\n")[0]


def _create(path: Path, dead: Mapping[int, bytes]) -> Lease | None:
    """Take the generation after those that were found dead; None if another process was faster."""
    number = max(dead, default=0) + 1
    name, file = _identity(), _file(path, number)
    _OURS.add(name)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        try:
            os.write(descriptor, name + b"\n" + b"%020d\n" % 0)
            disk = os.fstat(descriptor).st_dev
        finally:
            os.close(descriptor)
        # Between the look and the creation, others may have taken the dead one over and even have released it.
        now = {key: _name_of(content) for key, content in _generations(path).items()}
        lower = {key for key in now if key < number}
        if (
            max(now, default=0) == number
            and now[number] == name
            and all(key in dead and _name_of(dead[key]) == now[key] for key in lower)
        ):
            for key in sorted(lower):  # a suspended holder looks for its own file and the next
                _file(path, key).unlink(missing_ok=True)
            return Lease(path, number, name, disk)
        if now.get(number) == name:
            file.unlink(missing_ok=True)
    except FileExistsError:
        pass
    except BaseException:
        _OURS.discard(name)
        raise
    _OURS.discard(name)
    return None


# -------------------------------------------------------------------------------------------------------------- holders


def _identity() -> bytes:
    host, machine = here()
    about = {
        "host": host,
        "machine": machine,
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "token": secrets.token_hex(8),
    }
    return json.dumps(about).encode()


@cache
def here() -> tuple[str, str]:
    """The name of this machine, and what tells whether a process id is one of its: its boot, and the container.

    Where the system tells no id of its boot, the address of the network card takes its place.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return socket.gethostname(), f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname(), f"{uuid.getnode():x}"


def _started(pid: int) -> str | None:
    """When a process of this machine started, in the unit of its system; "" if that is hidden, None if it is gone."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if state in (b"Z", b"X") else rest[18].decode()
    except (OSError, ValueError, IndexError):
        import psutil  # not on Linux, or the process is gone or hidden

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return ""


def _parsed(content: bytes) -> dict[str, Any]:
    """What a generation says about its holder; empty if it says nothing."""
    try:
        about = json.loads(_name_of(content))
        return {**about, "pid": int(about["pid"])} if about["token"] and about["host"] and about["since"] else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _lives(about: Mapping[str, Any], name: bytes) -> bool | None:
    """Whether a holder lives; None if it is of another machine."""
    if (about["host"], about.get("machine")) != here():
        return None
    if about["pid"] == os.getpid():
        return name in _OURS
    started = _started(about["pid"])
    return started is not None and (started == "" or started == about.get("started"))


@dataclass
class _Watch:
    """Watches the generations of a lease until all are known to be dead or one to be alive."""

    patience: float
    seen: dict[int, tuple[bytes, float]] = field(default_factory=dict)  # content, and seconds without a change
    last: float = field(default_factory=time.monotonic)

    def look(self, found: Mapping[int, bytes]) -> str:
        """alive, dead, or unknown as long as it takes to tell."""
        now = time.monotonic()
        # At most a part for each look: if we or the disk were away, the holder may not have been able to count.
        passed, self.last = min(now - self.last, max(self.patience / 6, 0.01)), now
        states = {self._look(number, content, passed) for number, content in found.items()}
        self.seen = {number: self.seen[number] for number in found}
        return next((state for state in ("alive", "unknown") if state in states), "dead")

    def _look(self, number: int, content: bytes, passed: float) -> str:
        before, quiet = self.seen.get(number, (content, 0.0))
        quiet = quiet + passed if before == content and number in self.seen else 0.0
        self.seen[number] = content, quiet
        about = _parsed(content)
        lives = _lives(about, _name_of(content)) if about else None
        if lives is False or quiet >= (self.patience if about else min(EMPTY, self.patience)):
            return "dead"
        counted = before != content and _name_of(before) == _name_of(content)
        return "alive" if lives or counted else "unknown"


# ----------------------------------------------------------------------------------------------------------- heartbeat


class _Heart:
    """Raises the counters of all leases of this process on one disk; another disk that is away does not stop it."""

    def __init__(self) -> None:
        self.leases: set[Lease] = set()
        threading.Thread(target=self._run, name="clbench-leases", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(BEAT)
            for each in list(self.leases):
                each.beat()


_HEARTS: dict[int, _Heart] = {}
_STARTING = threading.Lock()


def _heart(disk: int) -> _Heart:
    with _STARTING:
        if disk not in _HEARTS:
            _HEARTS[disk] = _Heart()
        return _HEARTS[disk]


def _forget() -> None:
    """In a forked child: it has none of our threads, and holds none of our leases."""
    global _STARTING
    _STARTING = threading.Lock()
    _HEARTS.clear()
    _OURS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
