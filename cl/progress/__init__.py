"""What a run reports while it goes on, and the displays that show it."""

from cl.progress.base import NullProgress, Progress
from cl.progress.displays import displayed, make_progress

__all__ = ["NullProgress", "Progress", "displayed", "make_progress"]
