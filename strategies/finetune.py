"""Sequential fine-tuning: the lower bound, in the variants that papers call by this name."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.fine_tuning import FineTuning
from cl.strategy import SETTINGS


class Finetune(FineTuning):
    """Sequential fine-tuning of backbone and head, with a local or a global softmax.

    Paper: folklore; the variants follow CODA-Prompt (FT: global, FT++: local), LAMDA-PILOT (local), and SLCA's slow
        Seq-FT (local, backbone at 0.01 of the head's rate). Each is a named preset (`--preset ft++`).
    Trains: the backbone and one linear head over the classes seen.
    Stores: nothing between tasks but the model.
    Cost: one forward per test image.
    Differences from the paper: old rows of the head get exactly zero data gradient under the local loss, dense as in
        the reference codes, so weight decay still shrinks them. CODA's FT allocates the head for all classes at once;
        ours grows, which its slice over seen classes makes equivalent but for the draw of the initial weights.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        """Those of `cl.bases.fine_tuning`."""
