"""The space: what a study lets vary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from ..errors import Fault, InvalidInput
from ..schedules import HORIZON, Schedule
from ..study import StudySpec, nested
from .declared import part_dimensions
from .dimensions import Dimension, Suggesting
from .laws import combination_faults, grid_faults, value_faults

MAX_CELLS = 1_000_000
"""A grid above this needs a trial budget."""


class Space:
    """What a resolved spec lets vary: suggestions, grid cells, and the schedules they stand for.

    ``params`` are what varies, by name, and ``family`` where there are several; fixed values are not among them.

    Args:
        spec: a spec that ``resolve`` has completed.
        updates_per_epoch: optimiser updates an epoch where known: lengths are then checked in whole updates too.

    Raises:
        InvalidInput: a declared value breaks its parameter's law, or some combination of values the schedule's; or
            the sampler is a grid and a range has no points.
    """

    def __init__(self, spec: StudySpec, updates_per_epoch: int | None = None) -> None:
        self.spec = spec
        self.families = spec.space.family
        self._updates_per_epoch = updates_per_epoch
        self._dimensions: dict[str, dict[str, Dimension]] = {}
        faults: list[Fault] = []
        for family in self.families:
            dimensions: dict[str, Dimension] = {}
            wrong: list[Fault] = []
            for part in spec.space.parts(family):
                own, faulty = part_dimensions(spec, part)
                faulty = faulty or list(value_faults(part, own))
                wrong += faulty or combination_faults(part, own, spec, updates_per_epoch)
                dimensions |= {f"{part.prefix}{name}": dimension for name, dimension in own.items()}
            if spec.sampler.name == "grid":
                wrong += grid_faults(dimensions)
            faults += [fault for fault in wrong if fault not in faults]
            self._dimensions[family] = dimensions
        self._varying = {
            family: {name: dimension for name, dimension in dimensions.items() if dimension.varies}
            for family, dimensions in self._dimensions.items()
        }
        self._labels = {family: self._labels_of(family) for family in self.families}
        if not faults:
            faults += self._cell_faults()
        if faults:
            raise InvalidInput("; ".join(map(str, faults)), faults)

    def dimensions(self, family: str) -> Mapping[str, Dimension]:
        """The parameters of ``family`` that vary, by name."""
        return self._varying[family]

    def suggest(self, trial: Suggesting) -> dict[str, JsonValue]:
        """Params drawn by a sampler.

        A parameter that means the same in several families is one to the sampler; what is declared apart in each is
        drawn under the family's own label.
        """
        params: dict[str, JsonValue] = {}
        family = self.families[0]
        if len(self.families) > 1:
            family = params["family"] = trial.suggest_categorical("family", self.families)
        for name, dimension in self._varying[family].items():
            params[name] = dimension.suggest(trial, self._labels[family][name])
        return params

    def observed(self, params: Mapping[str, JsonValue]) -> dict[str, Any] | None:
        """What a sampler would have drawn, by its labels, for ``params``; None where they lie outside of the space."""
        family = self._family(params)
        if family is None or not all(self._is_fixed(family, name, value) for name, value in params.items()):
            return None
        drawn: dict[str, Any] = {"family": family} if len(self.families) > 1 else {}
        for name, dimension in self._varying[family].items():
            if name not in params or (coordinate := dimension.coordinate(params[name])) is None:
                return None
            drawn[self._labels[family][name]] = coordinate
        return drawn

    def schedule(self, params: Mapping[str, JsonValue]) -> Schedule:
        """The schedule of ``params``, fixed values and horizon added.

        Raises:
            InvalidInput: a parameter is missing, unknown, or takes a value outside of the space.
        """
        family = self._family(params)
        if family is None:
            known = ", ".join(self.families)
            raise InvalidInput(f"`family` is one of {known} (got {params.get('family')!r:.100})", field="params.family")
        faults = self._param_faults(self._varying[family], params)
        if faults:
            raise InvalidInput("; ".join(map(str, faults)), faults)
        fixed = {
            name: dimension.value(0) for name, dimension in self._dimensions[family].items() if not dimension.varies
        }
        groups = {f"{part.prefix}family": part.family for part in self.spec.space.parts(family)[1:]}
        return self._made(nested({**fixed, **params, **groups, "family": family}))

    def baseline(self, data: Mapping[str, Any]) -> Schedule:
        """A schedule from its own fields, inside of the space or not, with the study's horizon.

        Raises:
            InvalidInput: it states another horizon, or breaks the schedule's laws.
        """
        horizon = self.spec.horizon
        for name in HORIZON:
            if data.get(name) is not None and data[name] != horizon.get(name):
                stated = ", ".join(f"{key} {value}" for key, value in horizon.items())
                raise InvalidInput(
                    f"the horizon is the study's, {stated}: leave it out (got {data[name]!r:.50})", field=name
                )
        return self._made({name: value for name, value in data.items() if name not in HORIZON})

    def _check_groups(self, schedule: Schedule) -> None:
        """A schedule with groups has those of the recipe, all of them: a group's rate is a column of its own."""
        names = [name for name, _ in schedule.groups]
        known = names if not self.spec.train else list(self.spec.train.groups)
        if names and names != known:
            raise InvalidInput(
                f"the recipe's parameter groups (`train.groups`) are {', '.join(known) or 'none'}: a schedule has all "
                f"of them or none (got {', '.join(names)})",
                field="groups",
            )

    def params_of(self, schedule: Schedule) -> dict[str, JsonValue] | None:
        """The params that stand for ``schedule``; None where it lies outside of the space."""
        if schedule.family not in self.families:
            return None
        params: dict[str, JsonValue] = {"family": schedule.family} if len(self.families) > 1 else {}
        groups = dict(schedule.groups)
        for name in self._varying[schedule.family]:
            group, own = name.split(".")[1:] if "." in name else ("", name)
            value = getattr(groups.get(group) if group else schedule, own, None)
            params[name] = list(value) if isinstance(value, tuple) else value
        return params if self.observed(params) is not None and self.schedule(params) == schedule else None

    @property
    def n_cells(self) -> int | None:
        """How many different params a grid has, families added up; None where something is continuous."""
        if any(dimension.n is None for varying in self._varying.values() for dimension in varying.values()):
            return None
        return sum(self._n_cells_of(family) for family in self.families)

    def cell(self, index: int) -> dict[str, JsonValue]:
        """The params of grid cell ``index`` in [0, n_cells): family by family, the last parameter moving fastest."""
        params: dict[str, JsonValue] = {}
        rest = index
        for family in self.families:
            size = self._n_cells_of(family)
            if rest >= size:
                rest -= size
                continue
            for name, dimension in reversed(self._varying[family].items()):
                assert dimension.n is not None
                rest, position = divmod(rest, dimension.n)
                params[name] = dimension.value(position)
            if len(self.families) > 1:
                params["family"] = family
            return dict(reversed(params.items()))
        raise IndexError(f"a grid's cells count from 0 to {self.n_cells} (got {index})")

    def _is_fixed(self, family: str, name: str, value: Any) -> bool:
        """Whether ``value`` is the fixed one; true of what varies, which is looked at apart."""
        dimension = self._dimensions[family].get(name)
        return name == "family" or (
            dimension is not None and (dimension.varies or dimension.coordinate(value) is not None)
        )

    def _n_cells_of(self, family: str) -> int:
        return math.prod(dimension.n or 0 for dimension in self._varying[family].values())

    def _family(self, params: Mapping[str, Any]) -> str | None:
        family = params.get("family", self.families[0] if len(self.families) == 1 else None)
        return family if isinstance(family, str) and family in self.families else None

    def _labels_of(self, family: str) -> dict[str, str]:
        labels = {}
        for name, dimension in self._varying[family].items():
            meanings = [own[name] for own in self._dimensions.values() if name in own]
            labels[name] = name if all(other == dimension for other in meanings) else f"{family}.{name}"
        return labels

    def _cell_faults(self) -> list[Fault]:
        if self.spec.sampler.name != "grid" or self.spec.budget.trials is not None:
            return []
        cells = self.n_cells
        if cells is None or cells <= MAX_CELLS:
            return []
        return [
            Fault("budget.trials", f"a grid of more than {MAX_CELLS:,} cells needs a trial budget (got {_size(cells)})")
        ]

    def _param_faults(self, varying: Mapping[str, Dimension], params: Mapping[str, Any]) -> list[Fault]:
        faults = [
            Fault(f"params.{name}", f"this space varies `{name}`: give it a value")
            for name in varying
            if name not in params
        ]
        for name, value in params.items():
            if name == "family":
                continue
            if name not in varying:
                known = ", ".join(varying) or "nothing"
                faults.append(
                    Fault(f"params.{name:.100}", f"this space does not vary `{name:.100}`; it varies {known}")
                )
            elif varying[name].coordinate(value) is None:
                faults.append(Fault(f"params.{name}", f"the value lies outside of the space (got {value!r:.100})"))
        return faults

    def _made(self, fields: Mapping[str, Any]) -> Schedule:
        schedule = Schedule.read({**fields, **self.spec.horizon})
        if self._updates_per_epoch is not None or self.spec.updates is not None:
            schedule.clock(self._updates_per_epoch)
        self._check_groups(schedule)
        return schedule


def _size(cells: int) -> str:
    return f"{cells:,}" if cells < 10**15 else f"about 10^{len(str(cells)) - 1}"
