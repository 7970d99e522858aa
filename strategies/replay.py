"""Experience replay: a small memory of earlier images, trained on beside every batch of new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES
from cl.strategy import SETTINGS, option


class Replay(Regularized):
    """Experience replay (ER): every batch holds remembered images of earlier tasks beside the new ones.

    Paper: Chaudhry, Rohrbach, Elhoseiny, Ajanthan, Dokania, Torr, Ranzato. On Tiny Episodic Memories in Continual
        Learning. arXiv 1902.10486, 2019; with several epochs per task as `er` of Mammoth (Buzzega et al. Dark
        Experience for General Continual Learning. NeurIPS 2020).
    Trains: the backbone and one linear head over the classes seen.
    Stores: `memory_size` images as bytes, with their labels.
    Cost: two forwards per training image once there is a memory; one per test image.
    Differences from the paper: the memory is filled after a task, each image offered once, so images are replayed from
        the next task on; ER and Mammoth offer every batch as it comes, Mammoth anew in every epoch. ER sees an image
        once and is told its task, with a softmax per task; here the softmax runs over all classes seen. Its ring buffer
        keeps a fixed number per class, the latest ones: `memory_policy=balanced` shares the memory among the classes
        seen so far, at random within a class.
    """

    settings: ClassVar[tuple[str, ...]] = SETTINGS

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "global", "softmax over all classes seen, or a sigmoid for each; local losses want memory_size=0",
            choices=LOSSES,
        )  # fmt: skip
        memory_size: int = option(500, "images of earlier tasks kept and replayed; 0: none", ge=0)
