"""What other libraries call our fields, so that an unknown name is answered with the right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

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
    close = difflib.get_close_matches(unknown, names, n=1, cutoff=0.7)
    return close[0] if close else ours
