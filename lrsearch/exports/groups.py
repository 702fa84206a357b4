"""A schedule of parameter groups as source: a function for each group's rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..schedules import Schedule
from .closed_form import HEADER, ClosedForm, assigned, closed_form
from .dialect import PYTHON, Dialect
from .target import ExportContext


def group_forms(schedule: Schedule, context: ExportContext, dialect: Dialect = PYTHON) -> dict[str, ClosedForm]:
    """``lr_head(update)`` for every group ``head`` of a schedule, with constants of its own: ``HEAD_INITIAL_LR``.

    Raises:
        InvalidInput: as ``closed_form``.
    """
    written = {name: closed_form(own, context.updates_per_epoch, dialect) for name, own in schedule.groups}
    return {name: _renamed(name, own) for name, own in written.items()}


def _renamed(group: str, form: ClosedForm) -> ClosedForm:
    constants = re.findall(r"^([A-Z_]+) = ", form.constants, flags=re.MULTILINE)
    names = re.compile(rf"\b({'|'.join(constants)})\b")
    function = form.function.replace(HEADER[0], f"def lr_{group}(update):").replace(
        HEADER[1], f'    """As `lr`, for the parameter group `{group}`."""'
    )
    return ClosedForm(form.imports, *(names.sub(rf"{group.upper()}_\1", text) for text in (form.constants, function)))


def joined(main: ClosedForm, groups: Mapping[str, ClosedForm]) -> ClosedForm:
    """All functions one after the other, ``lr`` first."""
    forms = [main, *groups.values()]
    imports = dict.fromkeys(line for form in forms for line in form.imports.splitlines() if line)
    return ClosedForm(
        "\n".join(imports),
        "\n".join(form.constants for form in forms),
        "\n\n\n".join(form.function for form in forms),
    )


def modules_of(schedule: Schedule, context: ExportContext) -> str:
    """``MODULES = {...}``: the modules of every group, as the recipe says; else the one of the group's name."""
    modules: dict[str, Any] = {name: list(context.modules.get(name, [name])) for name, _ in schedule.groups}
    return f"{assigned('MODULES', modules)}  # by parameter group, as `named_parameters()` begins"


GROUP_OF = '''\


def group_of(name):
    """The group that a parameter belongs to; None: the rest, with the rate `lr`."""
    inside = [
        (len(path), group)
        for group, paths in MODULES.items()
        for path in paths
        if name == path or name.startswith(path + ".")
    ]
    return max(inside)[1] if inside else None'''
"""Source of ``group_of``, which reads ``MODULES``."""
