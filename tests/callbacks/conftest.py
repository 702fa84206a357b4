"""What tests of your own loop have, for the loops of frameworks."""

from __future__ import annotations

from ..run.conftest import _own_folders, external, service

__all__ = ["_own_folders", "external", "service"]
