"""A seeded permutation of [0, n) in constant memory."""

from __future__ import annotations

import hashlib


class Permutation:
    """A bijection of [0, n) onto itself, drawn by ``seed``.

    A Feistel network over the smallest even number of bits that holds n, with a hash as its round function; what falls
    outside of [0, n) is sent through again (cycle walking), at most four times on average.

    Args:
        n: how many numbers are permuted, >= 1, of any size.
        seed: which permutation, >= 0.

    Source: Black & Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002.
    """

    ROUNDS = 10

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self._half = max(1, ((n - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._bytes = (self._half + 7) // 8
        self._seed = f"{seed}:{n}:".encode()

    def __call__(self, index: int) -> int:
        """Where ``index`` in [0, n) goes."""
        if not 0 <= index < self.n:
            raise IndexError(f"a permutation of {self.n} numbers maps 0 to {self.n - 1} (got {index})")
        index = self._mixed(index)
        while index >= self.n:
            index = self._mixed(index)
        return index

    def _mixed(self, index: int) -> int:
        left, right = index >> self._half, index & self._mask
        for number in range(self.ROUNDS):
            text = self._seed + bytes([number]) + right.to_bytes(self._bytes, "little")
            digest = hashlib.shake_128(text).digest(self._bytes)
            left, right = right, left ^ (int.from_bytes(digest, "little") & self._mask)
        return left << self._half | right
