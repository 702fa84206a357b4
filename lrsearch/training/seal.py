"""A prefix as two byte strings, and back: only what was written under the very same key, bit for bit, is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .program import EpochRecord, State

HEAD, MIDDLE, TAIL = b'{"hash":"', b'","content":', b"}"
DIGEST_CHARACTERS = 32
UNFOLDED = 5
"""About how many times the memory of their text epoch records take."""


class Damaged(Exception):
    """The bytes are not what was written under this key."""


@dataclass(slots=True)
class Sealed:
    """A prefix's bytes.

    Attributes:
        state: the state in the format of safetensors.
        record: JSON with the key, the epochs' records and the hashes of it all.
        epochs: the records themselves, where they are known to be what the bytes say; None = not checked yet.
    """

    state: bytes
    record: bytes
    epochs: tuple[EpochRecord, ...] | None = None

    @property
    def n_bytes(self) -> int:
        """About how much memory it takes."""
        return len(self.state) + len(self.record) * (1 if self.epochs is None else UNFOLDED)


def sealed(key: str, epochs: Sequence[EpochRecord], state: State) -> Sealed:
    """A prefix under its key."""
    from safetensors.numpy import save

    arrays = save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in state.items()})
    texts = ",\n".join([record.text for record in epochs])
    content = f'{{"key":{json.dumps(key)},"state":"{digest(arrays)}","epochs":[\n{texts}\n]}}'
    return Sealed(arrays, _record(content.encode()), tuple(epochs))


def opened(key: str, prefix: Sealed) -> tuple[tuple[EpochRecord, ...], State]:
    """What ``sealed(key, ...)`` was given.

    Raises:
        Damaged: either string was truncated, altered, or written for another key.
    """
    from safetensors.numpy import load

    if prefix.epochs is None:
        prefix.epochs = _checked(key, prefix)
    return prefix.epochs, load(prefix.state)


def _checked(key: str, prefix: Sealed) -> tuple[EpochRecord, ...]:
    text = prefix.record[len(HEAD) + DIGEST_CHARACTERS + len(MIDDLE) : -len(TAIL)]
    if _record(text) != prefix.record:
        raise Damaged("its record was altered")
    content = json.loads(text)
    if content["key"] != key:
        raise Damaged(f"it is the prefix of {content['key']}")
    if content["state"] != digest(prefix.state):
        raise Damaged("its state was altered")
    return tuple(EpochRecord.of(epoch) for epoch in content["epochs"])


def digest(content: bytes) -> str:
    """The hash that says whether bytes are what was written."""
    return hashlib.blake2b(content, digest_size=DIGEST_CHARACTERS // 2).hexdigest()


def _record(content: bytes) -> bytes:
    return b"".join([HEAD, digest(content).encode(), MIDDLE, content, TAIL])
