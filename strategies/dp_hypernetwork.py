"""Dependency-preserving hypernetwork: an LSTM generates the weights of a network layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl.bases.generated import Generated
from cl.parts.generated import Layout, Recurrent
from cl.parts.statistics import fisher
from cl.strategy import Batch, StreamInfo, View, option


class DPHypernetwork(Generated):
    """A recurrent hypernetwork: what it generates for a layer depends on what it generated for the layers before.

    Name: Dependency-preserving hypernetwork
    Paper: Chandra, Varshney, Srijith, Gupta. Continual Learning with Dependency Preserving Hypernetworks. WACV 2023,
        arXiv 2209.07712.
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: an LSTM, embeddings u_l of layers and c_k of places of chunks, a linear output that all chunks share, and
        the embedding e_t of the task. Step by step, h = LSTM(h, [e_t; u_l; c_k]) and a chunk of layer l is G h. The
        loss is that of `hypernetwork`, with squared changes weighed by the importance of a layer to the task.
    Stores: all that, an embedding per task, and an importance per layer (or weight) and task; during a task also what
        was generated before or a copy of the LSTM. `report` has the size beside that of the generated network.
    Cost: weights are generated once per task and evaluation, then one forward pass per test image; of a task that is
        not told, one pass per task. The steps of the LSTM follow one another, one per chunk.
    Differences from the paper: of its text we know the abstract and listings, and there is no official code; all of the
        following is our reading. A layer is generated in several steps if it is larger than a chunk. The importance of
        a weight is its diagonal Fisher information on images of the task, averaged over the layer unless
        `importance=weight`, and divided by its mean, so that beta means what it means in `hypernetwork`. Growth: if the
        accuracy on training images is below `grow_below` after a task, the LSTM gets `grow` units that nothing reads
        yet, and the task is trained once more; without `grow` there is none. Adam, the lookahead, the draw and the
        answer without a told task are those of `hypernetwork`. Batch norms are refused; dropout of the network is off.
    """

    @dataclass(frozen=True)
    class Options(Generated.Options):
        units: int = option(32, "units of the LSTM", ge=1)
        layer_embedding: int = option(8, "numbers in the embedding of a layer", ge=1)
        importance: str = option(
            "layer", "factors of squared changes: per layer, per weight, or none", choices=("layer", "weight", "none")
        )
        images: int = option(256, "training images that importance and accuracy are measured on", ge=1)
        grow: int = option(0, "units added to the LSTM when a task is not learned well; 0: none", ge=0)
        grow_below: float = option(0.95, "accuracy on training images below which it grows", ge=0, le=1)

    def make(self, layout: Layout, chunk: int) -> Recurrent:
        o = self.options
        return Recurrent(layout.layers, chunk, o.embedding, o.layer_embedding, o.chunk_embedding, o.units)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.importance: list[Tensor] = []

    def learn(self, view: View) -> None:
        o, earlier = self.options, self.begin(view)
        self.train_task(view, "generate", earlier)
        if o.grow and self.compute("accuracy", lambda: self._accuracy(view)) < o.grow_below:
            assert isinstance(self.generator, Recurrent)
            self.generator.widen(o.grow, self.init_rng("growth"))
            self.train_task(view, "after growth", earlier)
        if o.importance != "none":
            found: Tensor = self.compute("importance", lambda: self._importance(view))
            self.importance = [*self.importance, found.to(self.device)]

    def _some(self, view: View, purpose: str) -> list[tuple[Tensor, Tensor]]:
        """Some training images of the task, with labels."""
        order = torch.randperm(len(view.train), generator=self.rng(purpose))
        return list(self.chunks(view.train, order[: self.options.images]))

    def _accuracy(self, view: View) -> float:
        with torch.no_grad():
            weights = self._weights(len(self.tasks) - 1)[1]
            classes = torch.tensor(self.tasks[-1], device=self.device)
            some = self._some(view, "accuracy")
            found = [classes[self._logits(weights, x, len(classes)).argmax(1)] == y for x, y in some]
        return float(torch.cat(found).float().mean())

    def _importance(self, view: View) -> Tensor:
        """The diagonal Fisher information of the task's weights, averaged over each layer, with a mean of 1."""
        with torch.no_grad():
            flat = self.generator(self.embeddings[-1][0][None])[0]
        batches = [Batch(x, y) for x, y in self._some(view, "importance")]
        found = fisher.diagonal(lambda held, x, y: self.loss_under(held["all"], x, y), {"all": flat}, batches)["all"]
        if self.options.importance == "layer":
            found = torch.stack([part.mean() for part in found.split(self._layout.layers)])
        mean = self._per_weight(found).mean()
        return found / mean if mean > 0 else torch.ones_like(found)

    def _per_weight(self, importance: Tensor) -> Tensor:
        if self.options.importance == "weight":
            return importance
        return importance.repeat_interleave(torch.tensor(self._layout.layers, device=importance.device))

    def importance_of(self, tasks: int) -> Tensor | None:
        if self.options.importance == "none":
            return None
        return torch.stack([self._per_weight(one) for one in self.importance[:tasks]])

    def report(self) -> dict[str, float]:
        assert isinstance(self.generator, Recurrent)
        return {**super().report(), "units": self.generator.cell.hidden_size}
