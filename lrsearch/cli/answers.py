"""What commands print: models as JSON, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ..errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from ..exports import Export
    from ..study import Best, Study


def print_json(value: BaseModel | Iterable[BaseModel]) -> None:
    """A model, or ``{"items": [...]}``, as indented JSON."""
    if hasattr(value, "model_dump_json"):
        print(value.model_dump_json(indent=2))
    else:
        print(json.dumps({"items": [item.model_dump(mode="json") for item in value]}, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, nothing: str) -> None:
    """Rows for people; ``nothing`` where there are none."""
    rows = list(rows)
    if not rows:
        print(nothing)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    console = Console()
    console.width = console.width if console.is_terminal else 200
    console.print(table, markup=False)


def cell(value: Any) -> str:
    """A value in a table: five digits, a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def in_words(fields: dict[str, Any]) -> str:
    """``{"initial_lr": 0.1, "groups": {"head": {"initial_lr": 1}}}``: ``initial_lr 0.1, groups.head.initial_lr 1``."""
    return ", ".join(
        in_words({f"{name}.{own}": it for own, it in value.items()})
        if isinstance(value, dict)
        else f"{name} {cell(value)}"
        for name, value in fields.items()
    )


def put_export(export: Export, output: Path | None = None) -> None:
    """Write an export to ``output``, or print it; data that is no text is not printed to a terminal."""
    content = export.text.rstrip().encode() + b"\n" if export.is_text else export.content
    if output is None and not export.is_text and sys.stdout.isatty():
        raise InvalidInput(f"{export.media_type} is no text: name a file with --output, or redirect it", field="--as")
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}", field="--output") from None


def print_best(best: Best, study: Study) -> None:
    """The best trial with its schedule, drawn."""
    from ..pictures import sketch

    metric = study.spec.objective.metric
    beside = f" (the best baseline: {cell(best.baseline_value)})" if best.baseline_value is not None else ""
    print(f"{best.study}: trial {best.trial}, {metric} {best.value:.5g}{beside}")
    if best.confirmed is not None:
        seeds = len(best.confirmed.seeds)
        print(f"  confirmed on {seeds} fresh seeds: {cell(best.confirmed.mean)} +- {cell(best.confirmed.std)}")
    if best.test:
        print(f"  measured once on the test set: {in_words(best.test)}")
    schedule = best.schedule.model_dump(mode="json")
    print(f"  {schedule.pop('family')}: {in_words(schedule)}")
    print(sketch(best.schedule, best.updates_per_epoch or 100))
