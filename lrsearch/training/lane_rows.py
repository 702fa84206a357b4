"""How many rows the lanes of a model are given, so that no lane's bits depend on how many there are.

A kernel treats the last numbers of a tensor, those that fill no whole vector, in other instructions than the rest.
Where it computes a function of its own (SiLU, softplus) or sums over the axis before the lanes (batch norm), their
last bits differ. With whole blocks of 32 rows there are no such numbers: every lane's sit in whole vectors. Products,
ReLU, softmax and what else is listed here give the same bits in either, so that such models train any number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ..study import TrainSpec
from ..tasks.initial import seeded
from ..tasks.task import Task
from .batches import Placed
from .torch_lane import placed_model

FEWEST_ROWS = 2
"""One lane alone is trained beside a copy of itself: kernels for one differ in bits from kernels for many."""
BLOCK = 32
"""Rows of a block: two of the widest vectors of 32-bit numbers."""
TAPED_FLOPS = 10**9
"""An update of more operations takes too long to be recorded, see ``tape``."""
CHEAP, CHEAP_FLOPS = 8, 2_000_000
"""Where an update of one row has so few operations, few rows more are nothing: calling an operator takes longer."""
SHAPES = (
    "view _unsafe_view reshape t transpose permute expand unsqueeze squeeze slice select cat split detach alias clone"
)
EXACT = "add add_ sub mul div neg relu threshold_backward maximum minimum gt ge lt le eq where"
MADE = "copy_ empty zeros ones_like zeros_like"
PRODUCTS = "mm bmm addmm convolution convolution_backward mkldnn_convolution"
BY_ROW = (
    "_log_softmax _log_softmax_backward_data _softmax _softmax_backward_data native_layer_norm "
    "native_layer_norm_backward nll_loss_forward nll_loss_backward sum mean "
    "binary_cross_entropy_with_logits mse_loss mse_loss_backward "
    "max_pool2d_with_indices max_pool2d_with_indices_backward"
)
DRAWS = "bernoulli_ div_ empty_like native_dropout native_dropout_backward"
OTHER = "tanh tanh_backward sigmoid sigmoid_backward _to_copy"
ANYWHERE = frozenset(" ".join([SHAPES, EXACT, MADE, PRODUCTS, BY_ROW, DRAWS, OTHER]).split())
"""Operators that give the same bits wherever in a tensor a number stands."""


HOOK = "register_hook"
"""Stands among the operators where a forward pass hooks a tensor."""


class _Hooks(TorchFunctionMode):
    """Notes whether tensors are hooked inside."""

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= func is torch.Tensor.register_hook
        return func(*args, **(kwargs or {}))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types it not
    """Notes the operators that run inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch types it not
        self.seen: set[str] = set()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.overloadpacket.__name__)
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.flops += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


class Operators(NamedTuple):
    """What an update's forward and backward pass does.

    Attributes:
        names: of its operators, torch's.
        flops: of its products, as torch counts them, for one example.
    """

    names: frozenset[str]
    flops: int


def operators(task: Task, train: TrainSpec, data: Placed) -> Operators:
    """What one update of one lane does, as a look at two examples tells."""
    device = data.train[0].device
    model = placed_model(task, train, 0, device)
    model.train()
    inputs, targets = (side[:2].clone() for side in data.train)
    with seeded(0, torch_too=True), _Hooks() as hooks, _Recorder() as recorder:
        task.loss(model(inputs), targets).backward()  # type: ignore[no-untyped-call]  # torch types it not
    names = frozenset(recorder.seen | {HOOK} if hooks.seen else recorder.seen)
    return Operators(names, recorder.flops // max(1, len(inputs)))


def rows_of(
    index: Sequence[int], seen: Operators, batch_size: int, *, taped: bool = True, lasting: bool = False
) -> list[int]:
    """``index`` with its last entry repeated to as many rows as operators ``seen`` need.

    What is recorded for a number of rows is used again, and recording costs more than a few rows too many. So where
    updates may be ``taped`` and their operators need no block, there are four numbers of rows an octave only; and where
    a row costs next to nothing, two, and multiples of 8, unless the rows are ``lasting``.
    """
    flops, block = seen.flops * batch_size, 1
    if not seen.names <= ANYWHERE:
        block = BLOCK
    elif taped and flops * len(index) <= TAPED_FLOPS:
        cheap, octave = 0 < flops <= CHEAP_FLOPS and not lasting, 2 ** len(index).bit_length() // 2
        block = max(CHEAP, octave // 2) if cheap else max(1, octave // 4)
    n_rows = max(FEWEST_ROWS, -(-len(index) // block) * block)
    return [*index, *[index[-1]] * (n_rows - len(index))]
