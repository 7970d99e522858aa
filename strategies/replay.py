"""Experience replay: every batch also contains images from a small memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES
from cl.strategy import SETTINGS, option


class Replay(Regularized):
    """Experience replay (ER): every batch contains remembered images of earlier tasks in addition to new images.

    Name: Replay
    Paper: Chaudhry, Rohrbach, Elhoseiny, Ajanthan, Dokania, Torr, Ranzato. On Tiny Episodic Memories in Continual
        Learning. arXiv 1902.10486, 2019; with several epochs per task, as in `er` of Mammoth (Buzzega et al. Dark
        Experience for General Continual Learning. NeurIPS 2020).
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head over the classes seen.
    Stores: `memory_size` images as bytes, with their labels.
    Cost: two forward passes per training image once the memory is filled; one per test image.
    Differences from the paper: the memory is updated after each task, with every image offered once, so images are
        replayed from the next task on. ER and Mammoth offer each batch during training; Mammoth does so in every epoch.
        ER sees each image once, is given its task, and uses a softmax per task; here the softmax is over all classes
        seen. ER's ring buffer keeps the latest images, a fixed number per class. Here `memory_policy=balanced` divides
        the memory among the classes seen so far, with random images of each class.
    """

    settings: ClassVar[tuple[str, ...]] = SETTINGS

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "global", "softmax over all classes seen (global), or a sigmoid for each (bce); others need memory_size=0",
            choices=LOSSES,
        )  # fmt: skip
        memory_size: int = option(500, "number of images of earlier tasks kept for replay; 0: none", ge=0)
