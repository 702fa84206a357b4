"""Numbers that are the same on every machine and with every version of numpy: raw Philox bits."""

from __future__ import annotations

import numpy as np


def bits(n: int, *key: int) -> np.ndarray:
    """``n`` uniform 64-bit integers, uint64 of shape (n,), a function of ``key`` (at most two whole numbers >= 0)."""
    return np.random.Philox(key=np.array([*key, 0][:2], dtype=np.uint64)).random_raw(n)


def order(n: int, *key: int) -> np.ndarray:
    """A permutation of 0..n-1, int64 of shape (n,), a function of ``key``."""
    return np.argsort(bits(n, *key), kind="stable")


def uniform(n: int, *key: int) -> np.ndarray:
    """``n`` numbers in [0, 1), float64, a function of ``key``."""
    return np.ldexp((bits(n, *key) >> np.uint64(11)).astype(np.float64), -53)
