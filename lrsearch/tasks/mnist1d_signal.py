"""The MNIST-1D signals, generated as published: Greydanus & Kobak, arXiv 2011.14439.

Draw for draw what ``mnist1d.data.make_dataset`` of the PyPI package draws (a test holds them together).
"""

from __future__ import annotations

from functools import cache

import numpy as np

TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""One-dimensional shapes of the ten digits."""
LENGTH = 40
"""Samples a signal."""
PADDING = (36, 60)
DILATED = 72
MAX_SHIFT = 48
SCALE, SHEAR = 0.4, 0.75
CORRELATED_NOISE, WHITE_NOISE = 0.25, 2e-2


def signals(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Signals before they are centred and scaled, shuffled.

    Args:
        per_class: how many of each digit, >= 1.
        seed: of numpy's legacy generator, as the package uses it.

    Returns:
        float64 of shape (10 * per_class, 40) and int64 labels.
    """
    from scipy.ndimage import gaussian_filter1d  # type: ignore[import-untyped]  # scipy ships no types

    shapes = np.array(TEMPLATES)
    shapes -= shapes.mean(axis=1, keepdims=True)
    shapes /= shapes.std(axis=1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6
    draws = np.random.RandomState(seed)
    labels = np.repeat(np.arange(10), per_class)
    dilated = [[_padded(shape, padding) for padding in range(PADDING[0], PADDING[1] + 1)] for shape in shapes]
    clean = np.empty((len(labels), DILATED))
    correlated, white, slope = np.empty_like(clean), np.empty_like(clean), np.empty(len(labels))
    for i, label in enumerate(labels):
        shape = dilated[label][int(draws.rand() * (PADDING[1] - PADDING[0] + 1))]
        scaled = shape * (1 + SCALE * (draws.rand() - 0.5))
        shift = draws.randint(MAX_SHIFT)
        clean[i, shift:], clean[i, :shift] = scaled[: DILATED - shift], scaled[DILATED - shift :]
        correlated[i] = draws.randn(DILATED)
        white[i] = draws.randn(DILATED)
        slope[i] = SHEAR * (draws.rand() - 0.5)
    correlated, white = CORRELATED_NOISE * correlated, WHITE_NOISE * white
    noisy = np.where(clean != 0, clean, gaussian_filter1d(correlated, 2, axis=1)) + white
    sheared = noisy - slope[:, None] * np.linspace(-0.5, 0.5, DILATED)
    short = np.stack([stretched(signal, LENGTH) for signal in sheared])
    shuffle = draws.permutation(len(labels))
    return short[shuffle], labels[shuffle]


def _padded(shape: np.ndarray, padding: int) -> np.ndarray:
    return stretched(np.concatenate([shape + 1e-8, np.zeros(padding)]), DILATED)


def stretched(signal: np.ndarray, n: int) -> np.ndarray:
    """``signal`` sampled at ``n`` evenly spaced points, linearly interpolated."""
    sampled: np.ndarray = np.interp(_points(n), _points(len(signal)), signal)
    return sampled


@cache
def _points(n: int) -> np.ndarray:
    return np.linspace(0, 1, n)
