"""Every bad call of the corpus in one form: as it goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from .bad_calls import CALLS
from .bad_specs import HUGE, KEYS, MEDIA_TYPES, RAW, SPEC, SPECS, TOO_LONG, WIDE

STUDIES = "/v1/studies"
JSON = {"Content-Type": "application/json"}


class Bad(NamedTuple):
    """A call that is refused.

    Attributes:
        method: of HTTP.
        path: where to; ``LEASE`` in it stands for a lease that lives.
        content: the body; None = there is none.
        headers: what is sent beside it.
        status: of the answer.
    """

    method: str
    path: str
    content: bytes | None
    headers: dict[str, str]
    status: int


def corpus() -> Iterator[tuple[str, Bad]]:
    """Every bad call with what is wrong with it. Many speak of the external study ``loop`` with three cells."""
    for name, (method, path, body, status, _) in CALLS.items():
        sent = None if body is None else json.dumps(body).encode()
        yield name, Bad(method, path, sent, JSON if sent else {}, status)
    for name, (spec, _, _) in SPECS.items():
        yield name, Bad("POST", STUDIES, json.dumps(spec).encode(), JSON, 422)
    for name, (raw, _) in RAW.items():
        for path in (STUDIES, "/v1/leases", "/v1/comparisons"):
            yield f"{name} to {path}", Bad("POST", path, raw, JSON, 422)
    good = json.dumps(SPEC).encode()
    for media_type in MEDIA_TYPES:
        yield f"sent as {media_type!r}", Bad("POST", STUDIES, good, {"Content-Type": media_type}, 415)
    for key in KEYS:
        for path in (STUDIES, "/v1/comparisons", "/v1/studies/loop/trials"):
            yield f"the key {key:.10} to {path}", Bad("POST", path, good, JSON | {"Idempotency-Key": key}, 422)
    for name, (path, body, _) in WIDE.items():
        yield f"a MiB of {name}", Bad("POST", path, json.dumps(body()).encode(), JSON, 422)
    yield "a grid of 10^12", Bad("POST", STUDIES, json.dumps(HUGE).encode(), JSON, 422)
    yield "more than a MiB", Bad("POST", STUDIES, TOO_LONG, JSON, 413)
