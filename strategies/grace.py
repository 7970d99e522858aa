"""GRACE: a wrapper that edits a finished learner, one wrong answer at a time, by a codebook in one of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.edited import Edited, EditedInputs
from cl.parts.attached import Held, LayerInput, LayerOutput
from cl.parts.codebook import Codebook, distances
from cl.strategy import ImageSet, Inputs, Strategy, StreamInfo, UsageError, adam, option, scales

AT_ONCE = 32
"""Most corrections whose values are trained in one batch; none of them depends on another."""


class GRACE(Edited):
    """A codebook of corrections in one layer of a finished learner, which itself never changes again.

    Name: GRACE
    Paper: Hartvigsen, Sankaranarayanan, Palangi, Kim, Ghassemi. Aging with GRACE: Lifelong Model Editing with Discrete
        Key-Value Adaptors. NeurIPS 2023, arXiv 2211.11031.
    Family: editing
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the base, on the tasks before `edit_from`, as the base does; then the learner is finished. Of each later
        task, the images that it gets wrong are corrections: each trains the value of one entry of the codebook.
    Stores: per entry a key (the input of the layer), a value (its output), a radius and a label (ViT-B: 6 KB); for the
        numbers in the record only, up to 2 x `measured` images.
    Cost: a second pass per test image up to the layer, memoised, and one search over all keys; images within a radius
        take another pass. A correction takes `iterations` passes from the layer on, forward and back.
    Differences from the paper: a transplant; the paper edits language models. A ViT answers by its class token, so here
        the key and the replaced output are those of the class token, by default in the last block. In the code
        the key is the last token, and by default a value replaces all tokens before it. A network without a class token
        has means over positions as keys, and a value replaces every position. Corrections are trained in batches: no
        two in a batch share an entry, and an image that would use an untrained value waits, so this is one after the
        other up to rounding. A radius that grows to a query passes it by 1e-5 of itself, so rounding does not lose it.
        Of two equal images with different labels the later correction replaces the earlier one (`replaced` counts
        these); in the code both keys are at the same place, with radii of 0 and -1e-5, and the image uses neither.
        A learner answers with the classes that it has seen: images of others are `unknown` and not corrected, so
        earlier classes must come again. `edit=finetune` is the paper's FT: Adam on the layer (in the code: on its
        weight alone) until the answer is right. In the record, the paper's ES is `edit_success`, ERR `edit_retention`
        (of at most `measured` corrections) and TRR `test_retention`: of validation images of the learned tasks if the
        stream holds some out (then `held_out` is 1), else of their training images. For test images, TRR is in the
        accuracy matrix, in the columns of the learned tasks.
    """

    one_network = False

    @dataclass(frozen=True)
    class Options(Edited.Options):
        edit: str = option("grace", "correct by a codebook, or by training the layer", choices=("grace", "finetune"))
        layer: str = option("", "name of the layer, such as blocks.4.mlp.fc2; empty: the last block")
        replace: str = option("token", "a value replaces the class token, or all tokens", choices=("token", "all"))
        radius: float = option(1.0, "radius of a new key (e_init)", gt=0, search=scales.log(0.1, 10.0))
        start: str = option(
            "cold", "a new value is drawn from U(0, 1), or is the layer's own output (warm)", choices=("cold", "warm")
        )
        iterations: int = option(100, "steps per correction; finetune: at most", ge=1)
        lr: float = option(1.0, "learning rate of values (Adam)", gt=0, search=scales.log(0.1, 10.0))
        finetune_lr: float = option(0.01, "edit=finetune: learning rate of the layer (Adam)", gt=0)

    @classmethod
    def check_base(cls, name: str, base: type[Strategy]) -> None:
        super().check_base(name, base)
        if not base.one_network:
            raise UsageError(
                f"base={name} has a network for every task or image, so there is no one layer to edit; choose a base "
                "with one network, such as finetune or simplecil."
            )

    def setup(self, info: StreamInfo) -> None:
        o = self.options
        self._layer = self.trainer.cost.count(lambda: LayerOutput(self.backbone, o.layer, whole=o.replace == "all"))
        super().setup(info)
        self.codebook = Codebook(self._layer.width, self._layer.value_width, o.radius, self.device)
        self.replaced = 0  # corrections in the place of one of an equal image with another label

    def correct(self, images: ImageSet) -> None:
        known = self.known(images)
        if self.options.edit == "grace":
            self._edit(images, known)
        else:
            self._finetune(images, known)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = self.base.predict(inputs, task)
        if len(self.codebook):
            distance, entry = self.codebook.nearest(inputs.encode(self._queries()))
            hit = self.codebook.covers(distance, entry)
            if hit.any():
                scores = scores.clone()  # rows of other images stay the base's, bit for bit
                scores[hit] = self._answers(inputs.rows(hit), entry[hit]).to(scores)
        return self.padded(scores)

    def scores(self, inputs: Inputs) -> Tensor:
        """In one pass: the layer looks its inputs up."""
        if not len(self.codebook):
            return self.base.predict(inputs)

        def find(queries: Tensor) -> tuple[Tensor, Tensor]:
            distance, entry = self.codebook.nearest(queries)
            return self.codebook.covers(distance, entry), self.codebook.values[entry]

        with self._layer.looked_up(find):
            return self.base.predict(inputs)

    def retention(self) -> dict[str, float]:
        return {**super().retention(), "keys": float(len(self.codebook)), "replaced": float(self.replaced)}

    # -------------------------------------------------------------------------------------------------- the codebook

    def _edit(self, images: ImageSet, known: Tensor) -> None:
        """Give each wrong answer an entry; images that are right and in no ball are passed over."""
        book, labels, pending = self.codebook, images.labels, dict[int, tuple[int, bool]]()
        wrong, queries = self.base_answers(images) != labels, self.encode(images, self._queries())
        distance, entry = book.nearest(queries)
        at = -1
        while not self.full:
            concerned = (wrong | book.covers(distance, entry).cpu()) & known
            concerned[: at + 1] = False
            if not concerned.any():
                break
            at = int(concerned.int().argmax())
            place, label = int(entry[at]), int(labels[at])
            if bool(book.covers(distance[at], entry[at])):
                if place in pending:
                    self._train(images, pending)
                if self._answer(images.subset(torch.tensor([at])), entry[at : at + 1]) == label:
                    continue
            self.edits += 1
            before = int(book.labels[place]) if len(book) else label
            place, new = book.edit(queries[at], label, float(distance[at]), place)
            self.replaced += not new and before != label
            if new:
                apart = distances(queries, queries[at : at + 1])[:, 0].to(distance)
                entry, distance = torch.where(apart < distance, place, entry), torch.minimum(apart, distance)
            if place in pending:
                self._train(images, pending)
            pending[place] = at, new
            if len(pending) == AT_ONCE:
                self._train(images, pending)
        self._train(images, pending)

    def _train(self, images: ImageSet, pending: dict[int, tuple[int, bool]]) -> None:
        """Train the values of the pending entries, each on its image; then none is pending."""
        if not pending:
            return
        chosen = images.subset(torch.tensor([at for at, _ in pending.values()]))
        entries = torch.tensor(list(pending), device=self.device)
        new = torch.tensor([fresh for _, fresh in pending.values()], device=self.device)
        values, right = self._trained(chosen, entries, new)
        self.codebook.values[entries] = values
        self.corrected(chosen, right)
        pending.clear()

    def _trained(self, images: ImageSet, entries: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        """Values [B, v] of entries after `iterations` steps on the cross-entropy, and which answers are then right."""
        labels, inputs = images.labels.to(self.device), EditedInputs(self._images(images), self._layer)
        values, count = self.codebook.values[entries], len(entries)
        held = self.alike(("layers before", count), lambda: inputs.hold(self.base))
        values[new] = self._first(held, new).to(values)
        inputs.values = trained = nn.Parameter(values)
        optimizer = adam(self.options.lr)([trained])

        def step() -> bool:
            loss = F.cross_entropy(self.taught(inputs), labels, reduction="sum")
            (trained.grad,) = torch.autograd.grad(loss, [trained])
            optimizer.step()
            return False

        self.repeated(("step", count), step, self.options.iterations)
        with torch.no_grad():
            scores = self.alike(("answers", count), lambda: self.base.predict(inputs))
        return trained.detach(), self.answers_in(scores) == labels

    def _first(self, held: Held, new: Tensor) -> Tensor:
        """The first values of new entries."""
        if self.options.start == "warm":
            return held.value[new]
        return torch.rand(int(new.sum()), self._layer.value_width, generator=self.rng("values"))

    def _answers(self, inputs: Inputs, entries: Tensor) -> Tensor:
        """Scores of images with the values of these entries in the layer."""
        return self.base.predict(EditedInputs(inputs, self._layer, self.codebook.values[entries]))

    @torch.no_grad()
    def _answer(self, image: ImageSet, entry: Tensor) -> int:
        return int(self.answers_in(self.alike("one answer", lambda: self._answers(self._images(image), entry))))

    def _queries(self) -> LayerInput:
        return self._layer.input_of(self.base.extractor())

    def _images(self, images: ImageSet) -> Inputs:
        return Inputs(images.pixels(slice(None)), self.device)

    # -------------------------------------------------------------------------------------------- the paper's baseline

    def _finetune(self, images: ImageSet, known: Tensor) -> None:
        """Adam on the layer, anew for every wrong answer, until it is right."""
        at, ahead = 0, 1  # answers are computed for more images at once, the longer none is wrong
        while at < len(images) and not self.full:
            part = torch.arange(at, min(at + ahead, len(images)))
            wrong = (self._plain_answers(images.subset(part)) != images.labels[part]) & known[part]
            at, ahead = at + len(part), min(2 * ahead, AT_ONCE)
            if wrong.any():
                at, ahead = int(part[wrong.int().argmax()]) + 1, 1
                self.edits += 1
                one = images.subset(torch.tensor([at - 1]))
                self.corrected(one, self._tuned(one))

    @torch.no_grad()
    def _plain_answers(self, images: ImageSet) -> Tensor:
        scores = self.alike(("plain", len(images)), lambda: self.base.predict(self._images(images)))
        return self.answers_in(scores).cpu()

    def _tuned(self, image: ImageSet) -> Tensor:
        """Whether the answer to an image is right after at most `iterations` steps."""
        label, inputs = image.labels.to(self.device), EditedInputs(self._images(image), self._layer)
        parameters = list(self._layer.module.parameters())
        self.alike(("layers before", 1), lambda: inputs.hold(self.base))
        self.trainer.trains(parameters)
        optimizer = adam(self.options.finetune_lr)([each.requires_grad_(True) for each in parameters])

        def step() -> bool:
            scores = self.taught(inputs)
            loss, right = F.cross_entropy(scores, label), bool(self.answers_in(scores) == label)
            optimizer.zero_grad()
            loss.backward()
            if not right:
                optimizer.step()
            return right

        self.repeated("step of the layer", step, self.options.iterations)
        for each in parameters:
            each.requires_grad_(False).grad = None
        return self._plain_answers(image) == image.labels
