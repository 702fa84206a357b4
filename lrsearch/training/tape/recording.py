"""What a function does to tensors, noted operator by operator while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
UNFIT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}
"""Operators whose results steer Python, by their values or shapes: next time something else may happen."""
READING = frozenset(
    {
        *(torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.tolist, torch.Tensor.data_ptr),
        *(torch.Tensor.untyped_storage, torch.Tensor.__dlpack__),
    }
)
"""Methods by which Python gets at a tensor's numbers without an operator."""
BY_NUMBER = frozenset({aten.add.Scalar, aten.sub.Scalar, aten.mul.Scalar, aten.div.Scalar})
"""Operators with a number, which have no overload that writes a result where it is told to; torch's functions do."""
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    name: getattr(torch, name)
    for name in (
        *("add", "sub", "mul", "div", "neg", "exp", "log", "sqrt", "tanh", "sigmoid", "clamp_min", "where", "maximum"),
        *("minimum", "gt", "ge", "lt", "le", "eq", "ne", "bmm", "mm", "sum", "mean", "index_select"),
    )
} | {"linalg_vector_norm": torch.linalg.vector_norm}
"""Torch's own functions of the same name, arguments and ``out=``: called in half the time of an operator's overload."""
IN_PLACE: Mapping[str, Callable[..., Any]] = {
    name: getattr(torch.Tensor, name)
    for name in ("add_", "sub_", "mul_", "div_", "neg_", "exp_", "log_", "sqrt_", "fill_", "zero_", "copy_")
}
"""The same for operators that change their first argument."""
UNSAID: Mapping[str, tuple[int, ...]] = {"native_batch_norm": (3, 4)}
"""Arguments that operators change though their schemas do not say so: running means and variances."""


def storage_of(tensor: torch.Tensor) -> int:
    """Which memory a tensor looks at."""
    return int(tensor.untyped_storage()._cdata)


