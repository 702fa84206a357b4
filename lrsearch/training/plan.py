"""What a trajectory is stored under."""

from __future__ import annotations

import hashlib

from ..trajectory import Plan


def store_key(plan_key: str, fingerprint: str, numerics: str) -> str:
    """``store_key(0)``: the only key that opens a checkpoint, as it names what is trained and what with."""
    text = "\n".join([plan_key, fingerprint, numerics])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


__all__ = ["Plan", "store_key"]
