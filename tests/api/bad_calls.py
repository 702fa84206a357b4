"""Bad calls, as data."""

from __future__ import annotations

from typing import Any

TRIALS = "/v1/studies/loop/trials"
EXPORT = "/v1/studies/loop/trials/0/export"
LEASES = "/v1/leases"
REPORTS = "/v1/leases/LEASE/reports"
COMPARISONS = "/v1/comparisons"
TOKENS = "/v1/tokens"
READER = {"name": "ann", "scopes": ["read"]}

SPACE = {"family": "step", "initial_lr": {"low": 1e-3, "high": 1.0}, "decay_rate": 0.5, "step_size": 1}
SPEC = {"task": "digits-mlp", "epochs": 5, "space": SPACE}
OWN = SPEC | {"task": "external", "objective": {"metric": "val_loss", "direction": "minimize"}}
POINT: dict[str, Any] = {"epoch": 1, "metrics": {"val_loss": 0.5}}
REPORT: dict[str, Any] = {"study": "loop", "trial": 0, "attempt": 1}


def report(changes: dict[str, Any]) -> dict[str, Any]:
    """One report with some fields changed."""
    return {"reports": [REPORT | changes]}


def point(changes: dict[str, Any]) -> dict[str, Any]:
    """A report of one point with some fields changed."""
    return report({"points": [POINT | changes]})


def offer(**changes: Any) -> dict[str, Any]:
    """A lease request that offers a task."""
    return {"worker": "a", "hold": 1, "tasks": [{"name": "a"} | changes]}


def compare(*samplers: str, spec: dict[str, Any] = SPEC, names: str = "abc", **more: Any) -> dict[str, Any]:
    """A comparison of samplers."""
    return {"spec": spec, "arms": [{"name": n, "sampler": s} for n, s in zip(names, samplers, strict=False)], **more}


