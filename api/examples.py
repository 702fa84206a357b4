"""Examples in the OpenAPI document: real requests, each held to its model by a test."""

from __future__ import annotations

from typing import Any

Examples = dict[str, Any]

SPECS: Examples = {
    "shortest": {
        "summary": "The shortest: task, families and optimiser supply the rest",
        "value": {"task": "digits-cnn", "epochs": 10, "space": {"family": ["step", "cosine"]}},
    },
    "digits-step": {
        "summary": "Step decay with warm-up, searched by TPE",
        "value": {
            "name": "digits-step",
            "task": "digits-mlp",
            "epochs": 10,
            "train": {"optimizer": {"name": "sgd", "momentum": 0.9}, "batch_size": 64},
            "space": {
                "family": "step",
                "initial_lr": {"low": 1e-4, "high": 1e-1, "log": True},
                "decay_rate": [0.1, 0.3, 0.5],
                "step_size": {"low": 1, "high": 5},
                "warmup": [0, 1, "5%"],
            },
            "sampler": {"name": "tpe", "seed": 0, "parallel": 8},
            "budget": {"trials": 64},
            "baselines": [{"family": "cosine", "initial_lr": 0.1}],
            "confirm": {"top": 3, "seeds": 3},
        },
    },
    "groups": {
        "summary": "A schedule for each parameter group: the head rises and falls by itself",
        "value": {
            "name": "digits-head",
            "task": "digits-mlp",
            "epochs": 10,
            "train": {"groups": {"head": ["5"]}},
            "space": {
                "family": "cosine",
                "initial_lr": {"low": 1e-4, "high": 1e-2, "log": True},
                "groups": {"head": {"family": "step", "initial_lr": [0.003, 0.01, 0.03], "warmup": [0, 1]}},
            },
        },
    },
    "external": {
        "summary": "Trained by your own loop",
        "value": {
            "name": "my-loop",
            "task": "external",
            "epochs": 5,
            "space": {"family": "cosine", "initial_lr": {"low": 1e-3, "high": 1.0, "log": True}},
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "budget": {"trials": 16},
        },
    },
}

PATCHES: Examples = {
    "budget": {"summary": "Go on to 128 trials", "value": {"budget": {"trials": 128}}},
    "labels": {"summary": "Set the labels", "value": {"labels": {"team": "vision"}}},
}

TRIALS: Examples = {
    "params": {
        "summary": "Enqueue",
        "value": {"params": {"family": "step", "initial_lr": 0.05, "decay_rate": 0.5, "step_size": 3, "warmup": 1}},
    },
    "schedule": {
        "summary": "Import a schedule trained elsewhere",
        "value": {"schedule": {"family": "cosine", "initial_lr": 0.1, "epochs": 10}, "value": 0.31},
    },
    "retry": {"summary": "Try a failed trial again, under a new number", "value": {"retry": 3}},
}

LEASES: Examples = {
    "built-in": {"summary": "A worker for the built-in tasks", "value": {"worker": "a", "hold": 2}},
    "own task": {
        "summary": "A worker that announces its task",
        "value": {
            "worker": "a",
            "hold": 2,
            "study": None,
            "tasks": [
                {
                    "name": "mnist-cnn",
                    "version": "1",
                    "train_examples": 54000,
                    "metrics": {"val_loss": "minimize"},
                    "options_schema": {},
                    "defaults": {"optimizer": "adam", "batch_size": 64},
                }
            ],
        },
    },
}

REPORTS: Examples = {
    "heartbeat": {"summary": "A heartbeat", "value": {"reports": []}},
    "epoch": {
        "summary": "One epoch, and the trial's end",
        "value": {
            "hold": 2,
            "reports": [
                {
                    "study": "mnist-step",
                    "trial": 3,
                    "attempt": 1,
                    "points": [
                        {
                            "epoch": 1,
                            "seed": 0,
                            "shared": False,
                            "lr_first": 0.1,
                            "lr_last": 0.1,
                            "seconds": 1.2,
                            "metrics": {"train_loss": 0.9, "val_loss": 0.8},
                        }
                    ],
                    "result": {"state": "completed", "error": None},
                }
            ],
        },
    },
}

COMPARISONS: Examples = {
    "samplers": {
        "summary": "Grid, random and TPE on one space",
        "value": {
            "name": "digits-samplers",
            "spec": {
                "task": "digits-mlp",
                "epochs": 5,
                "space": {
                    "family": "step",
                    "initial_lr": {"low": 1e-3, "high": 1.0, "log": True, "num": 4},
                    "decay_rate": [0.1, 0.5],
                    "step_size": [1, 2],
                },
                "budget": {"trials": 16},
            },
            "arms": [
                {"name": "grid", "sampler": "grid"},
                {"name": "random", "sampler": "random"},
                {"name": "tpe", "sampler": {"name": "tpe", "parallel": 4}},
            ],
            "repeats": 10,
        },
    }
}

RANGE_TESTS: Examples = {
    "digits": {
        "summary": "Rates from 1e-5 to 10 for SGD",
        "value": {
            "name": "digits-range",
            "task": "digits-mlp",
            "train": {"optimizer": {"name": "sgd", "momentum": 0.9}},
            "low": 1e-5,
            "high": 10.0,
            "updates": 200,
            "batches_per_rate": 2,
        },
    },
    "short": {"summary": "The task's own recipe", "value": {"task": "digits-mlp"}},
}

TOKENS: Examples = {
    "person": {
        "summary": "For one person: their own studies, until a day",
        "value": {"name": "alice", "scopes": ["write"], "expires_at": "2100-01-01T00:00:00Z"},
    },
    "workers": {"summary": "For machines that train", "value": {"name": "cluster", "scopes": ["worker"]}},
}
