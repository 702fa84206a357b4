"""Forward and backward passes of a program's rows: of a batch while they train, of held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet

import torch

from ..schedules import FloatArray
from ..tasks.task import Task
from .batches import Tensors
from .interval import Tally
from .judged import batch_loss, measured_sums
from .lanes_model import LanesModel
from .tape import Graphed, Results, Tape, Taped, Tapes

GRADIENT = ""
"""The name of the gradient among what is measured of a batch."""


class Passing(NamedTuple):
    """How passes are called.

    Attributes:
        graphs: whether a GPU's kernels are launched as graphs.
        evaluated_at_once: examples of a forward pass without gradients.
        batches: where batches of the task's data are laid, by part and size; others may lay theirs there in between.
    """

    graphs: bool
    evaluated_at_once: int
    batches: dict[Hashable, Tensors]


class Passes:
    """What lanes compute of examples; each kind of call is taped where that pays.

    Args:
        model: the lanes; its tensors must be the same objects until ``forget``.
        task: whose losses and measures.
        train: the training examples, on the device.
        tapes: those of the task's other lanes.
        seed: what the model was drawn from. Lanes of another seed have tapes of their own: a model may hold what it
            drew where no tape sees it, and a look at one batch may not show the difference.
        how: they are called.
    """

    def __init__(self, model: LanesModel, task: Task, train: Tensors, tapes: Tapes, *, seed: int, how: Passing) -> None:
        self._model, self._task, self._train = model, task, train
        self._tapes, self._seed, self._at_once = tapes, seed, how.evaluated_at_once
        kind = model.weights.device.type
        self._replayed: Callable[..., Taped] | None = Taped if kind == "cpu" else None
        if how.graphs and kind == "cuda":
            self._replayed = partial(Graphed, pool=torch.cuda.graph_pool_handle())
        self._taped: dict[Hashable, Taped] = {}
        self._proven: WeakSet[Tape] = WeakSet()
        self._batches = how.batches

    def forget(self) -> None:
        """The model's tensors are others now."""
        self._taped.clear()

    def update(self, examples: torch.Tensor, moment: Hashable = None) -> dict[str, torch.Tensor]:
        """Losses, sums of measures, gradient and its norm, for a batch.

        Args:
            examples: their numbers, of shape (batch,).
            moment: how the generator was started, see ``tape.Taped``.

        Returns:
            ``loss`` and ``grad_norm`` of shape (rows,), a batch's sum of every other measure, and the gradient of
            shape (rows, P) as ``GRADIENT``, which the next call writes again.
        """
        n = len(examples)
        if n not in self._batches:
            self._batches[n] = tuple(side.index_select(0, examples) for side in self._train)  # type: ignore[assignment]  # two sides
        inputs, targets = self._batches[n]
        for side, batch in zip(self._train, self._batches[n], strict=True):
            torch.index_select(side, 0, examples, out=batch)
        model, task = self._model, self._task  # not self: it holds the tapes
        leaf = model.weights.detach().requires_grad_()

        def passed() -> Results:
            losses, sums = model.call(partial(_loss, task, n=n), leaf, inputs, targets)
            gradient = torch.autograd.grad(losses.sum(), leaf)[0]
            norms = torch.linalg.vector_norm(gradient, dim=1)
            return {**sums, "loss": losses.detach(), "grad_norm": norms, GRADIENT: gradient}

        results = self._call(n, passed, (inputs, targets), moment)
        return {name: tensor if name == GRADIENT else tensor.clone() for name, tensor in results.items()}

    @torch.no_grad()
    def evaluated(self, part: str, pair: Tensors, n_lanes: int) -> dict[str, FloatArray]:
        """Loss and measures over the examples of ``pair``, called ``part``: means, of shape (lanes,)."""
        model, task = self._model, self._task
        model.train(False)
        tally = Tally()
        for chunk in zip(*(torch.split(side, self._at_once) for side in pair), strict=True):
            n = len(chunk[1])
            # copies: what a model does to its inputs must not change what is measured next time
            held = self._batches.setdefault((part, n), tuple(map(torch.empty_like, chunk)))  # type: ignore[arg-type]  # two sides
            for side, batch in zip(chunk, held, strict=True):
                batch.copy_(side)

            def passed(held: Tensors = held, n: int = n) -> Results:
                losses, sums = model.call(partial(_loss, task, n=n), model.weights, *held)
                return {**sums, "loss": losses * n}

            results = self._call((part, n), passed, held)
            tally.add(n, {name: tensor.clone() for name, tensor in results.items()})
        return tally.means(n_lanes)

    def _call(
        self, kind: Hashable, function: Callable[[], Results], batch: Tensors, moment: Hashable = None
    ) -> Results:
        """``function``, which does the same to ``batch`` and the lanes whenever it is of one ``kind``."""
        model = self._model
        if self._replayed is None:
            return function()
        taped = self._taped.get(kind)
        if taped is None:
            given = (model.weights, *model.buffers.values(), *model.fixed.values(), *batch)
            known = self._tapes.of((self._seed, kind), len(model.weights))
            taped = self._taped[kind] = self._replayed(function, given, known, proven=known.tape in self._proven)
        played = taped.plays
        results = taped(moment)
        if taped.plays and not played and taped.known.tape is not None:
            self._proven.add(taped.known.tape)
        return results


def _loss(task: Task, outputs: Any, targets: torch.Tensor, n: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A batch's loss, and the sums over its examples of what else is measured."""
    return batch_loss(task, outputs, targets), measured_sums(task, outputs, targets, n)
