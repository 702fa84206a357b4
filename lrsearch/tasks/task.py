"""What is trained: the class that a user's own task is made of. Importable without torch."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import InvalidInput
from ..frozen import Frozen
from ..study import Direction, TaskDefaults, TaskOffer
from .depth import depth_groups
from .source import source_digest

if TYPE_CHECKING:
    import torch

Pair = tuple[Any, Any]
"""Inputs and targets, numpy arrays or torch tensors whose first axis counts the examples."""


class Options(Frozen):
    """The options of a task, as a frozen pydantic model; every field needs a default, see ``Task.examples_option``."""


@dataclass(frozen=True, eq=False)
class Data:
    """A task's data, in memory.

    Floating-point arrays are trained in the recipe's precision, integers stay as they are.

    Attributes:
        train: inputs and targets to train on.
        val: held out of training: what a search looks at.
        test: looked at once, for the winner; None where there is none.
    """

    train: Pair
    val: Pair
    test: Pair | None = None

    def __post_init__(self) -> None:
        for part, pair in self.parts().items():
            given = pair if isinstance(pair, tuple | list) else ()
            if len(given) != 2 or any(isinstance(side, tuple | Mapping) for side in given):
                of = f" of {', '.join(type(side).__name__ for side in given)}" if 0 < len(given) <= 8 else ""
                raise InvalidInput(
                    f"`{part}` data must be a pair (inputs, targets), an array each, with a row an example "
                    f"(got {type(pair).__name__}{of})"
                )
            n_inputs, n_targets = (len(side) for side in pair)
            if n_inputs != n_targets or n_inputs < 1:
                raise InvalidInput(
                    f"`{part}` data needs as many targets as inputs, at least one (got {n_inputs} and {n_targets})"
                )

    def parts(self) -> dict[str, Pair]:
        """``{"train": ..., "val": ..., "test": ...}``, the last only where there is test data."""
        parts = {"train": self.train, "val": self.val}
        return parts if self.test is None else {**parts, "test": self.test}

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """``parts()`` as numpy arrays on the processor."""
        return {part: (as_array(pair[0]), as_array(pair[1])) for part, pair in self.parts().items()}


class Task(ABC):
    """Data, model, loss and metrics under a registered name.

    A classifier needs a name, a model and data; loss and accuracy are supplied::

        class Blobs(lrsearch.Task):
            name = "blobs"

            def model(self):
                return torch.nn.Linear(2, 3)

            def data(self):
                return lrsearch.Data(train=(x, y), val=(x_val, y_val))

    The weights ``model()`` returns and everything random while training are drawn from the training seed, through the
    global generators of torch, numpy and Python; ``data()`` must return the same arrays every time. ``loss()``,
    ``measure()`` and the model are functions of tensors: what they do must depend on nothing else, as an update may be
    recorded and replayed. What the model keeps from update to update must be its buffers. A model may return a tuple or
    a dict: ``loss()`` and ``measure()`` are given it as it is. An instance holds one set of options:
    ``self.options.dropout``.

    Class attributes:
        name: lower-case letters, digits, ``.``, ``_``, ``-``; what a spec says under ``task``.
        version: raise it when something changes that neither this file, nor the initial weights, nor the data show.
        metrics: each metric's direction; the first is the default objective.
        Options: a subclass of ``lrsearch.Options``.
        defaults: optimiser, batch size and rates where a spec is silent.
        train_examples: number of training examples; None = counted by loading the data with default options.
        examples_option: where options choose the data, the one that says how many training examples there are; then
            options need no defaults, and nothing is loaded to announce the task.
        has_test: whether there is test data; None = as train_examples.
        optimizers: names of those it can be trained with; None = all.
        trained_by: the kind of program that trains it (``lrsearch.training.program.PROGRAMS``).
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    metrics: ClassVar[Mapping[str, Direction]] = {"val_loss": "minimize", "val_accuracy": "maximize"}
    Options: ClassVar[type[Options]] = Options
    defaults: ClassVar[TaskDefaults] = TaskDefaults()
    train_examples: ClassVar[int | None] = None
    examples_option: ClassVar[str | None] = None
    has_test: ClassVar[bool | None] = None
    optimizers: ClassVar[tuple[str, ...] | None] = None
    trained_by: ClassVar[str] = "torch"
    source: ClassVar[str] = ""
    """Digest of the file that defines the class, taken as the class is made."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.source = source_digest(cls)

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Check ``options``.

        Raises:
            InvalidInput: for an unknown option or a value its law forbids.
        """
        self.options: Any = type(self).Options.read(dict(options or {}))

    @abstractmethod
    def model(self) -> Any:
        """A ``torch.nn.Module`` with its initial weights."""

    @abstractmethod
    def data(self) -> Data:
        """The data, the same every time."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch, a scalar. By default the cross entropy of class scores, (n, classes, ...)."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets if targets.is_floating_point() else targets.long())

    def measure(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Other measures of a batch: one value for each example (or several: their mean), or the mean as a scalar.

        ``"accuracy"`` is reported as ``train_accuracy``, ``val_accuracy`` and ``test_accuracy``; ``"loss"`` and
        ``"grad_norm"`` are refused, as training measures these itself. By default the share of labels that have the
        highest score, where ``metrics`` names an accuracy: scores (n, classes, ...), as cross entropy takes them, or
        (n, ..., classes), and targets (n, ...).

        Raises:
            InvalidInput: outputs and targets have no such shapes.
        """
        if "val_accuracy" not in self.metrics:
            return {}
        scores, labels = tuple(getattr(outputs, "shape", ())), tuple(targets.shape)
        axis = 1 if (*scores[:1], *scores[2:]) == labels else -1
        if len(scores) < 2 or (axis == -1 and scores[:-1] != labels):
            got = f"outputs {scores}" if scores else f"outputs of type {type(outputs).__name__}"
            raise InvalidInput(
                f"`val_accuracy` needs class scores of shape (n, classes, ...) and labels of shape (n, ...): write "
                f'`measure()` of task `{self.name}`, or give it metrics = {{"val_loss": "minimize"}} '
                f"(got {got}, targets {labels})"
            )
        return {"accuracy": outputs.argmax(dim=axis) == targets}

    def depth_groups(self, model: torch.nn.Module) -> list[list[str]]:
        """Names of parameters by depth, from the input to the output: groups that may have rates of their own.

        A schedule's ``layer_decay`` and ``freeze`` go by them; a fine-tuning task has at least two, body and head. By
        default the model's parts, see ``lrsearch.tasks.depth.depth_groups``. What is left out goes with the last one.
        """
        return depth_groups(model)

    @classmethod
    def description(cls) -> TaskOffer:
        """The task as it is announced, apart from what only its data can tell.

        Raises:
            InvalidInput: a class attribute breaks a law.
        """
        if inspect.isabstract(cls) or not isinstance(getattr(cls, "name", None), str):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ()))) or "name"
            raise InvalidInput(f"a task has a `name`, `model()` and `data()`; {cls.__name__} lacks: {missing}")
        if not (inspect.isclass(cls.Options) and issubclass(cls.Options, Options)):
            raise InvalidInput(f"`Options` of task {cls.__name__} must be a subclass of lrsearch.Options")
        needed = [name for name, field in cls.Options.model_fields.items() if field.is_required()]
        if needed and cls.examples_option is None:
            raise InvalidInput(f"every option of task {cls.__name__} needs a default (none has: {', '.join(needed)})")
        if cls.examples_option not in {None, *cls.Options.model_fields}:
            raise InvalidInput(
                f"`examples_option` of task {cls.__name__} names an option (got {cls.examples_option!r})"
            )
        if not cls.metrics:
            raise InvalidInput(f"`metrics` of task {cls.__name__} must name at least one, as `val_loss`")
        return TaskOffer.read(
            {
                "name": cls.name,
                "version": cls.version,
                "help": inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ")[:2000],
                "train_examples": cls.train_examples,
                "examples_option": cls.examples_option,
                "metrics": dict(cls.metrics),
                "options_schema": cls.Options.model_json_schema(),
                "defaults": cls.defaults,
                "has_test": bool(cls.has_test),
                "optimizers": cls.optimizers,
            }
        )

    @classmethod
    def offer(cls) -> TaskOffer:
        """The task as a worker announces it; loads the data where the class does not say what it holds.

        Raises:
            InvalidInput: as ``description``.
            Exception: whatever the task's own ``data()`` raises.
        """
        offer = cls.description()
        if cls.examples_option is not None or (cls.train_examples is not None and cls.has_test is not None):
            return offer
        data = loaded(cls())
        counted = {"train_examples": len(data.train[0]), "has_test": data.test is not None}
        return offer.model_copy(update=counted)


def loaded(task: Task) -> Data:
    """A task's data.

    Raises:
        InvalidInput: it is no ``Data``.
        Exception: whatever the task's own ``data()`` raises.
    """
    data: object = task.data()
    if not isinstance(data, Data):
        raise InvalidInput(
            f"`data()` of task `{task.name}` must return lrsearch.Data(train=(inputs, targets), val=(inputs, targets)) "
            f"(got {type(data).__name__})"
        )
    return data


def as_array(values: Any) -> np.ndarray:
    """A numpy array of ``values``, an array or a tensor on any device."""
    return np.asarray(values.detach().cpu()) if hasattr(values, "detach") else np.asarray(values)
