"""Where data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_root() -> Path:
    """The folder of data sets: ``LRSEARCH_DATA``, else ``data`` in the user's data folder of lrsearch."""
    chosen = os.environ.get("LRSEARCH_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("lrsearch") / "data"
