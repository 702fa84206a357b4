"""The source of the file that defines a class, as it was when the class was made."""

from __future__ import annotations

import hashlib
import sys
import uuid
from pathlib import Path

DIGEST = "__lrsearch_source__"
"""The module attribute in which a loader of ours leaves the digest of what it executed."""


def digest_of(source: bytes) -> str:
    """The digest of a file's text."""
    return hashlib.blake2b(source, digest_size=16).hexdigest()


def source_digest(cls: type) -> str:
    """The digest of the files that define ``cls`` and the classes it is made from, lrsearch's ``Task`` excepted.

    Taken while the module is being executed, so a later edit of the file is not mistaken for what was loaded. Where
    there is no file (an interactive session), a digest that no other process has: nothing stored is used again.
    """
    parents = [getattr(parent, "source", "") for parent in cls.__mro__[1:]]
    module = sys.modules.get(cls.__module__)
    digest = getattr(module, DIGEST, None)
    if digest is None:
        path = getattr(module, "__file__", None)
        try:
            digest = digest_of(Path(path).read_bytes()) if path else uuid.uuid4().hex
        except OSError:
            digest = uuid.uuid4().hex
    return digest_of(" ".join([digest, *parents]).encode())
