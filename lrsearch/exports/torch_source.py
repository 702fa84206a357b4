"""What PyTorch, Lightning and Transformers share: ``lr(update)``, a LambdaLR over it, and the recipe's optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..schedules import Schedule
from .closed_form import ClosedForm
from .groups import GROUP_OF, group_forms, joined, modules_of
from .heading import form
from .target import ExportContext

OPTIMIZER_CLASSES: Mapping[str, str] = {
    "sgd": "torch.optim.SGD",
    "adam": "torch.optim.Adam",
    "adamw": "torch.optim.AdamW",
    "rmsprop": "torch.optim.RMSprop",
    "adagrad": "torch.optim.Adagrad",
    "ranger": "pytorch_optimizer.Ranger",
}
"""The classes of our optimisers, with the packages to import."""
IMPORTS: Mapping[str, str] = {
    "torch": "import torch",
    "pytorch_optimizer": "import pytorch_optimizer  # pip install pytorch-optimizer",
}
SETS_THE_RATE = "The schedule sets the rate: the optimiser's own lr is ignored."
ONE_RATE = "Parameter groups with different lr need MULTIPLIERS, one factor a group: [1.0, 0.1]."
BY_GROUP = 'Parameter groups are known by their "name"; the modules of each are MODULES, all others have the rate `lr`.'
ONCE_AN_UPDATE = "Step the scheduler once an optimiser update, not once a batch where gradients accumulate."
TEMPLATE = '''\
{constants}
MULTIPLIERS = None  # or one factor a parameter group


{function}


def make_scheduler(optimizer, start_update=0):
    """A scheduler that sets the rate of every parameter group, from update `start_update` on."""
    groups = optimizer.param_groups
    if MULTIPLIERS is None and len({{float(group["lr"]) for group in groups}}) > 1:
        raise ValueError("parameter groups with different lr: set MULTIPLIERS, one factor a group")
    for group, multiplier in zip(groups, MULTIPLIERS or [1.0] * len(groups), strict=True):
        group["initial_lr"] = multiplier
    return {scheduler}'''
GROUPED = '''\
{constants}


{function}
{group_of}


RATES = {{
{rates}}}


def parameter_groups(model):
    """The optimiser's parameter groups, each with its "name"; the first is what no module in MODULES holds."""
    named = [(group_of(name), parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [{{"name": name, "params": [own for group, own in named if group == name]}} for name in RATES]
    return [{{"params": [own for group, own in named if group is None]}}, *groups]


def make_scheduler(optimizer, start_update=0):
    """A scheduler that sets the rate of every parameter group by its "name", from update `start_update` on."""
    names = [group.get("name") for group in optimizer.param_groups]
    missing = sorted(RATES.keys() - set(names))
    if missing:
        raise ValueError("the optimiser has no parameter group with the name " + ", ".join(missing))
    for group in optimizer.param_groups:
        group["initial_lr"] = 1.0
    return {scheduler}'''
MOVING = '''


def momentum(update):
    """The momentum (beta 1 of Adam) of an update: it moves against the rate."""
    lowest = WARMUP_START if update < WARMUP_UPDATES else FINAL_FACTOR
    risen = (lr(update) / INITIAL_LR - lowest) / (1 - lowest) if lowest < 1 else 1.0
    return MOMENTUM_AT_LOW + (MOMENTUM_AT_PEAK - MOMENTUM_AT_LOW) * min(max(risen, 0.0), 1.0)


class MomentumLR(torch.optim.lr_scheduler.LambdaLR):
    """Sets the momentum with the rate."""

    def get_lr(self):
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum(self.last_epoch), *group["betas"][1:])
            else:
                group["momentum"] = momentum(self.last_epoch)
        return super().get_lr()'''


def sets_the_rate(schedule: Schedule) -> tuple[str, str]:
    """What every text says of the rates that it sets."""
    return SETS_THE_RATE, BY_GROUP if schedule.groups else ONE_RATE


class TorchSource(NamedTuple):
    """Source: ``imports``, the ``text`` that defines ``lr`` and ``make_scheduler``, the call of an ``optimizer``."""

    imports: str
    text: str
    optimizer: str


def torch_source(schedule: Schedule, context: ExportContext, model: str = "model") -> TorchSource:
    """The shared source; the optimiser is made for the parameters of what is called ``model``.

    Raises:
        InvalidInput: as ``Schedule.clock``.
    """
    written = form(schedule, context)
    if schedule.groups:
        written = joined(written, group_forms(schedule, context))
    parameters = f"parameter_groups({model})" if schedule.groups else f"{model}.parameters()"
    optimizer = _optimizer(context.recipe.get("optimizer"), parameters)
    packages = [IMPORTS[package] for package in sorted({"torch", optimizer.partition(".")[0]})]
    return TorchSource(
        imports="\n".join([*([written.imports, ""] if written.imports else []), *packages]),
        text=_text(schedule, context, written),
        optimizer=optimizer,
    )


def _text(schedule: Schedule, context: ExportContext, written: ClosedForm) -> str:
    peak, low = schedule.momentum_at_peak, schedule.momentum_at_low
    constants, moving = [written.constants], ""
    if peak is not None or low is not None:
        constants += _momentum_constants(schedule, context, written)
        moving = MOVING
    kind = "MomentumLR" if moving else "torch.optim.lr_scheduler.LambdaLR"
    if not schedule.groups:
        template, rates = TEMPLATE, "lr"
    else:
        template, rates = GROUPED, "[RATES.get(name, lr) for name in names]"
        constants.append(modules_of(schedule, context))
    return template.format(
        constants="\n".join(constants),
        function=f"{written.function}{moving}",
        group_of=GROUP_OF,
        rates="".join(f'    "{name}": lr_{name},\n' for name, _ in schedule.groups),
        scheduler=f"{kind}(optimizer, {rates}, last_epoch=start_update - 1)",
    )


def _momentum_constants(schedule: Schedule, context: ExportContext, written: ClosedForm) -> list[str]:
    peak, low = schedule.momentum_at_peak, schedule.momentum_at_low
    values = {
        "MOMENTUM_AT_PEAK": low if peak is None else peak,
        "MOMENTUM_AT_LOW": peak if low is None else low,
        "WARMUP_UPDATES": schedule.clock(context.updates_per_epoch).warmup,
        "WARMUP_START": schedule.warmup_start,
        "FINAL_FACTOR": schedule.final_factor,
        "INITIAL_LR": schedule.initial_lr,
    }
    said = {line.partition(" = ")[0] for line in written.constants.splitlines()}
    return [f"{name} = {value!r}" for name, value in values.items() if name not in said]


def _optimizer(optimizer: Any, parameters: str) -> str:
    settings = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer or {})
    name = OPTIMIZER_CLASSES.get(settings.pop("name", ""))
    if name is None:
        return f"torch.optim.SGD({parameters}, lr=INITIAL_LR)  # your optimiser here"
    written = [f"{key}={tuple(value) if isinstance(value, list) else value!r}" for key, value in settings.items()]
    return f"{name}({', '.join([parameters, 'lr=INITIAL_LR', *written])})"
