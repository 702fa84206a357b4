"""What metric-driven families look at: by default what the study is searched by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from ..schedules import FAMILIES
from ..study import Direction, Fixed, Objective, StudySpec, TaskOffer

ALWAYS: Mapping[str, Direction] = {"train_loss": "minimize", "grad_norm": "minimize"}
"""What every registered task measures."""


def watched(spec: StudySpec, objective: Objective, offer: TaskOffer | None) -> dict[str, Any]:
    """``metric`` and ``direction`` for the space of a study with metric-driven families; empty for any other.

    Raises:
        InvalidInput: a metric that the task does not measure, or several that improve in different directions.
    """
    declared = spec.space.declarations
    if not any(FAMILIES[family].METRIC_DRIVEN for family in spec.space.family):
        return {}
    metric = declared.get("metric", objective.metric)
    if isinstance(metric, Fixed):
        metric = metric.value
    names = [str(name) for name in metric] if isinstance(metric, tuple) else [str(metric)]
    measured = {} if offer is None or spec.external else directions(offer)
    for name in names:
        if measured and name not in measured:
            raise InvalidInput(
                f"a schedule can look at what is measured while training, {', '.join(measured)} (got {name!r:.100})",
                field="space.metric",
            )
    if "direction" in declared:
        return {"metric": metric}
    found = {objective.direction if name == objective.metric else measured.get(name, "minimize") for name in names}
    if len(found) > 1:
        raise InvalidInput(
            f"the metrics a schedule looks at must improve in one direction (got {', '.join(names)})",
            field="space.metric",
        )
    return {"metric": metric, "direction": found.pop() or "minimize"}


def directions(offer: TaskOffer) -> dict[str, Direction]:
    """What training reports of a task, and which way it improves: ``train_*`` goes with ``val_*``."""
    told: dict[str, Direction] = {name: way for name, way in offer.metrics.items() if not name.startswith("test_")}
    trained = {f"train_{name.removeprefix('val_')}": way for name, way in told.items() if name.startswith("val_")}
    return {**told, **trained, **{name: way for name, way in ALWAYS.items() if name not in told}}