def same_view(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors look at the same numbers of one memory."""
    return storage_of(one) == storage_of(other) and _view(one) == _view(other)


def _view(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.storage_offset()


def tensors_in(*nested: object) -> list[torch.Tensor]:
    """Every tensor in nested arguments: operators take and give lists, tuples and dicts of them."""
    found: list[torch.Tensor] = []
    for item in nested:
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, list | tuple):
            found += tensors_in(*item)
        elif isinstance(item, dict):
            found += tensors_in(*item.values())
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """``run(*args, **kwargs)``: does what an operator did, into the tensors that it did it into.

    Attributes:
        name: the operator's, without its overload.
        run: what is called.
        args: its arguments, the tensors of the recorded run among them.
        kwargs: the same by name.
        fresh: those of them that were its results, in new memory.
        changed: those of them that it wrote though they were there before.
        draws: whether it draws from the generator, or may do so.
        drawn: whether all that it does depends on the generator alone.
    """

    name: str
    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    fresh: tuple[torch.Tensor, ...]
    changed: tuple[torch.Tensor, ...]
    draws: bool = False
    drawn: bool = False

    @property
    def touched(self) -> list[torch.Tensor]:
        """Every tensor that it reads or writes."""
        return tensors_in(self.args, self.kwargs)

    @property
    def read(self) -> list[torch.Tensor]:
        """Every tensor that it reads."""
        return [tensor for tensor in self.touched if not any(tensor is one for one in self.fresh)]


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types it not
    """Notes what runs inside, which runs as it would outside.

    Views are not noted: what they look at is written again. The tensors met are kept alive, so that no two of them ever
    had the same memory.

    Attributes:
        calls: in order.
        unfit: why they may not be run again; None where they may.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch types it not
        self.calls: list[Call] = []
        self.unfit: str | None = None
        self._met: list[torch.Tensor] = []
        self._reading = _Reading()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            before = _places(args[0]) if func is aten.as_strided_.default else None
        result = func(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunction():  # what is looked at here is no reading of the function's
            results = tensors_in(result)
            self._met += [*tensors_in(args, kwargs), *results]
            if before is not None and before == _places(result):
                pass  # another way to say where its numbers are, as pooling to one pixel with channels last does
            elif UNFIT.intersection(func.tags):
                self.unfit = f"{func} depends on numbers"
            else:
                self._note(func, args, kwargs or {}, results)
        return result

    def __enter__(self) -> Self:
        """Begin to note."""
        self._reading.__enter__()  # type: ignore[no-untyped-call]  # torch types it not
        self._token = _under_way.set(self)
        super().__enter__()  # type: ignore[no-untyped-call]  # torch types it not
        return self

    def __exit__(self, *error: Any) -> None:
        """Note no more."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # torch types it not
        _under_way.reset(self._token)
        self._reading.__exit__(*error)  # type: ignore[no-untyped-call]  # torch types it not

    @property
    def changed(self) -> list[torch.Tensor]:
        """The tensors that were there before and were written."""
        made = {storage_of(tensor) for call in self.calls for tensor in call.fresh}
        return [tensor for call in self.calls for tensor in call.changed if storage_of(tensor) not in made]

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: list[torch.Tensor]) -> None:
        name = func.overloadpacket.__name__
        names, writes = _signature(func)
        given = [*args, *(kwargs.get(name) for name in names[len(args) :])] if writes else []
        changed = tuple(tensors_in([given[i] for i in writes]))
        # what other libraries' operators do nobody says
        draws = torch.Tag.nondeterministic_seeded in func.tags or func.namespace != "aten"
        known = {storage_of(tensor) for tensor in tensors_in(args, kwargs)}
        fresh = [tensor for tensor in results if storage_of(tensor) not in known]
        if fresh and len(fresh) < len(results):
            self.unfit = f"{func} gives new tensors and old ones"
        elif fresh:
            run, args, kwargs = _written(func, args, kwargs, fresh)
            self.calls.append(Call(name, run, args, kwargs, tuple(fresh), changed, draws))
        elif changed:
            self.calls.append(Call(name, _quicker(func, IN_PLACE, func), args, kwargs, (), changed, draws))


class _Reading(TorchFunctionMode):
    """Forbids to run again what lets Python see a tensor's numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READING:
            forbid(f"{func} depends on numbers")
        return func(*args, **(kwargs or {}))


_under_way: ContextVar[Recording | None] = ContextVar("recording", default=None)


def under_way() -> bool:
    """Whether something is being recorded."""
    return _under_way.get() is not None


def forbid(why: str) -> None:
    """What is being recorded may not be run again from its operators alone."""
    recording = _under_way.get()
    if recording is not None:
        recording.unfit = why


def _written(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: list[torch.Tensor]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """What to call so that ``results`` are written where they are, in as few passes over memory as torch knows."""
    if func is aten.relu.default:
        return torch.clamp_min, (args[0], 0), {"out": results[0]}
    if func is aten.clone.default:
        return torch.Tensor.copy_, (results[0], args[0]), {}
    if func in BY_NUMBER and not kwargs:
        return FUNCTIONS[func.overloadpacket.__name__], args, {"out": results[0]}
    found = _out_variant(func)
    if found is None:
        return partial(_copied, func), (results, *args), kwargs
    variant, names = found
    run = _quicker(func, FUNCTIONS, variant) if names == ("out",) else variant
    return run, args, {**kwargs, **dict(zip(names, results, strict=True))}


def _places(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Where a tensor's numbers are: strides of axes of length 1 do not matter."""
    strides = [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size != 1]
    return tensor.shape, strides, tensor.storage_offset()


def _quicker(func: Any, table: Mapping[str, Callable[..., Any]], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """What ``table`` calls in an operator's place; other libraries' operators may have the names of torch's."""
    return table.get(func.overloadpacket.__name__, otherwise) if func.namespace == "aten" else otherwise


def _copied(func: Callable[..., Any], into: list[torch.Tensor], /, *args: Any, **kwargs: Any) -> None:
    for target, result in zip(into, tensors_in(func(*args, **kwargs)), strict=True):
        target.copy_(result)


@cache
def _signature(func: Any) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The names of an operator's arguments, and which of them it writes."""
    arguments = func._schema.arguments
    writes = [i for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write]
    return tuple(a.name for a in arguments), (*writes, *UNSAID.get(func.overloadpacket.__name__, ()))


@cache
def _out_variant(func: Any) -> tuple[Any, tuple[str, ...]] | None:
    """The overload that writes its results where it is told to, and the names of those; None = there is none."""

    def described(arguments: Any) -> list[tuple[str, str]]:
        return [(argument.name, str(argument.type)) for argument in arguments]

    wanted = described(func._schema.arguments)
    for overload in func.overloadpacket.overloads():
        variant = getattr(func.overloadpacket, overload)
        arguments = variant._schema.arguments
        names = tuple(argument.name for argument in arguments if argument.is_out)
        if (
            len(names) == len(func._schema.returns)
            and described(argument for argument in arguments if not argument.is_out) == wanted
            and torch._C._dispatch_has_kernel_for_dispatch_key(variant.name(), "CPU")
        ):
            return variant, names
    return None
