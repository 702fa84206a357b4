"""The tasks this process knows: built-ins, those of installed packages, and those named on the command line."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, ModuleType

from ..errors import InvalidInput
from ..study import TaskOffer
from .catalog import BUILT_IN
from .initial import seeded
from .source import DIGEST, digest_of
from .task import Task

GROUP = "lrsearch.tasks"
"""The entry-point group in which a package registers its tasks."""


def load_tasks(extra: Sequence[str] = ()) -> Mapping[str, type[Task]]:
    """Every task by name.

    Args:
        extra: what the user names: ``"my.py:MyTask"`` or ``"package.module:MyTask"``; the class may be left out where
            the file defines only one.

    Raises:
        InvalidInput: one of ``extra`` cannot be loaded, is no task, or has a name that is taken. An entry point that
            is broken only warns: it must not keep the others from work.
    """
    tasks = dict(BUILT_IN)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            _add(tasks, checked(entry.load(), entry.value))
        except Exception as error:
            warnings.warn(f"the task entry point `{entry.name} = {entry.value}` is left out: {error}", stacklevel=2)
    for reference in extra:
        _add(tasks, load_task(reference))
    return MappingProxyType(tasks)


def offers(tasks: Mapping[str, type[Task]], needed: str | None = None) -> tuple[TaskOffer, ...]:
    """What each task announces; one whose data cannot be loaded is left out with a warning.

    Raises:
        InvalidInput: it is the ``needed`` one.
    """
    announced = []
    for name, task in tasks.items():
        try:
            announced.append(task.offer())
        except Exception as error:
            why = f"{error}" if isinstance(error, InvalidInput) else f"{type(error).__name__}: {error}"
            if name == needed:
                raise InvalidInput(f"task `{name}` cannot be trained: {why}", field="task") from error
            warnings.warn(f"task `{name}` is not offered: {why}", stacklevel=2)
    return tuple(announced)


def load_task(reference: str) -> type[Task]:
    """The class that ``reference`` names.

    Raises:
        InvalidInput: as ``load_tasks``.
    """
    if reference.endswith(".py"):
        home, name = reference, ""
    else:
        home, _, name = reference.rpartition(":")
    if not home:
        raise InvalidInput(f'a task is named "my.py:MyTask" or "package.module:MyTask" (got {reference!r})')
    try:
        module = _executed(Path(home)) if home.endswith(".py") else importlib.import_module(home)
    except Exception as error:
        raise InvalidInput(f"task {reference!r} cannot be loaded: {type(error).__name__}: {error}") from error
    found = {
        attribute: value
        for attribute, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Task) and value.__module__ == module.__name__
    }
    if not name and len(found) == 1:
        return checked(next(iter(found.values())), reference)
    if not name or not hasattr(module, name):
        known = ", ".join(found) or "none"
        raise InvalidInput(f"task {reference!r} must name a class in {home}; its tasks are: {known}")
    return checked(getattr(module, name), reference)


def checked(task: object, reference: str) -> type[Task]:
    """``task`` if it is a task class whose attributes keep the laws."""
    if not (inspect.isclass(task) and issubclass(task, Task)):
        raise InvalidInput(f"{reference!r} must be a subclass of lrsearch.Task (got {task!r:.100})")
    try:
        task.description()
    except InvalidInput as error:
        raise InvalidInput(f"task {reference!r}: {error}", error.faults) from None
    return task


def _add(tasks: dict[str, type[Task]], task: type[Task]) -> None:
    if tasks.get(task.name, task) is not task:
        taken = tasks[task.name]
        raise InvalidInput(
            f"task names must differ: `{task.name}` is {taken.__module__}.{taken.__qualname__} already; "
            f"change `name` in {task.__qualname__}"
        )
    tasks[task.name] = task


def _executed(path: Path) -> ModuleType:
    """The module of a file, executed afresh from exactly the text that its digest is taken of.

    What it draws as it is executed (a model that it makes once) is the same in every process.
    """
    source = path.read_bytes()
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = ModuleType(f"lrsearch_task_{path.stem}_{digest_of(str(path.resolve()).encode())[:8]}")
    module.__file__ = str(path)
    setattr(module, DIGEST, digest_of(source))
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    torch_too = "torch" in sys.modules or (b"torch" in source and find_spec("torch") is not None)
    try:
        with seeded(0, torch_too=torch_too):
            exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102  the user's own file, named by them
    except BaseException:
        sys.modules.pop(module.__name__)
        if before is not None:
            sys.modules[module.__name__] = before
        raise
    return module
