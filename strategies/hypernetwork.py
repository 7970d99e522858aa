"""Hypernetwork: an MLP generates a network from an embedding of the task, and keeps what it generated before."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.generated import Generated
from cl.parts.generated import ACTIVATIONS, FeedForward, Layout
from cl.strategy import option


class Hypernetwork(Generated):
    """A chunked hypernetwork: tasks differ by an embedding, and weights generated for earlier tasks must not change.

    Name: Hypernetwork
    Paper: von Oswald, Henning, Grewe, Sacramento. Continual learning with hypernetworks. ICLR 2020, arXiv 1906.00695.
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the hypernetwork h (theta: an MLP, and an embedding of each chunk) and the embedding e_t of the task. All
        weights of the network and of the task's head are the chunks h([e_t; c_1]), h([e_t; c_2]), ... With T = t - 1
        earlier tasks the loss is CE(W(e_t)) + beta / T sum_j |W*(e_j) - W(e_j; theta + dtheta)|^2, where W* is what
        was generated before the task, and dtheta the step that Adam would make for the task alone.
    Stores: theta and an embedding per task; during a task also W* or a copy of theta (`targets`). `report` has the size
        beside that of the generated network (`ratio`).
    Cost: weights are generated once per task and evaluation, then one forward pass per test image; of a task that is
        not told, one pass per task. A step of training also generates the weights of all earlier tasks.
    Differences from the paper: trainings are compared with chrhenning/hypercl @e325678. A head has as many classes as
        the largest task; that code generates the heads of all tasks for every task and uses one. The chunk follows
        from `ratio`, and the output layer is scaled at first (`init=scaled`), because Xavier's draw, which is the
        code's, suits few chunk sizes only. dtheta is PyTorch's present step, whose eps differs slightly. If the task is
        not told, the least entropy decides (HNET+ENT); replay and a network that infers the task are left out. Batch
        norms are refused; dropout of the network is off.
    """

    @dataclass(frozen=True)
    class Options(Generated.Options):
        hidden: tuple[int, ...] = option((50, 50), "units of the hidden layers of the hypernetwork", ge=1)
        activation: str = option("relu", "activation of the hypernetwork", choices=tuple(ACTIVATIONS))

    def make(self, layout: Layout, chunk: int) -> FeedForward:
        o = self.options
        return FeedForward(layout.size, chunk, o.embedding, o.chunk_embedding, o.hidden, o.activation)
