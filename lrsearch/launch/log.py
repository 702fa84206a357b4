"""What ``serve`` writes to standard error: lines for people, or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

LogStyle = Literal["text", "json", "quiet"]
REQUESTS = "lrsearch.access"
"""The logger that has a record for every request, its parts in ``record.request``."""
ROUTINE = ("/v1/leases", "/livez", "/readyz", "/metrics")
"""Routes that machines call all the time: people are told of them only where they fail."""


class Noteworthy(logging.Filter):
    """Leaves out what is routine and went well."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        parts: Mapping[str, Any] = getattr(record, "request", {})
        return not (str(parts.get("route")).startswith(ROUTINE) and parts["status"] < 400)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: ``time, level, logger``, then a request's parts, or ``message`` and ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        request = getattr(record, "request", None)
        line |= request if request is not None else {"message": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


FORMATTERS: Mapping[LogStyle, logging.Formatter] = MappingProxyType(
    {
        "text": logging.Formatter("%(asctime)s %(name)s: %(message)s"),
        "quiet": logging.Formatter("%(asctime)s %(name)s: %(message)s"),
        "json": JsonLines(),
    }
)


def write_log(style: LogStyle) -> None:
    """Set the log of this process up.

    * ``text``: warnings, and a line for every request that is no routine of machines or fails.
    * ``json``: warnings and every request, each a line of JSON.
    * ``quiet``: warnings alone.
    """
    written = logging.StreamHandler(sys.stderr)
    written.setFormatter(FORMATTERS[style])
    if style == "text":
        written.addFilter(Noteworthy())
    logging.basicConfig(level=logging.WARNING, handlers=[written])
    logging.getLogger(REQUESTS).setLevel(logging.WARNING if style == "quiet" else logging.INFO)
