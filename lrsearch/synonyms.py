"""What other libraries call our fields, so that an unknown name is answered with the right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

MOST_LETTERS = 100
"""Of an unknown name, which may be a MiB long, that are compared with the known ones."""

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "gamma": "decay_rate",
        "decay": "decay_rate",
        "decay_factor": "decay_rate",
        "T_max": "epochs",
        "t_max": "epochs",
        "t_initial": "epochs",
        "total_iters": "epochs",
        "num_epochs": "epochs",
        "n_epochs": "epochs",
        "max_epochs": "epochs",
        "horizon": "epochs",
        "total_steps": "updates",
        "max_steps": "updates",
        "num_training_steps": "updates",
        "steps": "updates",
        "iterations": "updates",
        "eval_steps": "eval_every",
        "eval_interval": "eval_every",
        "eta_min": "final_factor",
        "min_lr": "final_factor",
        "min_lr_ratio": "final_factor",
        "alpha": "final_factor",
        "end_lr": "final_factor",
        "lr": "initial_lr",
        "learning_rate": "initial_lr",
        "max_lr": "initial_lr",
        "base_lr": "initial_lr",
        "peak_lr": "initial_lr",
        "lr_max": "initial_lr",
        "warmup_steps": "warmup",
        "warmup_epochs": "warmup",
        "warmup_ratio": "warmup",
        "num_warmup_steps": "warmup",
        "pct_start": "warmup",
        "start_factor": "warmup_start",
        "warmup_type": "warmup_shape",
        "decay_steps": "step_size",
        "decay_epochs": "step_size",
        "decay_milestones": "milestones",
        "boundaries": "milestones",
        "boundaries_and_scales": "milestones",
        "knots": "milestones",
        "scales": "factors",
        "values": "factors",
        "interpolate_type": "between",
        "T_0": "cycle",
        "t_0": "cycle",
        "first_decay_steps": "cycle",
        "cycle_len": "cycle",
        "cycle_length": "cycle",
        "T_mult": "cycle_growth",
        "t_mul": "cycle_growth",
        "cycle_mul": "cycle_growth",
        "cycle_mult": "cycle_growth",
        "m_mul": "peak_decay",
        "cycle_decay": "peak_decay",
        "step_size_up": "cycle",
        "step_size_down": "cycle",
        "scale_mode": "envelope",
        "num_decay_steps": "decay_length",
        "cooldown": "decay_length",
        "cooldown_length": "decay_length",
        "cooldown_steps": "decay_length",
        "cooldown_epochs": "decay_length",
        "cooldown_fraction": "decay_length",
        "cooldown_shape": "decay_shape",
        "decay_type": "decay_shape",
        "anneal_strategy": "decay_shape",
        "div_factor": "warmup_start",
        "div": "warmup_start",
        "final_div_factor": "final_factor",
        "div_final": "final_factor",
        "exponent": "power",
        "end_factor": "final_factor",
        "end_value": "final_factor",
        "end_learning_rate": "final_factor",
        "lr_end": "final_factor",
        "lr_min": "final_factor",
        "min_lr_rate": "final_factor",
        "init_value": "initial_lr",
        "peak_value": "initial_lr",
        "initial_learning_rate": "initial_lr",
        "param_groups": "groups",
        "parameter_groups": "groups",
        "n_trials": "budget.trials",
        "num_samples": "budget.trials",
        "max_trials": "budget.trials",
        "timeout": "budget.hours",
        "time_budget_s": "budget.hours",
        "min_resource": "min_epochs",
        "grace_period": "min_epochs",
        "eta": "reduction_factor",
        "goal": "objective.direction",
        "mode": "objective.direction",
        "direction": "objective.direction",
        "metric": "objective.metric",
        "lr_scheduler_type": "family",
        "scheduler": "family",
        "schedule": "family",
        "type": "family",
        "kind": "family",
        "opt": "optimizer",
        "optim": "optimizer",
        "bs": "batch_size",
        "batch": "batch_size",
        "grad_clip": "clip_norm",
        "max_grad_norm": "clip_norm",
        "gradient_clip_val": "clip_norm",
        "search_alg": "sampler",
        "algorithm": "sampler",
        "scheduler_kwargs": "space",
        "search_space": "space",
        "parameters": "space",
        "model": "task",
        "workload": "task",
        "tags": "labels",
        "min": "low",
        "max": "high",
        "lower": "low",
        "upper": "high",
        "n_startup_trials": "startup_trials",
        "random_state": "seed",
        "optimizer": "train.optimizer",
        "batch_size": "train.batch_size",
        "clip_norm": "train.clip_norm",
        "precision": "train.precision",
        "seed": "train.seed",
        "seeds": "train.seeds",
        "trials": "budget.trials",
        "hours": "budget.hours",
        "parallel": "sampler.parallel",
    }
)


FAMILY_SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "adaptive": "adaptive_warmup",
        "cos": "cosine",
        "cosineannealing": "cosine",
        "cosinedecay": "cosine",
        "cosinewithminlr": "cosine",
        "flatcos": "wsd",
        "trapezoid": "wsd",
        "trapezoidal": "wsd",
        "warmupstabledecay": "wsd",
        "constantwithcooldown": "wsd",
        "constantwithwarmup": "constant",
        "cosinewithrestarts": "cosine_restarts",
        "cosineannealingwarmrestarts": "cosine_restarts",
        "cosinedecayrestarts": "cosine_restarts",
        "sgdr": "cosine_restarts",
        "warmrestarts": "cosine_restarts",
        "exprange": "cyclic",
        "triangular": "cyclic",
        "triangular2": "cyclic",
        "d2z": "linear",
        "lineartozero": "linear",
        "lineardecay": "linear",
        "noam": "inverse_sqrt",
        "rsqrt": "inverse_sqrt",
        "invsqrt": "inverse_sqrt",
        "poly": "polynomial",
        "piecewiseconstant": "piecewise",
        "piecewiselinear": "piecewise",
        "reducelronplateau": "plateau",
        "reduceonplateau": "plateau",
        "reflectedexponential": "rex",
        "superconvergence": "one_cycle",
    }
)
"""What families are called elsewhere, in lower case without ``_``, ``-`` and a last "lr", "schedule" or "decay"."""


def nearest_family(unknown: object, known: Iterable[str]) -> str | None:
    """The known family that ``unknown`` most likely means (``CosineAnnealingLR`` -> ``cosine``), or None."""
    plain = re.sub(r"[^a-z0-9]", "", str(unknown)[:MOST_LETTERS].lower())
    names = {name.replace("_", ""): name for name in known}
    for short in (plain, *(plain.removesuffix(ending) for ending in ("lr", "schedule", "decay"))):
        found = names.get(short, FAMILY_SYNONYMS.get(short))
        if found is not None:
            return found
    close = difflib.get_close_matches(plain, names, n=1, cutoff=0.75)
    return names[close[0]] if close else None


def nearest(unknown: str, known: Iterable[str]) -> str | None:
    """The known name that ``unknown`` most likely means, or None.

    A synonym of the field wins where its last part is among ``known``, or where it points into another section
    (``n_trials`` -> ``budget.trials``); else the closest spelling.
    """
    names = list(known)
    ours = SYNONYMS.get(unknown, SYNONYMS.get(unknown.lower()))
    if ours is not None:
        last = ours.rpartition(".")[2]
        if last in names:
            return last
        ours = SYNONYMS.get(ours, ours)
    close = difflib.get_close_matches(unknown[:MOST_LETTERS], names, n=1, cutoff=0.7)
    return close[0] if close else ours
