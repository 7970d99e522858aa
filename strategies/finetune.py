"""Sequential fine-tuning, the lower bound, in the variants used by papers."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.fine_tuning import FineTuning
from cl.strategy import SETTINGS


class Finetune(FineTuning):
    """Sequential fine-tuning of backbone and head, with a local or a global softmax.

    Name: Fine-tuning
    Paper: folklore; the variants follow CODA-Prompt (FT: global, FT++: local), LAMDA-PILOT (local), and SLCA's slow
        Seq-FT (local, backbone at 0.01 of the head's learning rate). Each is a named preset (`--preset ft++`).
    Family: baselines
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone and one linear head over the classes seen.
    Stores: only the model.
    Cost: one forward pass per test image.
    Differences from the paper: with the local loss, old rows of the head get exactly zero data gradient. The gradient
        is dense, as in the reference implementations, so weight decay still shrinks these rows. CODA's FT allocates the
        head for all classes at once and slices it to the classes seen; ours grows, which is equivalent except for the
        initial weights.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        """The options of `cl.bases.fine_tuning`."""
