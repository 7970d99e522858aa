"""Ways to damage a stored file, and what follows from the advice in a message about it."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.soak.outcome import Ended, complaint, failure

PAGE = 4096
HARMS = ("truncate", "zero page", "flip bit", "empty", "foreign", "append")


def harm(path: Path, how: str, rng: random.Random, foreign: bytes = b"another file") -> None:
    """Damage a file in place; its content always changes. `foreign` is the content of another file, for `foreign`."""
    before = content = path.read_bytes()
    size = len(content)
    if how == "truncate":
        content = content[: rng.randrange(max(1, size))]
    elif how == "zero page":
        start = rng.randrange(max(1, (size + PAGE - 1) // PAGE)) * PAGE
        content = content[:start] + bytes(len(content[start : start + PAGE])) + content[start + PAGE :]
    elif how == "empty":
        content = b""
    elif how == "foreign":
        content = foreign
    elif how == "append":
        content += rng.randbytes(rng.choice((1, 16, 5000)))
    if content == before:  # also for `flip bit`
        content = _flipped(before, rng) if before else b"\0"
    path.write_bytes(content)


def _flipped(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]


def keep_times(path: Path, times: os.stat_result) -> None:
    """Give a file the times it had, as damage by a disk does."""
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class Advice:
    """Follows the advice of messages: `again` runs the command with more arguments, `restore` undoes the damage."""

    def __init__(self, root: Path, again: Callable[..., Ended], restore: Callable[[], None]) -> None:
        self.root, self.again, self.restore = root, again, restore
        self.steps: list[str] = []

    def follow(self, text: str, most: int = 3) -> str:
        """Follow a message, and the messages that come after, until a command works; else what is wrong."""
        for _ in range(most):
            done = self._step(text)
            if done.code == 0:
                return ""
            verdict, why = failure(done)
            if verdict == "unexpected":
                return f"after {self.steps[-1]}: {why}"
            text = complaint(done.err)
        return f"after {', then '.join(self.steps)} there is still: {text}"

    def _step(self, text: str) -> Ended:
        if "--existing always" in text:
            return self._did("--existing always", "--existing", "always")
        if "delete its folder" in text and (path := self._named(text)):
            shutil.rmtree(path.parent, ignore_errors=True)
            return self._did(f"deleting {path.parent.name}/")
        told = re.search(r"\b(delete|remove) (it|them|this file)\b", text)
        if told and (path := self._named(text[: told.start()], -1) or self._named(text)):  # "it" is what was named last
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return self._did(f"deleting {path.name}")
        if re.search(r"run (it|again|the same command|the run)|the same command", text):
            if "the same command" in self.steps:  # it did not help
                self.restore()
                return self._did("restoring the file")
            return self._did("the same command")
        self.restore()
        return self._did("restoring the file")

    def _did(self, step: str, *extra: str) -> Ended:
        self.steps.append(step)
        return self.again(*extra)

    def _named(self, text: str, which: int = 0) -> Path | None:
        """The first (or last, -1) existing file or folder that a message names."""
        words = [word.strip("'\"`(),;:") for word in text.split()]
        paths = [self.root / word for word in words if "/" in word]
        found = [path for path in paths if path.exists() and self.root in path.resolve().parents]
        return found[which] if found else None
