"""How a command ends: exit codes, and errors as plain lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import Conflict, InvalidInput, LrsearchError, NotAllowed, NotFound, Unavailable

STUDY_FAILED = 1
INTERRUPTED = 130
"""As shells say it: ended by Ctrl-C."""

EXIT_CODES: Mapping[type[LrsearchError], int] = MappingProxyType(
    {InvalidInput: 2, NotFound: 3, Conflict: 4, Unavailable: 5, NotAllowed: 6, LrsearchError: 1}
)
"""The exit code of every group of errors."""

EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "alembic": "service",
        "fastapi": "service",
        "jsonschema": "service",
        "optuna": "service",
        "scipy": "train",
        "sqlalchemy": "service",
        "uvicorn": "service",
        "safetensors": "train",
        "sklearn": "train",
        "torch": "train",
        "torchvision": "vision",
        "matplotlib": "plot",
        "tensorboardX": "tensorboard",
    }
)
"""Which extra installs a module that the light installation lacks."""


def code_of(error: LrsearchError) -> int:
    """The exit code that fits ``error``."""
    return next(EXIT_CODES[group] for group in type(error).__mro__ if group in EXIT_CODES)


def complain(lines: Sequence[str]) -> None:
    """Print what is wrong, a line each, to standard error."""
    for line in lines:
        print(f"lrsearch: {line}", file=sys.stderr)


class Commands(TyperGroup):
    """The command line's root: every error raised on purpose ends in plain lines and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except LrsearchError as error:
            complain([str(fault) for fault in error.faults] if isinstance(error, InvalidInput) else [str(error)])
            raise typer.Exit(code_of(error)) from None
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            complain([f"this needs `{error.name}`, which is not installed: pip install 'lrsearch[{extra}]'"])
            raise typer.Exit(EXIT_CODES[Unavailable]) from None
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output is gone
            raise typer.Exit(1) from None
