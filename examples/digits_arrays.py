"""Scanned digits as two files for the task `arrays`: 0 to 4 to train on first, 5 to 9 to be fine-tuned for.

    python examples/digits_arrays.py data        # writes data/digits-0-4.npz and data/digits-5-9.npz

Any images of yours become such a file the same way: numpy.savez with x_train, y_train, x_test and y_test.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # scikit-learn ships no types

N_TEST = 150


def write(folder: Path) -> None:
    """Both files: uint8 images of 32 x 32 pixels, each of the original's 8 x 8 enlarged four times; labels from 0."""
    images, labels = load_digits(return_X_y=True)
    large = np.kron(images.reshape(-1, 8, 8), np.ones((1, 4, 4)))
    pixels = (large * 255 / 16).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for first in (0, 5):
        x, y = (side[(labels >= first) & (labels < first + 5)] for side in (pixels, labels))
        y = y - first
        np.savez_compressed(
            folder / f"digits-{first}-{first + 4}.npz",
            x_train=x[N_TEST:], y_train=y[N_TEST:], x_test=x[:N_TEST], y_test=y[:N_TEST],
        )  # fmt: skip


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
