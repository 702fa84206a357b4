"""Labelled images in a NumPy archive: what `arrays` trains on, read and checked."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..errors import InvalidInput, Unavailable

PARTS = ("train", "test")
CHANNELS = (1, 3)
MAX_CLASSES = 100_000


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One part of an archive.

    Attributes:
        images: float32 of shape (n, 3, height, width); grey ones have three equal channels. From uint8: value / 255.
        labels: int64 of shape (n,), from 0.
    """

    images: np.ndarray
    labels: np.ndarray


def read_archive(path: Path, classes: int | None = None) -> tuple[Mapping[str, LabelledImages], int]:
    """The parts of an ``.npz`` file with x_train, y_train, x_test and y_test, and the number of classes.

    Args:
        path: where it lies; nothing pickled is ever opened.
        classes: how many there are; None = as many as ``y_train`` has, which are 0, 1, 2, ... without gaps.

    Raises:
        Unavailable: there is no such file.
        InvalidInput: an array is missing, or breaks a law of shape, dtype or range.
    """
    arrays = _arrays(path)
    parts = {part: _part(arrays, part) for part in PARTS}
    shapes = [parts[part].images.shape[1:] for part in PARTS]
    if shapes[0] != shapes[1]:
        raise _broken(f"x_train and x_test must hold images of one size (got {shapes[0][1:]} and {shapes[1][1:]})")
    n_classes = classes or _counted(parts["train"].labels)
    for part, found in parts.items():
        if (highest := int(found.labels.max())) >= n_classes:
            raise _broken(f"y_{part} must lie in 0 .. {n_classes - 1}, one of {n_classes} classes (got {highest})")
    return MappingProxyType(parts), n_classes


def _arrays(path: Path) -> dict[str, np.ndarray]:
    wanted = [f"{side}_{part}" for part in PARTS for side in "xy"]
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in wanted if name not in archive.files]
            if missing:
                held = ", ".join(archive.files) or "nothing"
                raise _broken(f"{path.name} must hold {', '.join(wanted)} (got {held})")
            return {name: archive[name] for name in wanted}
    except FileNotFoundError:
        raise Unavailable(
            f"`{path.name}` is not in `{path.parent}`: set LRSEARCH_DATA to the folder that `options.file` is below"
        ) from None
    except (AttributeError, TypeError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InvalidInput):
            raise
        raise _broken(
            f"{path.name} must be an archive of plain arrays, as numpy.savez writes it (got: {error!s:.200})"
        ) from None


def _part(arrays: Mapping[str, np.ndarray], part: str) -> LabelledImages:
    images, labels = _images(arrays[f"x_{part}"], f"x_{part}"), _labels(arrays[f"y_{part}"], f"y_{part}")
    if len(images) != len(labels):
        raise _broken(f"x_{part} and y_{part} must be equally long (got {len(images)} and {len(labels)})")
    return LabelledImages(images, labels)


def _images(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[3] in CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in CHANNELS or array.size == 0:
        raise _broken(
            f"{name} must have shape (n, height, width), (n, height, width, c) or (n, c, height, width), with n >= 1 "
            f"and c 1 or 3 (got {array.shape})"
        )
    if array.dtype == np.uint8:
        scaled = array.astype(np.float32) / np.float32(255)
    elif array.dtype.kind == "f":
        scaled = array.astype(np.float32)
        if not np.isfinite(scaled).all():
            raise _broken(f"{name} must be finite in float32 (got {scaled[~np.isfinite(scaled)][0]})")
    else:
        raise _broken(f"{name} must be uint8, from 0 to 255, or floating-point (got {array.dtype})")
    n, _, height, width = scaled.shape
    return np.ascontiguousarray(np.broadcast_to(scaled, (n, 3, height, width)))


def _labels(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise _broken(f"{name} must be whole numbers of shape (n,) (got {array.dtype} of shape {array.shape})")
    lowest, highest = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if lowest < 0 or highest >= MAX_CLASSES:
        raise _broken(f"0 <= {name} < {MAX_CLASSES:,} must hold (got {lowest if lowest < 0 else highest})")
    return array.astype(np.int64)


def _counted(labels: np.ndarray) -> int:
    present = np.unique(labels)
    n_classes = int(present[-1]) + 1
    if n_classes < 2 or len(present) < n_classes:
        raise InvalidInput(
            f"y_train must name every class 0 .. {max(1, n_classes - 1)} (got {len(present)} different labels); number "
            "them without gaps, or say how many there are in `options.classes`",
            field="options.classes",
        )
    return n_classes


def _broken(message: str) -> InvalidInput:
    return InvalidInput(message, field="options.file")