# method, path, body, status, a word of the answer
CALLS: dict[str, tuple[str, str, Any, int, str]] = {
    "no such path": ("GET", "/v2/studies", None, 404, "not a call"),
    "a slash too many": ("GET", "/v1/studies/", None, 404, "not a call"),
    "wrong method": ("PUT", "/v1/studies", {}, 405, "not a call"),
    "wrong method on health": ("POST", "/livez", {}, 405, "not a call"),
    "no such study": ("GET", "/v1/studies/nobody", None, 404, "nobody"),
    "study in capitals": ("GET", "/v1/studies/LOOP", None, 404, "name"),
    "study with a NUL": ("GET", "/v1/studies/a%00b", None, 404, "name"),
    "study with a line break": ("GET", "/v1/studies/loop%0A", None, 404, "name"),
    "study not UTF-8": ("GET", "/v1/studies/%FF", None, 404, "name"),
    "pause nobody": ("POST", "/v1/studies/nobody/pause", None, 404, "nobody"),
    "delete nobody": ("DELETE", "/v1/studies/nobody", None, 404, "nobody"),
    "patch nobody": ("PATCH", "/v1/studies/nobody", {"labels": {}}, 404, "nobody"),
    "patch the space": ("PATCH", "/v1/studies/loop", {"space": {}}, 422, "unknown field"),
    "patch a budget of 0": ("PATCH", "/v1/studies/loop", {"budget": {"trials": 0}}, 422, "greater"),
    "patch with a list": ("PATCH", "/v1/studies/loop", [], 422, "dictionary"),
    "no such trial": ("GET", "/v1/studies/loop/trials/99", None, 404, "99"),
    "trial of nobody": ("GET", "/v1/studies/nobody/trials/0", None, 404, "nobody"),
    "trial -1": ("GET", "/v1/studies/loop/trials/-1", None, 404, "number"),
    "trial 1.5": ("GET", "/v1/studies/loop/trials/1.5", None, 404, "number"),
    "trial 10^30": ("GET", f"/v1/studies/loop/trials/{10**30}", None, 404, "number"),
    "curve of no trial": ("GET", "/v1/studies/loop/trials/99/curve", None, 404, "99"),
    "cancel no trial": ("POST", "/v1/studies/loop/trials/99/cancel", None, 404, "99"),
    "csv of nobody": ("GET", "/v1/studies/nobody/trials.csv", None, 404, "nobody"),
    "best of nobody": ("GET", "/v1/studies/nobody/best", None, 404, "nobody"),
    "best 0": ("GET", "/v1/studies/loop/best?top=0", None, 422, "top"),
    "best many": ("GET", "/v1/studies/loop/best?top=1001", None, 422, "top"),
    "export before the end": ("GET", "/v1/studies/loop/trials/best/export", None, 404, "completed"),
    "export no trial": ("GET", "/v1/studies/loop/trials/99/export?target=json", None, 404, "99"),
    "export to nowhere": ("GET", f"{EXPORT}?target=abacus", None, 404, "torch"),
    "export the worst": ("GET", "/v1/studies/loop/trials/worst/export", None, 404, "trial"),
    "export of unknown length": ("GET", f"{EXPORT}?target=torch", None, 422, "updates_per_epoch"),
    "export with 0 updates": ("GET", f"{EXPORT}?updates_per_epoch=0", None, 422, "greater"),
    "export with NaN updates": ("GET", f"{EXPORT}?updates_per_epoch=NaN", None, 422, "integer"),
    "unknown query": ("GET", "/v1/studies?stat=running", None, 422, "state"),
    "query where none is": ("GET", "/v1/catalog?tasks=1", None, 422, "takes none"),
    "query twice": ("GET", "/v1/studies?limit=1&limit=2", None, 422, "once"),
    "limit 0": ("GET", "/v1/studies?limit=0", None, 422, "limit"),
    "limit 10^9": ("GET", "/v1/studies?limit=1000000000", None, 422, "limit"),
    "limit words": ("GET", "/v1/studies?limit=ten", None, 422, "limit"),
    "state unknown": ("GET", "/v1/studies?state=done", None, 422, "completed"),
    "trial state unknown": ("GET", "/v1/studies/loop/trials?state=done", None, 422, "completed"),
    "order unknown": ("GET", "/v1/studies/loop/trials?order=luck", None, 422, "order"),
    "cursor made up": ("GET", "/v1/studies?cursor=%F0%9F%90%88", None, 422, "cursor"),
    "trial cursor made up": ("GET", "/v1/studies/loop/trials?cursor=cat", None, 422, "cursor"),
    "cursor with a NUL": ("GET", "/v1/studies?cursor=%00", None, 422, "cursor"),
    "label with a NUL": ("GET", "/v1/studies?label=%00", None, 422, "label"),
    "add an empty trial": ("POST", TRIALS, {}, 422, "params"),
    "add two in one": ("POST", TRIALS, {"params": {}, "retry": 0}, 422, "one of"),
    "add outside the space": ("POST", TRIALS, {"params": {"family": "cosine"}}, 422, "family"),
    "add an unknown parameter": ("POST", TRIALS, {"params": {"gamma": 1}}, 422, "gamma"),
    "add a broken schedule": ("POST", TRIALS, {"schedule": {"family": "step"}}, 422, "initial_lr"),
    "add with a bad value": ("POST", TRIALS, {"params": {}, "value": "0.5"}, 422, "number"),
    "retry no trial": ("POST", TRIALS, {"retry": 99}, 404, "99"),
    "retry trial 10^15": ("POST", TRIALS, {"retry": 10**15}, 404, ""),
    "lease without a worker": ("POST", LEASES, {"hold": 1}, 422, "worker"),
    "lease without hold": ("POST", LEASES, {"worker": "a"}, 422, "hold"),
    "lease holding -1": ("POST", LEASES, {"worker": "a", "hold": -1}, 422, "greater"),
    "lease holding 10^5": ("POST", LEASES, {"worker": "a", "hold": 100_000}, 422, "less"),
    "lease holding 1.5": ("POST", LEASES, {"worker": "a", "hold": 1.5}, 422, "integer"),
    "lease of a nameless worker": ("POST", LEASES, {"worker": "", "hold": 1}, 422, "worker"),
    "lease of a bad worker": ("POST", LEASES, {"worker": "a b\n", "hold": 1}, 422, "worker"),
    "lease of no study": ("POST", LEASES, {"worker": "a", "hold": 1, "study": "nobody"}, 404, "nobody"),
    "lease offering a bad task": ("POST", LEASES, offer(name="A"), 422, "name"),
    "lease offering bad metrics": ("POST", LEASES, offer(metrics={"x": "up"}), 422, "minimize"),
    "report to no lease": ("POST", "/v1/leases/nobody/reports", {}, 404, "lease"),
    "report to a bad lease": ("POST", "/v1/leases/a%20b/reports", {}, 404, "lease"),
    "report without metrics": ("POST", REPORTS, report({"points": [{"epoch": 1}]}), 422, "metrics"),
    "report of no epoch": ("POST", REPORTS, report({"points": [{"metrics": {}}]}), 422, "epoch"),
    "report of epoch 0": ("POST", REPORTS, point({"epoch": 0}), 422, "epoch"),
    "report beyond the horizon": ("POST", REPORTS, point({"epoch": 4}), 422, "epoch"),
    "report of another seed": ("POST", REPORTS, point({"seed": 7}), 422, "seed"),
    "report a string": ("POST", REPORTS, point({"metrics": {"val_loss": "low"}}), 422, "val_loss"),
    "report -1 seconds": ("POST", REPORTS, point({"seconds": -1}), 422, "seconds"),
    "report an unknown state": ("POST", REPORTS, report({"result": {"state": "won"}}), 422, "completed"),
    "report attempt 0": ("POST", REPORTS, report({"attempt": 0}), 422, "attempt"),
    "report an unknown field": ("POST", REPORTS, report({"step": 1}), 422, "unknown field"),
    "release no lease": ("DELETE", "/v1/leases/nobody", None, 404, "lease"),
    "compare one arm": ("POST", COMPARISONS, compare("tpe"), 422, "arms"),
    "compare twins": ("POST", COMPARISONS, compare("tpe", "tpe", names="aa"), 422, "different names"),
    "compare external": ("POST", COMPARISONS, compare("tpe", "random", spec=OWN), 422, "external"),
    "compare a grid of a range": ("POST", COMPARISONS, compare("tpe", "grid"), 422, "num"),
    "compare 10^6 times": ("POST", COMPARISONS, compare("tpe", "random", repeats=10**6), 422, "repeats"),
    "no such comparison": ("GET", "/v1/comparisons/nobody", None, 404, "nobody"),
    "token without a name": ("POST", TOKENS, {"scopes": ["read"]}, 422, "name"),
    "token in capitals": ("POST", TOKENS, {"name": "Ann", "scopes": ["read"]}, 422, "name"),
    "token with a line break": ("POST", TOKENS, {"name": "ann\n", "scopes": ["read"]}, 422, "name"),
    "token with a NUL": ("POST", TOKENS, {"name": "a\0", "scopes": ["read"]}, 422, "control"),
    "token of 101 letters": ("POST", TOKENS, {"name": "a" * 101, "scopes": ["read"]}, 422, "name"),
    "token without scopes": ("POST", TOKENS, {"name": "ann"}, 422, "scopes"),
    "token with no scope": ("POST", TOKENS, {"name": "ann", "scopes": []}, 422, "scopes"),
    "token with another scope": ("POST", TOKENS, {"name": "ann", "scopes": ["read", "root"]}, 422, "scopes"),
    "token with one scope in words": ("POST", TOKENS, {"name": "ann", "scopes": "read"}, 422, "scopes"),
    "token with 21 scopes": ("POST", TOKENS, {"name": "ann", "scopes": ["read"] * 21}, 422, "scopes"),
    "token that has ended": ("POST", TOKENS, READER | {"expires_at": "2020-01-01T00:00:00Z"}, 422, "future"),
    "token without a time zone": ("POST", TOKENS, READER | {"expires_at": "2090-01-01T00:00:00"}, 422, "timezone"),
    "token until soon": ("POST", TOKENS, READER | {"expires_at": "soon"}, 422, "expires_at"),
    "token with a secret": ("POST", TOKENS, READER | {"token": "lrs_mine"}, 422, "unknown field"),
    "token with an id": ("POST", TOKENS, READER | {"id": "0" * 12}, 422, "unknown field"),
    "token in the address": ("GET", "/v1/studies?token=lrs_x", None, 422, "unknown query parameter"),
    "access token in the address": ("GET", "/v1/studies?access_token=x", None, 422, "unknown query parameter"),
    "revoke nobody": ("DELETE", "/v1/tokens/" + "0" * 12, None, 404, "token"),
    "revoke no id": ("DELETE", "/v1/tokens/ann", None, 404, "token"),
    "revoke in capitals": ("DELETE", "/v1/tokens/" + "A" * 12, None, 404, "token"),
    "revoke with a line break": ("DELETE", "/v1/tokens/" + "0" * 12 + "%0A", None, 404, "token"),
    "look at one token": ("GET", "/v1/tokens/" + "0" * 12, None, 405, "not a call"),
    "no tokens": ("GET", "/v1/tokens?limit=0", None, 422, "limit"),
    "tokens from nowhere": ("GET", "/v1/tokens?cursor=x", None, 422, "cursor"),
    "audit from nowhere": ("GET", "/v1/audit?cursor=x", None, 422, "cursor"),
    "audit of too long a name": ("GET", "/v1/audit?name=" + "a" * 101, None, 422, "name"),
    "audit since a day with no zone": ("GET", "/v1/audit?since=2027-01-31T00:00:00", None, 422, "since"),
    "audit since soon": ("GET", "/v1/audit?since=soon", None, 422, "since"),
    "audit of a NUL": ("GET", "/v1/audit?resource=%00", None, 422, "control"),
    "write the audit": ("POST", "/v1/audit", {}, 405, "not a call"),
    "erase the audit": ("DELETE", "/v1/audit", None, 405, "not a call"),
}  # fmt: skip
