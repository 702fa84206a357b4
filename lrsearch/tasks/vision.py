"""torchvision where it was built for CUDA and torch was not: its import fails on operators torch does not know.

Declaring the missing operators first makes models, transforms and data sets work; ``ops.nms`` stays unusable.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from ..errors import Unavailable

SCHEMAS = ("nms", "qnms")
_declared: list[Any] = []


def torchvision_module(name: str) -> ModuleType:
    """The module ``torchvision.<name>``.

    Raises:
        Unavailable: torchvision is not installed.
    """
    try:
        return importlib.import_module(f"torchvision.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "torchvision":
            raise
        raise Unavailable("this task needs torchvision: pip install 'lrsearch[vision]'") from None
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    _declare_operators()
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    return importlib.import_module(f"torchvision.{name}")


def _declare_operators() -> None:
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch types it not
    for name in SCHEMAS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)  # a library's operators live as long as it does
