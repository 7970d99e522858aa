"""What a run reports while it goes on, and the displays that show it."""

from cl.progress.base import Observer, Observers
from cl.progress.displays import displayed, make_progress

__all__ = ["Observer", "Observers", "displayed", "make_progress"]
