"""Progress reports of a run, and the displays that show them."""

from cl.progress.base import Observer, Observers
from cl.progress.displays import displayed, make_progress

__all__ = ["Observer", "Observers", "displayed", "make_progress"]
