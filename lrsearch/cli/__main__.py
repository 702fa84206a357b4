"""``python -m lrsearch.cli``: the command line where no script is on the path."""

from __future__ import annotations

from . import app

app()
