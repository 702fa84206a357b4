"""Images of your own: any NumPy archive below the data root, and any of torchvision's classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from ..errors import InvalidInput
from ..frozen import Positive
from ..study import TaskDefaults
from ..synonyms import nearest
from .array_file import LabelledImages, read_archive
from .classifiers import CLASSIFIERS, check_fit, classifier
from .data_root import data_root
from .draw import order
from .given_weights import read_weights, take_weights
from .task import Data, Options, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

WORD = "[A-Za-z0-9_][A-Za-z0-9_.-]*"
BELOW = rf"^({WORD}/)*{WORD}\."
"""A path that never leaves the folder it is below: no part begins with a dot."""
Scale = tuple[tuple[float, ...], tuple[float, ...]]
SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "none": ((0.0,) * 3, (1.0,) * 3),
    }
)
"""Mean and deviation of each channel; torchvision's own weights were trained with the first."""


def _known(name: str) -> str:
    if name not in CLASSIFIERS:
        near = nearest(name, CLASSIFIERS)
        advice = f"did you mean `{near}`?" if near in CLASSIFIERS else "see torchvision.models"
        raise ValueError(f"one of torchvision's classifiers (got {name!r:.100}); {advice}")
    return name


class ArraysOptions(Options):
    """Which images, which classifier."""

    file: Annotated[str, Field(pattern=rf"{BELOW}npz$", max_length=200)]
    """An .npz file below the data root with x_train, y_train, x_test, y_test, as `images/cifar100.npz`."""
    train_examples: Positive
    """How many of x_train are trained on; the rest of them is the validation data."""
    model: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(CLASSIFIERS)})] = "resnet18"
    """One of torchvision's classifiers."""
    classes: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """How many classes there are; null = as many as y_train names."""
    scale: Literal["own", "imagenet", "none"] = "own"
    """What each channel is scaled by: the training images' own mean and deviation, or those of ImageNet."""
    checkpoint: Annotated[str, Field(pattern=rf"{BELOW}safetensors$", max_length=200)] | None = None
    """A .safetensors file below the data root with which training begins; a head of other classes is drawn anew."""


class Arrays(Task):
    """Your own images: any .npz file below the data root, any of torchvision's classifiers.

    Images are uint8 or floating-point, grey or of three channels, all of one size. The test set is the file's.
    """

    name = "arrays"
    Options = ArraysOptions
    examples_option = "train_examples"
    has_test = True
    defaults = TaskDefaults(optimizer="adam", batch_size=64)

    def model(self) -> nn.Module:
        """The classifier with weights drawn from torch's global generator, or the checkpoint's.

        Raises:
            Unavailable: torchvision is not installed, or a file is missing.
            InvalidInput: file, classifier and checkpoint do not fit together.
        """
        _, _, height, width = self._parts["train"].images.shape
        model = classifier(self.options.model, self._n_classes, height)
        if self._weights is not None:
            take_weights(model, self._weights)
        if not self._fits:
            check_fit(model, self.options.model, self._n_classes, height, width)
            self._fits = True
        return model

    def data(self) -> Data:
        """Inputs float32 of shape (n, 3, height, width), scaled; a fixed draw of x_train is held out.

        Raises:
            Unavailable: the file is missing.
            InvalidInput: it breaks a law, or leaves nothing to validate with.
        """
        return self._data

    _fits = False

    @cached_property
    def _archive(self) -> tuple[Mapping[str, LabelledImages], int]:
        return read_archive(data_root() / self.options.file, self.options.classes)

    @property
    def _parts(self) -> Mapping[str, LabelledImages]:
        return self._archive[0]

    @property
    def _n_classes(self) -> int:
        return self._archive[1]

    @cached_property
    def _weights(self) -> dict[str, torch.Tensor] | None:
        chosen = self.options.checkpoint
        return None if chosen is None else read_weights(data_root() / chosen)

    @cached_property
    def _data(self) -> Data:
        whole, test = self._parts["train"], self._parts["test"]
        n_train, n = self.options.train_examples, len(whole.labels)
        if n_train >= n:
            raise InvalidInput(
                f"train_examples must be below {n}, which x_train has, so that some are left to validate with "
                f"(got {n_train})",
                field="options.train_examples",
            )
        split = order(n, 0)
        train, val = split[:n_train], split[n_train:]
        mean, deviation = self._scale(whole.images[train])

        def scaled(images: np.ndarray) -> np.ndarray:
            result: np.ndarray = (images - mean) / deviation
            return result

        return Data(
            train=(scaled(whole.images[train]), whole.labels[train]),
            val=(scaled(whole.images[val]), whole.labels[val]),
            test=(scaled(test.images), test.labels),
        )

    def _scale(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each channel, float32 of shape (3, 1, 1); 1 for the deviation of a constant one."""
        if self.options.scale in SCALES:
            mean, deviation = (np.array(values) for values in SCALES[self.options.scale])
        else:
            mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
            deviation = images.std(axis=(0, 2, 3), dtype=np.float64)
        deviation = np.where(deviation > 0, deviation, 1.0)
        return mean.astype(np.float32)[:, None, None], deviation.astype(np.float32)[:, None, None]
