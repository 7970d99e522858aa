"""Networks that generate the weights of another network from an embedding of the task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.errors import UsageError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "elu": nn.functional.elu}


class Weights(NamedTuple):
    """The weights of one task: tensors of the backbone by name, weight [classes, dim] and bias of the head."""

    backbone: dict[str, Tensor]
    weight: Tensor
    bias: Tensor


class Layout:
    """The place of every weight of a backbone, and of a linear head over `classes`, in one vector.

    `layers` are the numbers of weights of each layer (a module's own parameters; the head is last). A weight of a norm
    is 1 more than its place in the vector says.
    """

    def __init__(self, backbone: Backbone, classes: int) -> None:
        named = dict(backbone.model.named_parameters())
        self.shapes = {name: tensor.shape for name, tensor in named.items()}
        self.head = torch.Size((classes, backbone.dim)), torch.Size((classes,))
        self.sizes = [shape.numel() for shape in (*self.shapes.values(), *self.head)]
        self.size = sum(self.sizes)
        modules = itertools.groupby(named, key=lambda name: name.rpartition(".")[0])
        self.layers = [sum(named[name].numel() for name in names) for _, names in modules]
        self.layers.append(sum(self.sizes[-2:]))
        self._norms = {name for name, tensor in named.items() if tensor.ndim == 1 and name.endswith(".weight")}
        squares = [float(t.detach().double().square().sum()) for n, t in named.items() if n not in self._norms]
        count = sum(tensor.numel() for name, tensor in named.items() if name not in self._norms)
        self.scale = math.sqrt(sum(squares) / max(count, 1))
        """The root of the mean square of the backbone's own weights, without weights of norms."""

    def split(self, flat: Tensor) -> Weights:
        """The weights in a vector [size]."""
        *parts, weight, bias = flat.split(self.sizes)
        tensors = {
            name: part.view(shape) + 1 if name in self._norms else part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
        return Weights(tensors, weight.view(self.head[0]), bias)


class Generator(nn.Module):
    """Maps embeddings [T, d] to weights [T, size]; `output` is its last layer."""

    output: nn.Linear

    def redraw(self, rng: torch.Generator, dim: int, scale: float | None = None) -> None:
        """Draw all parameters: Xavier's uniform weights, biases of 0, and embeddings with a variance of 1.

        With `scale`, the output layer is then multiplied so that this is the root of the mean square of generated
        weights, over some embeddings of `dim` numbers with a variance of 1.
        """
        with torch.no_grad():
            for name, tensor in self.named_parameters():
                drawn = torch.empty(tensor.shape)
                if name in ("chunks", "layers"):
                    drawn.normal_(generator=rng)
                elif drawn.ndim == 1:
                    drawn.zero_()
                else:
                    nn.init.xavier_uniform_(drawn, generator=rng)
                tensor.copy_(drawn)
            if scale is not None:
                some = torch.randn(16, dim, generator=rng).to(self.output.weight.device)
                self.output.weight.mul_(scale / self(some).square().mean().sqrt().clamp(min=1e-12))

    @property
    def numbers(self) -> int:
        """The number of its parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


class FeedForward(Generator):
    """A multilayer perceptron that is given the task's embedding and that of a chunk, and returns the chunk.

    The vector of `size` weights is cut into equal chunks, regardless of layers; what is left of the last one is unused.
    """

    def __init__(
        self, size: int, chunk: int, dim: int, chunk_dim: int, hidden: Sequence[int], activation: str = "relu"
    ) -> None:
        super().__init__()
        self.size, self._activation = size, ACTIVATIONS[activation]
        self.chunks = nn.Parameter(torch.empty(-(-size // chunk), chunk_dim))
        widths = [dim + chunk_dim, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.output = nn.Linear(widths[-1], chunk)

    def forward(self, embeddings: Tensor) -> Tensor:
        tasks, count = len(embeddings), len(self.chunks)
        x = torch.cat([embeddings[:, None].expand(-1, count, -1), self.chunks.expand(tasks, -1, -1)], 2)
        for layer in self.hidden:
            x = self._activation(layer(x))
        found: Tensor = self.output(x).reshape(tasks, -1)[:, : self.size]
        return found


class Recurrent(Generator):
    """An LSTM that goes through the layers of a network, chunk by chunk, and a linear output that all chunks share.

    A step is given the embeddings of the task, of the layer and of the chunk's place in its layer. Chunks do not cross
    layers; what is left of the last chunk of a layer is unused. Restoring a state sets the number of units.
    """

    def __init__(self, layers: Sequence[int], chunk: int, dim: int, layer_dim: int, chunk_dim: int, units: int) -> None:
        super().__init__()
        self.sizes, counts = list(layers), [-(-size // chunk) for size in layers]
        self.layers = nn.Parameter(torch.empty(len(counts), layer_dim))
        self.chunks = nn.Parameter(torch.empty(max(counts), chunk_dim))
        self.cell = nn.LSTMCell(dim + layer_dim + chunk_dim, units)
        self.output = nn.Linear(units, chunk)
        self.counts = counts
        self.steps: Tensor
        steps = [(layer, place) for layer, count in enumerate(counts) for place in range(count)]
        self.register_buffer("steps", torch.tensor(steps).T, persistent=False)  # layer and place of each chunk

    def forward(self, embeddings: Tensor) -> Tensor:
        tasks = len(embeddings)
        places = torch.cat([self.layers[self.steps[0]], self.chunks[self.steps[1]]], 1)
        inputs = torch.cat([embeddings.expand(len(places), -1, -1), places[:, None].expand(-1, tasks, -1)], 2)
        start = inputs.new_zeros(1, tasks, self.cell.hidden_size)
        weights: list[Tensor] = list(self.cell.parameters())
        with torch.backends.cudnn.flags(enabled=False):  # it wants all weights in one block, and has no second order
            found, _, _ = torch.lstm(inputs, [start, start], weights, True, 1, 0.0, True, False, False)
        parts = self.output(found.transpose(0, 1)).split(self.counts, 1)
        rows = [part.reshape(tasks, -1)[:, :size] for part, size in zip(parts, self.sizes, strict=True)]
        return torch.cat(rows, 1)

    def widen(self, units: int, rng: torch.Generator) -> None:
        """Add units that read all units but that neither older units nor the output read yet: the function stays."""
        cell, old = self.cell, self.cell.hidden_size
        self._resize(old + units)
        with torch.no_grad():
            for new in self.cell.parameters():
                new.copy_(torch.empty(new.shape).uniform_(-1, 1, generator=rng) / math.sqrt(old + units))
            self.output.weight[:, old:] = 0
            for name, before in cell.named_parameters():
                gates = self.cell.get_parameter(name).view(4, old + units, -1)
                gates[:, :old] = 0
                gates[:, :old, : before[0].numel()] = before.view(4, old, -1)

    def _resize(self, units: int) -> None:
        weight, bias, old = self.output.weight, self.output.bias, self.cell.hidden_size
        self.cell = nn.LSTMCell(self.cell.input_size, units).to(weight.device).requires_grad_(False)
        output = nn.Linear(units, len(weight)).to(weight.device).requires_grad_(False)
        with torch.no_grad():
            output.weight[:, : min(old, units)] = weight[:, :units]
            output.bias.copy_(bias)
        self.output = output

    def get_state(self) -> dict[str, Any]:
        """The tensors by name."""
        return dict(self.state_dict())

    def set_state(self, state: dict[str, Any]) -> None:
        """Load tensors; the number of units becomes theirs."""
        units = state["output.weight"].shape[1]
        if units != self.cell.hidden_size:
            self._resize(units)
        self.load_state_dict(state)


def largest_chunk(numbers: Callable[[int], int], most: int, budget: int) -> int:
    """A chunk, of at most `most` weights, with which a generator has at most `budget` numbers; about the largest.

    `numbers(chunk)` is the size of the generator: it falls while chunks become fewer, and then rises. The largest power
    of 2 that fits is refined by halving; where none fits, chunks beside the smallest are tried. Raises `UsageError` if
    none of them fits.
    """
    tried = {chunk: numbers(chunk) for chunk in (2**power for power in range(most.bit_length())) if chunk <= most}
    fitting = [chunk for chunk, count in tried.items() if count <= budget]
    if not fitting:
        least = min(tried, key=lambda chunk: tried[chunk])
        near = range(max(least // 2, 1), min(2 * least, most) + 1, max(least // 32, 1))
        tried = {chunk: numbers(chunk) for chunk in near}
        fitting = [chunk for chunk, count in tried.items() if count <= budget]
    if not fitting:
        raise UsageError(
            f"no chunk is small enough for a hypernetwork of {max(budget, 0):,} numbers besides the embeddings of "
            f"tasks: the smallest has {min(tried.values()):,}; raise ratio, or give it fewer units."
        )
    low, high = max(fitting), min(2 * max(fitting), most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if numbers(middle) <= budget else (low, middle)
    return low
