"""Bad specs and bodies, as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

SPACE: dict[str, Any] = {
    "family": "step",
    "initial_lr": {"low": 1e-3, "high": 1.0, "log": True},
    "decay_rate": 0.5,
    "step_size": 1,
}
SPEC: dict[str, Any] = {"name": "bad", "task": "digits-mlp", "epochs": 5, "space": SPACE}
OWN: dict[str, Any] = {
    "name": "bad",
    "task": "external",
    "epochs": 5,
    "space": SPACE,
    "objective": {"metric": "val_loss", "direction": "minimize"},
}
GONE = object()


def spec(**changes: Any) -> dict[str, Any]:
    """The good spec with top-level fields changed, or left out where GONE."""
    return {key: value for key, value in (SPEC | changes).items() if value is not GONE}


def space(**changes: Any) -> dict[str, Any]:
    """The good spec with another space."""
    return spec(space={key: value for key, value in (SPACE | changes).items() if value is not GONE})


def train(**changes: Any) -> dict[str, Any]:
    """The good spec with a recipe."""
    return spec(train=changes)


def lr(**declaration: Any) -> dict[str, Any]:
    """The good spec with another declaration of the initial rate."""
    return space(initial_lr=declaration)


# what is sent, the field that the answer names, and a word of its message
SPECS: dict[str, tuple[Any, str, str]] = {
    "a list": ([], "", "dictionary"),
    "a string": ("digits", "", "dictionary"),
    "a number": (1, "", "dictionary"),
    "null": (None, "", "dictionary"),
    "empty": ({}, "task", "required"),
    "no task": (spec(task=GONE), "task", "required"),
    "no space": (spec(space=GONE), "space", "required"),
    "no horizon": (spec(epochs=GONE), "", "horizon"),
    "two horizons": (spec(updates=100, eval_every=10), "", "horizon"),
    "updates alone": (spec(epochs=GONE, updates=100), "", "go together"),
    "eval_every beyond the horizon": (spec(epochs=GONE, updates=10, eval_every=11), "", "eval_every <= updates"),
    "too many intervals": (spec(epochs=GONE, updates=1_000_000, eval_every=1), "", "100,000"),
    "epochs 0": (spec(epochs=0), "epochs", "greater"),
    "epochs negative": (spec(epochs=-5), "epochs", "greater"),
    "epochs a float": (spec(epochs=2.5), "epochs", "integer"),
    "epochs a string": (spec(epochs="5"), "epochs", "integer"),
    "epochs true": (spec(epochs=True), "epochs", "integer"),
    "epochs too many": (spec(epochs=100_001), "epochs", "less"),
    "epochs 2^53": (spec(epochs=2**53), "", "2^53"),
    "epochs 10^400": (spec(epochs=10**400), "", "2^53"),
    "name in capitals": (spec(name="Digits"), "name", "pattern"),
    "name too long": (spec(name="a" * 101), "name", "pattern"),
    "name empty": (spec(name=""), "name", "pattern"),
    "name a path": (spec(name="../etc/passwd"), "name", "pattern"),
    "name with a line break": (spec(name="a\n"), "name", "pattern"),
    "name not ASCII": (spec(name="naïve"), "name", "pattern"),
    "name a number": (spec(name=7), "name", "string"),
    "task a path": (spec(task="../task"), "task", "pattern"),
    "task a list": (spec(task=["digits-mlp"]), "task", "string"),
    "options a list": (spec(options=[1]), "options", "dictionary"),
    "options too long": (spec(options={"x": "y" * 70_000}), "options", "65,536"),
    "options with a NUL": (spec(options={"x": "a\0b"}), "", "control"),
    "options with an escape": (spec(options={"\x1b[31m": 1}), "", "control"),
    "unknown field": (spec(colour="red"), "colour", "unknown field"),
    "misspelt field": (spec(sampelr="tpe"), "sampelr", "sampler"),
    "synonym gamma": (space(decay_rate=GONE, gamma=0.5), "space.gamma", "decay_rate"),
    "synonym T_max": (space(T_max=10), "space.T_max", "epochs"),
    "synonym eta_min": (space(eta_min=0.01), "space.eta_min", "final_factor"),
    "synonym lr": (space(lr=0.1), "space.lr", "initial_lr"),
    "synonym learning_rate": (space(learning_rate=0.1), "space.learning_rate", "initial_lr"),
    "synonym max_lr": (space(max_lr=0.1), "space.max_lr", "initial_lr"),
    "synonym warmup_steps": (space(warmup_steps=5), "space.warmup_steps", "warmup"),
    "synonym warmup_ratio": (space(warmup_ratio=0.1), "space.warmup_ratio", "warmup"),
    "synonym pct_start": (space(pct_start=0.3), "space.pct_start", "warmup"),
    "synonym n_trials": (spec(n_trials=10), "n_trials", "budget.trials"),
    "synonym num_samples": (spec(num_samples=10), "num_samples", "budget.trials"),
    "synonym timeout": (spec(timeout=10), "timeout", "budget.hours"),
    "synonym goal": (spec(goal="minimize"), "goal", "objective.direction"),
    "synonym mode": (spec(mode="min"), "mode", "objective.direction"),
    "family unknown": (space(family="stepp"), "space.family", "step"),
    "family none": (space(family=[]), "space.family", "at least one"),
    "family twice": (space(family=["step", "step"]), "space.family", "once"),
    "family missing": (space(family=GONE), "space.family", "required"),
    "family a number": (space(family=3), "space.family", ""),
    "parameter of another family": (space(family="cosine", step_size=1), "space.decay_rate", "unknown field"),
    "range upside down": (lr(low=1.0, high=0.1), "space.initial_lr", "low < high"),
    "range of one value": (lr(low=0.1, high=0.1), "space.initial_lr", "low < high"),
    "log range from 0": (lr(low=0, high=1, log=True), "space.initial_lr", "low > 0"),
    "log range from below 0": (lr(low=-1, high=1, log=True), "space.initial_lr", "low > 0"),
    "range without high": (lr(low=0.1), "space.initial_lr.high", "required"),
    "range with num and step": (lr(low=0.1, high=1, num=3, step=0.1), "space.initial_lr", "not both"),
    "log range with step": (lr(low=0.1, high=1, log=True, step=0.1), "space.initial_lr", "num"),
    "range with num 1": (lr(low=0.1, high=1, num=1), "space.initial_lr.num", "greater"),
    "range with num 10^6": (lr(low=0.1, high=1, num=1_000_000), "space.initial_lr.num", "less"),
    "range with a negative step": (lr(low=0.1, high=1, step=-0.1), "space.initial_lr.step", "greater"),
    "range with min and max": (lr(min=0.1, max=1), "space.initial_lr.min", "low"),
    "range of strings": (lr(low="a", high="b"), "space.initial_lr", ""),
    "range in yes and no": (lr(low=True, high=False), "space.initial_lr", ""),
    "rate 0": (space(initial_lr=0), "space.initial_lr", "greater"),
    "rate negative": (space(initial_lr=[0.1, -0.1]), "space.initial_lr", "greater"),
    "rate a string": (space(initial_lr="1e-3"), "space.initial_lr", ""),
    "rate null": (space(initial_lr=None), "space.initial_lr", ""),
    "no choices": (space(initial_lr=[]), "space.initial_lr", ""),
    "1,001 choices": (space(initial_lr=[i / 1000 for i in range(1, 1002)]), "space.initial_lr", "1000"),
    "decay rate above 1": (space(decay_rate=1.5), "space.decay_rate", "less"),
    "decay rate 0": (space(decay_rate=[0, 0.5]), "space.decay_rate", "greater"),
    "step of no length": (space(step_size=0), "space.step_size", ""),
    "step a bad share": (space(step_size="150%"), "space.step_size", "share"),
    "step negative": (space(step_size=-1), "space.step_size", ""),
    "warm-up as long as the horizon": (space(warmup=5), "space.warmup", "horizon"),
    "warm-up that may be as long": (space(warmup=[0, 1, "100%"]), "space.warmup", "horizon"),
    "warm-up shape unknown": (space(warmup=1, warmup_shape="quadratic"), "space.warmup_shape", "linear"),
    "exponential warm-up from 0": (space(warmup_shape="exponential", warmup_start=0), "space", "warmup_start"),
    "final factor above 1": (space(final_factor=2), "space.final_factor", "less"),
    "grid of a range": (spec(sampler="grid"), "space.initial_lr", "num"),
    "sampler unknown": (spec(sampler="cma"), "sampler", "tpe"),
    "sampler seed negative": (spec(sampler={"name": "tpe", "seed": -1}), "sampler.seed", "greater"),
    "sampler parallel 0": (spec(sampler={"name": "tpe", "parallel": 0}), "sampler.parallel", "greater"),
    "sampler seed that cannot be counted up from": (
        spec(sampler={"name": "tpe", "seed": 2**53 - 1}), "sampler.seed", "less",
    ),
    "pruner unknown": (spec(pruner="hyperbandit"), "pruner", "hyperband"),
    "pruner field unknown": (spec(pruner={"name": "median", "patience": 3}), "pruner.patience", "unknown field"),
    "objective unknown": (spec(objective={"metric": "val_luck"}), "objective.metric", "val_loss"),
    "objective on the test set": (spec(objective={"metric": "test_accuracy"}), "objective.metric", ""),
    "objective direction unknown": (spec(objective={"direction": "down"}), "objective.direction", "minimize"),
    "budget 0": (spec(budget={"trials": 0}), "budget.trials", "greater"),
    "budget of -1 hours": (spec(budget={"hours": -1}), "budget.hours", "greater"),
    "budget of seconds": (spec(budget={"seconds": 10}), "budget.seconds", "unknown field"),
    "budget a number": (spec(budget=64), "budget", "dictionary"),
    "optimizer unknown": (train(optimizer="lion"), "train.optimizer", "adamw"),
    "optimizer with lr": (train(optimizer={"name": "sgd", "lr": 0.1}), "train.optimizer.lr", "initial_lr"),
    "momentum 1": (train(optimizer={"name": "sgd", "momentum": 1.0}), "train.optimizer.momentum", "less"),
    "nesterov without momentum": (train(optimizer={"name": "sgd", "nesterov": True}), "train.optimizer", "momentum"),
    "betas of three": (train(optimizer={"name": "adam", "betas": [0.9, 0.99, 0.9]}), "train.optimizer.betas", ""),
    "rmsprop alpha 1": (train(optimizer={"name": "rmsprop", "alpha": 1}), "train.optimizer.alpha", "less"),
    "adagrad lr_decay": (train(optimizer={"name": "adagrad", "lr_decay": 0.1}), "train.optimizer.lr_decay", "space"),
    "ranger k 0": (train(optimizer={"name": "ranger", "k": 0}), "train.optimizer.k", "greater"),
    "ranger never rectified": (train(optimizer={"name": "ranger", "betas": [0.9, 0.5]}), "train.optimizer", "uphill"),
    "batch size 0": (train(batch_size=0), "train.batch_size", ""),
    "batch size half": (train(batch_size="half"), "train.batch_size", "full"),
    "clip norm 0": (train(clip_norm=0), "train.clip_norm", "greater"),
    "precision float16": (train(precision="float16"), "train.precision", "float32"),
    "seed negative": (train(seed=-1), "train.seed", "greater"),
    "seed that cannot be counted up from": (train(seed=2**53 - 1, seeds=2), "train.seed", "less"),
    "hours beyond every clock": (spec(budget={"hours": 1e300}), "budget.hours", "less"),
    "hours of a trial beyond every clock": (spec(limits={"trial_hours": 1e300}), "limits.trial_hours", "less"),
    "seeds 101": (train(seeds=101), "train.seeds", "less"),
    "task option unknown": (spec(options={"dropuot": 0.1}), "options", ""),
    "baseline of no family": (spec(baselines=[{"initial_lr": 0.1}]), "baselines", "family"),
    "baseline incomplete": (spec(baselines=[{"family": "step", "initial_lr": 0.1}]), "baselines", ""),
    "baseline a number": (spec(baselines=[0.1]), "baselines.0", "dictionary"),
    "confirm 0": (spec(confirm={"top": 0}), "confirm.top", "greater"),
    "labels nested": (spec(labels={"a": {"b": "c"}}), "labels.a", "string"),
    "labels too many": (spec(labels={str(i): "x" for i in range(65)}), "labels", "64"),
    "label with a control character": (spec(labels={"a": "\x07"}), "", "control"),
    "limits of -1 hours": (spec(limits={"trial_hours": -1}), "limits.trial_hours", "greater"),
    "external with train": (OWN | {"train": {"batch_size": 8}}, "", "external"),
    "external without an objective": ({k: v for k, v in OWN.items() if k != "objective"}, "", "objective"),
    "external without a direction": (OWN | {"objective": "val_loss"}, "", "direction"),
    "external with confirm": (OWN | {"confirm": {}}, "", "external"),
    "nested 33 deep": (spec(options=json.loads('{"a":' * 32 + "1" + "}" * 32)), "", "32"),
}  # fmt: skip

RAW: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "body"),
    "no JSON": (b"name: bad", "JSON"),
    "half of it": (b'{"name": "bad", ', "JSON"),
    "two values": (b"{} {}", "JSON"),
    "NaN": (b'{"task": "digits-mlp", "epochs": NaN}', "finite"),
    "Infinity": (b'{"task": "digits-mlp", "epochs": Infinity}', "finite"),
    "-Infinity": (b'{"task": "digits-mlp", "epochs": -Infinity}', "finite"),
    "1e999": (b'{"task": "digits-mlp", "epochs": 1e999}', "finite"),
    "NaN in free JSON": (b'{"task": "digits-mlp", "options": {"a": [NaN]}}', "finite"),
    "an integer of 5,000 digits": (b'{"epochs": ' + b"9" * 5000 + b"}", "JSON"),
    "a field twice": (b'{"task": "digits-mlp", "task": "external"}', "twice"),
    "a huge integer twice": (b'{"epochs": 99999999999999999999, "epochs": 99999999999999999999}', "2^53"),
    "a field twice, deep": (b'{"space": {"family": "step", "family" : "cosine"}}', "twice"),
    "a lone surrogate": (b'{"task": "\\ud800"}', "JSON"),
    "a lone surrogate as key": (b'{"\\udfff": 1}', "JSON"),
    "invalid UTF-8": (b'{"task": "\xff\xfe"}', "JSON"),
    "UTF-16": ('{"task": "digits-mlp"}'.encode("utf-16"), "JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"task": "digits-mlp"}', "JSON"),
    "a NUL escaped": (b'{"task": "a\\u0000"}', "control"),
    "a NUL raw": (b'{"task": "a\x00"}', "JSON"),
    "100,000 brackets": (b"[" * 100_000, "JSON"),
    "33 objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "32"),
    "single quotes": (b"{'task': 'digits-mlp'}", "JSON"),
    "a comment": (b'{"task": "digits-mlp" /* it */}', "JSON"),
}

HUGE = {
    "name": "bad",
    "task": "digits-mlp",
    "epochs": 100,
    "space": {
        "family": "step",
        "initial_lr": {"low": 1e-4, "high": 1.0, "log": True, "num": 1000},
        "decay_rate": {"low": 0.1, "high": 0.9, "num": 1000},
        "final_factor": {"low": 0.0, "high": 0.5, "num": 1000},
        "warmup_start": {"low": 0.01, "high": 0.5, "num": 1000},
        "warmup": 1,
        "step_size": 1,
    },
    "sampler": "grid",
}
"""A grid of 10^12 cells."""

TOO_LONG = json.dumps(spec(options={str(i): "x" * 1000 for i in range(1100)})).encode()
"""A body of more than a MiB."""

OFFER = {"worker": "a", "hold": 1}
REPORT = {"study": "loop", "trial": 0, "attempt": 1}
REPORTS = "/v1/leases/nobody/reports"
WIDE: dict[str, tuple[str, Callable[[], Any], str]] = {
    "fields": ("/v1/studies", lambda: spec(**{f"hue{n}": 1 for n in range(60_000)}), "hue0"),
    "parameters": ("/v1/studies", lambda: space(**{f"rate{n}": 1 for n in range(60_000)}), "64"),
    "groups": ("/v1/studies", lambda: space(groups={f"g{n}": {} for n in range(60_000)}), "64"),
    "a field's letters": ("/v1/studies", lambda: space(**{"initial_lr" * 90_000: 1}), "unknown field"),
    "a family's letters": ("/v1/studies", lambda: space(family="step" * 200_000), "unknown family"),
    "families": ("/v1/studies", lambda: space(family=["stepp"] * 90_000), "stepp"),
    "choices": ("/v1/studies", lambda: space(initial_lr=["a"] * 150_000), "1000"),
    "lists": ("/v1/studies", lambda: space(initial_lr=[[[]]] * 140_000), "100,000"),
    "options": ("/v1/studies", lambda: spec(options={f"o{n}": 1 for n in range(60_000)}), "65,536"),
    "labels": ("/v1/studies", lambda: spec(labels={f"a{n}": [] for n in range(60_000)}), "64"),
    "baselines": ("/v1/studies", lambda: spec(baselines=[1] * 290_000), "dictionary"),
    "arms": ("/v1/comparisons", lambda: {"spec": SPEC, "arms": [{"name": "A"}] * 60_000}, "arms"),
    "tasks": ("/v1/leases", lambda: OFFER | {"tasks": [{"name": "A"}] * 60_000}, "name"),
    "versions": ("/v1/leases", lambda: OFFER | {"versions": {f"v{n}": 1 for n in range(60_000)}}, "64"),
    "reports": (REPORTS, lambda: {"reports": [{"trial": -1}] * 60_000}, "study"),
    "points": (REPORTS, lambda: {"reports": [REPORT | {"points": [{"epcoh": 1}] * 60_000}]}, "epcoh"),
    "metrics": (
        REPORTS,
        lambda: {"reports": [REPORT | {"points": [{"epoch": 1, "metrics": {f"m{n}": "" for n in range(60_000)}}]}]},
        "100",
    ),
    "params": ("/v1/studies/loop/trials", lambda: {"params": {f"p{n}": 1 for n in range(60_000)}}, "65,536"),
    "scopes": ("/v1/tokens", lambda: {"name": "ann", "scopes": ["raed"] * 90_000}, "read"),
}  # fmt: skip
"""Bodies of nearly a MiB, each with so many mistakes of one kind: where they go, and a word of the answer."""

MEDIA_TYPES = ("", "text/plain", "application/x-www-form-urlencoded", "application/xml", "text/json")
"""Other than JSON."""

KEYS = ("", "two words", "x" * 256, "naïve")
"""What is no ``Idempotency-Key``."""
