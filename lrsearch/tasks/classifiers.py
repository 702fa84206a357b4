"""torchvision's classifiers by name, made for any number of classes and size of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from .vision import torchvision_module

if TYPE_CHECKING:
    from torch import nn

NAMES = """
alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169 densenet201
efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf
regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf
regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34
resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t vgg11 vgg11_bn
vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2
wide_resnet50_2
"""
CLASSIFIERS: tuple[str, ...] = tuple(NAMES.split())
"""Those of torchvision 0.28, written down so that a service without torchvision can check a name."""

NO_SECOND_HEAD = {"aux_logits": False, "init_weights": True}
ARGUMENTS: Mapping[str, Callable[[int], dict[str, Any]]] = MappingProxyType(
    {
        "googlenet": lambda side: NO_SECOND_HEAD,
        "inception_v3": lambda side: NO_SECOND_HEAD,
        "vit_b_16": lambda side: {"image_size": side},
        "vit_b_32": lambda side: {"image_size": side},
        "vit_h_14": lambda side: {"image_size": side},
        "vit_l_16": lambda side: {"image_size": side},
        "vit_l_32": lambda side: {"image_size": side},
        "maxvit_t": lambda side: {"input_size": (side, side)},
    }
)
"""What some need to be told, given the images' height: to answer scores alone, or how large images are."""


def classifier(name: str, n_classes: int, height: int) -> nn.Module:
    """An untrained classifier, its weights drawn from torch's global generator.

    Args:
        name: one of ``CLASSIFIERS``.
        n_classes: how many scores it gives, >= 1.
        height: of the images, which some must know.

    Raises:
        Unavailable: torchvision is not installed.
        InvalidInput: the installed torchvision has no such model, or not for images of this size.
    """
    models = torchvision_module("models")
    told = ARGUMENTS.get(name)
    arguments = {} if told is None else told(height)
    try:
        model: nn.Module = models.get_model(name, weights=None, num_classes=n_classes, **arguments)
    except (ValueError, AssertionError) as error:
        raise _unfit(name, height, height, error) from None
    return model


def check_fit(model: nn.Module, name: str, n_classes: int, height: int, width: int) -> None:
    """Raise InvalidInput unless ``model`` gives ``n_classes`` scores for images of this size; it stays as it is."""
    import torch

    training = model.training
    try:
        with torch.no_grad():
            scores: torch.Tensor = model.eval()(torch.zeros(1, 3, height, width))
    except (ValueError, RuntimeError, AssertionError) as error:
        raise _unfit(name, height, width, error) from None
    finally:
        model.train(training)
    if tuple(scores.shape) != (1, n_classes):
        raise _unfit(name, height, width, f"scores of shape {tuple(scores.shape)} instead of (1, {n_classes})")


def _unfit(name: str, height: int, width: int, why: object) -> InvalidInput:
    return InvalidInput(
        f"{name} takes no images of {height} x {width} pixels here: choose another model, or enlarge the file's images "
        f"({why!s:.200})",
        field="options.model",
    )
