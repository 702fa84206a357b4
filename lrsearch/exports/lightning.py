"""Lightning: ``configure_optimizers`` with a LambdaLR that moves once an optimiser update."""

from __future__ import annotations

from ..schedules import Schedule
from .heading import heading
from .target import GROUPS, ExportContext, ExportTarget
from .torch_source import sets_the_rate, torch_source

TEMPLATE = '''\
{heading}
{imports}

{source}


def configure_optimizers(self):
    """Paste it into your LightningModule, or say `configure_optimizers = configure_optimizers` in its class."""
    optimizer = {optimizer}
    scheduler = make_scheduler(optimizer)
    return {{"optimizer": optimizer, "lr_scheduler": {{"scheduler": scheduler, "interval": "step", "frequency": 1}}}}
'''


def write(schedule: Schedule, context: ExportContext) -> str:
    """A self-contained module: constants, ``lr(update)``, ``make_scheduler``, ``configure_optimizers``."""
    source = torch_source(schedule, context, model="self")
    clip_norm = context.recipe.get("clip_norm")
    notes = ["Lightning steps the scheduler itself, once an optimiser update, with accumulated gradients too."]
    if clip_norm is not None:
        notes.append(f"Clip as it was found: Trainer(gradient_clip_val={clip_norm!r}).")
    return TEMPLATE.format(
        heading=heading(schedule, context, "Lightning", *sets_the_rate(schedule), *notes),
        imports=source.imports,
        source=source.text,
        optimizer=source.optimizer,
    )


LIGHTNING = ExportTarget(
    "lightning", "Lightning: configure_optimizers, stepped an update", "text/x-python", True, write, GROUPS
)
